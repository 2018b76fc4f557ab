"""Coroutine functions whose answers are kept: the asyncio shell of the decorator.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from ..blocking import run, seen_now
from ..cache.flights import Flight, Landed
from ..cache.key import Key
from ..cache.private import given
from ..cache.tracked import KeptCall, Raised, Shell, answer, peek, refresh, renew
from ..cached import BoundMethod, CacheInfo, Face, Named, Tracked, checked
from ..coherence.proof import Witness
from ..coherence.scopes import TAGS, Scope
from ..coherence.stamps import Seen
from ..errors import ConfigError
from ..snapshot import Snapshot
from ..unit import current, joined
from ..witnessing import carry_into_threads, witness
from .jobs import Held, Job, in_worker
from .lanes import lane_of

if TYPE_CHECKING:
    from ..engine import Engine
    from .database import AsyncDatabase

P = ParamSpec("P")
R = TypeVar("R")


def decorated(db: AsyncDatabase, function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:
    """What `AsyncDatabase.cached` gives."""
    named = checked(**options)

    def decorate(function: Callable[..., Any]) -> Any:
        if not inspect.iscoroutinefunction(function):
            raise ConfigError(
                f"{getattr(function, '__qualname__', function)!s} is no coroutine function",
                hint="Use `async def`, or the blocking database's @db.cached.",
            )
        return CachedCoroutine(function, db, named)

    return decorate if function is None else decorate(function)


class CachedCoroutine(Generic[P, R]):
    """What `cached` makes of a coroutine function: it is awaited as before."""

    def __init__(self, function: Callable[P, Awaitable[R]], db: AsyncDatabase, named: Named) -> None:
        functools.update_wrapper(self, function)
        if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
            inspect.markcoroutinefunction(self)
        self._tracked = Tracked(function, named)
        self._db = db
        carry_into_threads()

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        tracked = self._tracked
        engine = self._db._engine
        if engine is None or engine._store is None:
            engine = await self._db._opened()
        if engine.settings.cache is None:
            return await tracked.function(*args, **kwargs)  # type: ignore[no-any-return]
        key = tracked.key(args, kwargs)
        if current.get() is None and witness.get() is None:
            entry: Any = engine.find(key)
            if entry is not None and entry.mark is not None:
                try:
                    if entry.mark == engine.now() and (entry.expires == inf or time.monotonic() < entry.expires):
                        entry.hits += 1
                        tracked.counts.hits += 1
                        if not tracked.options.stale and type(entry.rows) is not Raised:
                            return given(entry.rows)  # type: ignore[no-any-return]
                except ValueError:  # the clock is just being closed
                    pass
        return await self._answer(key, args, kwargs, answer)  # type: ignore[no-any-return]

    async def _answer(self, key: Key, args: Any, kwargs: Any, flow: Callable[[Shell], Awaitable[Any]]) -> Any:
        engine = await self._db._opened()
        unit = joined(engine) if current.get() is not None else None
        call = _Call(self._tracked, engine, key, args, kwargs, unit if isinstance(unit, Snapshot) else None)
        if unit is not None and unit._computes:
            return await call.within_transaction()
        return await flow(call)

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute now, keep that, and give it."""
        return await self._answer(self._tracked.key(args, kwargs), args, kwargs, refresh)  # type: ignore[no-any-return]

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """The kept value of such a call, if it is valid now; else None. Computes nothing."""
        found = await self._answer(self._tracked.key(args, kwargs), args, kwargs, peek)
        return found[0] if found else None

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the value of such a call in this process; one under way is not kept."""
        if self._db._engine is not None:
            self._db._engine.tier.forget(self._tracked.key(args, kwargs))

    def cache_info(self) -> CacheInfo:
        """What became of the calls so far, in this process."""
        return self._tracked.info()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else BoundMethod(self, instance)


#: Recomputations beside their callers; a loop alone would let go of them.
_beside: set[asyncio.Task[None]] = set()


class _Call(Face):
    """A call in a task."""

    engine: Engine

    async def invoke(self, mine: Witness) -> Any:
        token = witness.set(mine)
        try:
            return await self._tracked.function(*self._args, **self._kwargs)
        finally:
            witness.reset(token)

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        engine, snapshot = self.engine, self._snapshot
        if snapshot is not None:
            return await lane_of(snapshot).call(lambda: run(snapshot._open().seen(scopes)))
        if scopes and scopes[0] <= TAGS and engine._tagged is not engine._store:
            await in_worker(engine.workers.chores, lambda _: engine.make_tags())

        def look(job: Job) -> Seen:
            return engine.using(lambda store: seen_now(store, Held(store.readers, job), scopes))

        return await in_worker(engine.workers.held, look)

    async def wait(self, flight: Flight, seconds: float) -> Landed | None:
        waiting = asyncio.wrap_future(flight.future)
        done, _ = await asyncio.wait((waiting,), timeout=seconds)
        return waiting.result() if done else None

    def later(self) -> None:
        context, call = self.beside(_Call)
        task = context.run(asyncio.get_running_loop().create_task, renew(call))
        _beside.add(task)
        task.add_done_callback(_beside.discard)

    def hit(self, entry: KeptCall) -> None:
        auditor = self.engine.auditor
        if auditor is not None and auditor.due():
            from ..auditor import Sample
            from .auditing import AwaitAgain, take

            context, call = self.beside(AwaitAgain)
            take(auditor, Sample(entry, auditor.state, call, context))

    async def within_transaction(self) -> Any:
        """The function's own answer, in the unit around it, which keeps nothing; it must not write there either."""
        mine = Witness(self.engine, self.outer)
        try:
            return await self.invoke(mine)
        finally:
            mine.close()
