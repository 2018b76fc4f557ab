"""Places in the gate's queue: those that get the turn, and those that somebody else's batch may serve.

Ring: shell.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread, current_thread, get_ident
from threading import enumerate as enumerate_threads
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from .failures import shorten
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

    def described(self, pid: int) -> str:
        """Of who has the turn, for messages: how long, who, what. ``pid`` is this process's."""
        name = next((thread.name for thread in enumerate_threads() if thread.ident == self.ident), "a thread")
        doing = f" with {shorten(self.what, 80)}" if self.what else ""
        return f"held for {monotonic() - self.since:.1f} s by {name} of process {pid}, which is this one{doing}"


class Turn(Place):
    """The right to write, from being granted until `Gate.leave`."""

    __slots__ = ("thread",)

    def __init__(self, what: str, *, stacked: bool = False) -> None:
        super().__init__(what, stacked=stacked)
        self.thread: Thread | None = current_thread()  # its number may be another's when it has ended

    def hand_over(self) -> None:
        """Another thread ends it, so that nobody who waits for it could stop that. Takes no lock: finalisers call it."""
        self.thread = self.loop = None


class Member(Place):
    """A write that may be made together with others. Its future gives its result, or LEAD: then its thread has the turn."""

    __slots__ = ("handed", "leads", "many", "parameters", "rows", "statement")

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
        self.handed = False  #: the gate's thread has it, and makes it

    def make(self, connection: Connection) -> Result:
        """Make it on ``connection``, in a transaction that is somebody else's affair."""
        return (step_all if self.many else step)(connection, self.statement, self.parameters)


class Reentry(NamedTuple):
    """Why a place must not be waited for: the end of a sentence on who has the turn, and the cure."""

    what: str
    cure: str


def would_stop(place: Place, holder: Place) -> Reentry | None:
    """Why whoever asks for ``place`` now would stop ``holder``, which has the turn, for ever; None where it would not."""
    if place.future is not None:  # nobody stands still for it
        return None
    if holder.stacked and holder.ident == place.ident:
        return Reentry(", which called a function that asks for it again", "Do not write from inside an SQL function.")
    if place.loop is not None and holder.loop is place.loop:
        return Reentry(
            ", another task of this event loop, which this call would stop",
            "Do not await inside a blocking transaction, or write from a thread.",
        )
    if isinstance(holder, Turn) and holder.thread is current_thread() and place.what != "close":
        return Reentry(
            ": the thread that asks for it again", "End that transaction first, or make this call a part of it."
        )
    return None


def cure_for(holder: Place | None) -> str:
    """What whoever has waited in vain for ``holder`` to end can do."""
    loop = running_loop()
    if holder is not None and loop is not None and holder.loop is loop:
        return "Await what belongs to that transaction in the task that began it: tasks of gather and create_task do not join."
    return "Keep transactions short, or raise `timeout`."


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

    def wait(self, seconds: float) -> None:
        """Somebody has waited so long, for a turn or in vain."""
        self.waited += seconds
        self.longest_wait = max(self.longest_wait, seconds)


def tell(future: Future[Any], outcome: Any) -> None:
    """Give ``future`` its result, or its error. Again does no harm, and wakes who was not woken because an interrupt came in between."""
    if not future.done():
        with suppress(InvalidStateError):  # somebody else has done so just now
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
            return
    with future._condition:
        future._condition.notify_all()
    future._invoke_callbacks()  # type: ignore[attr-defined]
