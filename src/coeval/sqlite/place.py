"""Places in the gate's queue: those that get the turn, and those that somebody else's batch may serve.

Ring: shell.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future
from dataclasses import dataclass
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any

from .steps import step, step_all

if TYPE_CHECKING:
    from ..rows import Result
    from .connection import Connection
    from .statement import Statement


def running_loop() -> Any:
    """The event loop that runs in this thread, or None. asyncio is asked only where somebody has imported it."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


class Place:
    """One who waits, or holds: what for, who, and the future that tells. ``what`` is the statement, for others' error messages."""

    __slots__ = ("asked", "future", "ident", "loop", "since", "stacked", "what")

    def __init__(self, what: str, *, stacked: bool = False) -> None:
        """``stacked``: it is a single call, so whoever asks again in its thread is called by it."""
        self.what = what
        self.stacked = stacked
        self.loop = running_loop()
        self.ident = get_ident()
        self.asked = self.since = monotonic()
        self.future: Future[Any] | None = None  #: made when it has to wait

    def begin(self) -> bool:
        """Whether it still wants what it waits for; from now on it cannot be given up. Twice does no harm."""
        future = self.future
        return future is not None and (
            future.running() or (not future.done() and future.set_running_or_notify_cancel())
        )


class Turn(Place):
    """The right to write, from being granted until `Gate.leave`."""

    __slots__ = ()


class Member(Place):
    """A write that may be made together with others. Its future gives its result, or LEAD: then its thread has the turn."""

    __slots__ = ("leads", "many", "parameters", "rows", "statement")

    def __init__(self, statement: Statement, parameters: Any, many: bool, leads: bool) -> None:
        """``parameters`` of one run, or where ``many`` a sequence of them; ``leads``: a thread waits for it."""
        self.what = statement.sql
        self.stacked = True
        asyncio = sys.modules.get("asyncio")
        self.loop = None if asyncio is None else asyncio._get_running_loop()
        self.ident = get_ident()
        self.asked = self.since = monotonic()
        self.future = None
        self.statement = statement
        self.parameters = parameters
        self.many = many
        self.rows = len(parameters) if many else 1
        self.leads = leads

    def make(self, connection: Connection) -> Result:
        """Make it on ``connection``, in a transaction that is somebody else's affair."""
        return (step_all if self.many else step)(connection, self.statement, self.parameters)


#: What a waiting member's future gives where its own thread has to make the batch.
LEAD = object()


@dataclass
class GateCounts:
    """Turns so far, and the seconds that callers waited for them and held them, together and at the longest."""

    turns: int = 0
    waited: float = 0.0
    held: float = 0.0
    longest_wait: float = 0.0
    longest_hold: float = 0.0
