"""Calls of cached functions that are not worth keeping: they run as if there were no cache, only that they must not write.

Nothing of them is witnessed. What they read is told to the tracked call around them, if there is one. Quick paths that read do not ask
for any of this; those that write do.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


class Passing:
    """One such call, as long as it runs."""

    __slots__ = ("outer", "over")

    def __init__(self) -> None:
        self.over = False  #: it has returned; what it has started may go on
        outer = self.outer = passing.get()  #: the one that it is made from
        if outer is not None:
            self._shorten()

    def _shorten(self) -> None:
        """Let go of those around it that are over, so that calls of which each starts the next one make no chain."""
        inner: Passing | None = self
        while inner is not None:
            inner.outer = running(inner.outer)
            inner = inner.outer


#: The innermost of this context. Never trust it to run: ask `running`.
passing: ContextVar[Passing | None] = ContextVar("coeval_passing", default=None)


def running(found: Passing | None) -> Passing | None:
    """``found``, or the next one around it, that still runs."""
    while found is not None and found.over:
        found = found.outer
    return found


def past(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """What ``function`` gives, run as such a call. An interrupt at any moment leaves nothing that runs for ever."""
    mine, token = Passing(), None
    try:
        token = passing.set(mine)
        return function(*args, **kwargs)
    finally:
        mine.over = True
        passing.reset(token) if token is not None else passing.set(mine.outer)


async def past_awaited(function: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """As `past`."""
    mine, token = Passing(), None
    try:
        token = passing.set(mine)
        return await function(*args, **kwargs)
    finally:
        mine.over = True
        passing.reset(token) if token is not None else passing.set(mine.outer)
