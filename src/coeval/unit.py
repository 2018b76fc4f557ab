"""Units: what calls in the same context belong to, a transaction or a snapshot, and who may join them.

A call joins the innermost open unit of its database in its own context, thread and task. Child threads and tasks copy the context but
never join: a write transaction has one owner (design, section 7). A forked child joins nothing.

Ring: shell.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, TypeVar

from .around import busy, counts
from .streams import RowStream

T = TypeVar("T")

#: The innermost unit of this context, whatever its database. Weak: one whose `with` block is gone, because an interrupt came before the
#: first step of its end, is joined by nobody.
current: ContextVar[weakref.ref[Unit] | None] = counts(ContextVar("coeval_unit", default=None))


class Unit:
    """The part of a transaction or snapshot that has to do with who may join it."""

    #: Cached functions that are called in it run, each time.
    _computes = False

    def __init__(self, engine: object) -> None:
        self._unit_of = engine
        self._active = False
        self._owner: tuple[int, int, Any] = (os.getpid(), 0, None)
        self._outer: weakref.ref[Unit] | None = None
        self._ref = weakref.ref(self)
        self._streams: list[RowStream[Any]] = []

    def _push(self) -> None:
        self._owner = here()
        self._outer = current.get()
        self._active = True
        busy.set(True)
        current.set(self._ref)

    def _pop(self) -> None:
        """Leave. Units end in whatever order; a context that points at one that ended skips it."""
        self._active = False
        if current.get() is self._ref:  # so it is busy already
            current.set(self._outer)

    def _streaming(self, rows: Generator[T, None, None]) -> RowStream[T]:
        """An iterator that ends with this unit: an unfinished statement would hold the connection's snapshot open."""
        stream = RowStream(rows)
        self._streams.append(stream)
        return stream

    def _cut_streams(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            stream._cut()

    @property
    def _forked(self) -> bool:
        """True in a process that was forked inside this unit: it is the parent's, and stays so."""
        return self._owner[0] != os.getpid()

    @property
    def _mine(self) -> bool:
        """True where the calling thread and task opened this unit, in this process."""
        return self._owner == here()


def joined(engine: object) -> Unit | None:
    """The unit that a call on ``engine`` belongs to here, or None."""
    reference = current.get()
    while reference is not None:
        unit = reference()
        if unit is None:  # its block was left without its end
            if reference is current.get():
                current.set(None)
            return None
        if unit._unit_of is engine and unit._active and unit._mine:
            return unit
        reference = unit._outer
    return None


def here() -> tuple[int, int, Any]:
    """Process, thread and asyncio task of the caller. asyncio is asked only where somebody has imported it."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except (RuntimeError, AttributeError):  # no loop runs here, or asyncio is being imported
            task = None
    return os.getpid(), threading.get_ident(), task
