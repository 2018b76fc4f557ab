"""Audits of coroutine functions: they run on their caller's loop, one after another, as a task of no importance.

Its snapshot is opened, read and ended by workers, like any of asyncio's; cancelled, with the loop or by `close`, it leaves
nothing open, and what waits is dropped.

Ring: shell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..auditor import Auditor, Sample
from ..blocking import run
from ..cache.auditing import Difference, SkippedError, audit_call
from ..coherence.scopes import Scope
from ..pinned import Pinned
from .cached import _Call
from .lanes import LentSnapshot, lane_of
from .units import AsyncSnapshot

if TYPE_CHECKING:
    from ..engine import Engine


class LentPinned(LentSnapshot, Pinned):
    """A snapshot whose reads are computed, lent to workers."""


class AsyncPinned(AsyncSnapshot):
    """The same, for ``async with``."""

    _kind = LentPinned


class AwaitAgain(_Call):
    """A call in a task, made once more."""

    _pinned: AsyncPinned | None = None

    async def pin(self) -> None:
        """From now on, until `unpin`, what it reads is computed, in one snapshot."""
        pinned = AsyncPinned(self._opened)
        await pinned.__aenter__()
        unit = pinned._lane.unit
        assert isinstance(unit, Pinned)
        self._pinned, self._snapshot = pinned, unit

    async def unpin(self) -> None:
        """Let the snapshot go, if there is one."""
        pinned, self._pinned, self._snapshot = self._pinned, None, None
        if pinned is not None:
            await pinned.__aexit__(None, None, None)

    async def undecided(self) -> bool:
        """Whether what it has read in the snapshot may have come in another order before."""
        unit = self._snapshot
        assert isinstance(unit, Pinned)
        return await lane_of(unit).call(lambda: run(unit.undecided()))

    async def named(self, scopes: Iterable[Scope]) -> tuple[str, ...]:
        """What the scopes stand for."""
        unit = self._snapshot
        assert isinstance(unit, Pinned)
        return await lane_of(unit).call(lambda: run(unit.named(scopes)))

    def given(self) -> Any:
        """Its arguments."""
        return self._args, self._kwargs

    async def _opened(self) -> Engine:
        return self.engine


class LoopLine:
    """The audits of one loop, while there are any."""

    def __init__(self, auditor: Auditor, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._auditor = auditor
        self._backlog = auditor.backlog()
        self._task: asyncio.Task[None] | None = None

    def take(self, sample: Sample) -> None:
        """Audit it, soon, or drop it. On the loop."""
        if not self._backlog.add(sample):
            self._auditor.drop(1)
        elif self._task is None:
            self._task = self.loop.create_task(self._work())

    def stop(self) -> None:
        """Drop what waits, and end what runs; from any thread. Raises RuntimeError where the loop is closed."""
        if self._task is not None:
            self.loop.call_soon_threadsafe(self._task.cancel)

    async def _work(self) -> None:
        auditor = self._auditor
        sample = None
        try:
            while (sample := self._backlog.next()) is not None:
                task = self.loop.create_task(_audited(sample), context=sample.context)
                found = await task
                if isinstance(found, BaseException):
                    auditor.skip(sample, found)
                else:
                    auditor.conclude(sample, found)
        finally:
            auditor.leave(self)
            auditor.drop(len(self._backlog) + (sample is not None))


async def _audited(sample: Sample) -> Difference | BaseException | None:
    """What `audit_call` gives or raises. Only the loop's own end is raised."""
    try:
        return await audit_call(sample.entry, sample.call)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return SkippedError(f"the call was cancelled by itself: {error}")
    except (Exception, SystemExit) as error:
        return error


def take(auditor: Auditor, sample: Sample) -> None:
    """Audit ``sample``, soon, on the running loop; or drop it."""
    loop = asyncio.get_running_loop()
    line = auditor.line(loop, lambda: LoopLine(auditor, loop))
    if line is None:
        auditor.drop(1)
    else:
        line.take(sample)
