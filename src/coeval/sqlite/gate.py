"""The gate: whose turn it is to write, first come, first served (law 7).

Here it orders the threads of one process. Between processes SQLite's own lock decides, for which the holder of the turn waits
with BEGIN IMMEDIATE. State changes under the lock; waiting happens outside, each waiter on a future of its own.

Ring: shell.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ..errors import LockTimeoutError, ReentryError
from .failures import shorten

#: Waiters at the most (law 10).
LONGEST_QUEUE = 10_000


def running_loop() -> Any:
    """The event loop that runs in this thread, or None. asyncio is asked only where somebody has imported it."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


@dataclass
class Turn:
    """The right to write, from `Gate.enter` until `Gate.leave`."""

    what: str
    thread: str
    since: float  #: time.monotonic() at which it began
    loop: Any = None  #: the event loop that the holder runs on
    ident: int = 0  #: of its thread
    asked: float = 0.0  #: time.monotonic() at which it was asked for
    stacked: bool = False  #: it is a single call, so whoever asks again in its thread is called by it


class Gate:
    """A fair queue of the threads that want to write to one file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Future[None]] = deque()
        self._holder: Turn | None = None

    def turn(self, what: str, *, stacked: bool = False) -> Turn:
        """A turn to `take`. ``what`` is the statement, for others' error messages."""
        thread = threading.current_thread()
        return Turn(what, thread.name, 0.0, running_loop(), threading.get_ident(), time.monotonic(), stacked)

    def enter(self, what: str, timeout: float) -> Turn:
        """`take` a turn for ``what``."""
        turn = self.turn(what)
        self.take(turn, timeout)
        return turn

    def has(self, turn: Turn) -> bool:
        """Whether it is ``turn`` now: an exception may hit whoever asked for it at any moment."""
        return self._holder is turn

    def take(self, turn: Turn, timeout: float) -> None:
        """Wait for ``turn``, at the most ``timeout`` seconds.

        Raises LockTimeoutError naming the holder; the place in the queue is given up then. Raises ReentryError where a task of
        the caller's own event loop has the turn, or a call that this one is made from: waiting would stop what has to end it.
        """
        place: Future[None] | None = None
        with self._lock:
            if self._holder is None and not self._waiting:
                self._holder = turn
            elif self._holder is not None and self._holder.stacked and self._holder.ident == turn.ident:
                raise ReentryError(
                    f"The turn to write is {self._described()}, which called a function that asks for it again",
                    hint="Do not write from inside an SQL function.",
                )
            elif turn.loop is not None and self._holder is not None and self._holder.loop is turn.loop:
                raise ReentryError(
                    f"The turn to write is {self._described()}, another task of this event loop, which this call would stop",
                    hint="Do not await inside a blocking transaction, or write from a thread.",
                )
            elif len(self._waiting) >= LONGEST_QUEUE:
                raise LockTimeoutError(
                    f"{LONGEST_QUEUE} writes are waiting already, {self._described()}",
                    hint="Write in larger transactions, or shed load before this point.",
                )
            else:
                place = Future()
                self._waiting.append(place)
        if place is not None:
            self._wait(place, turn, timeout)
        turn.since = time.monotonic()

    def try_enter(self, what: str) -> Turn | None:
        """The turn, if nobody has or wants it; else None at once."""
        with self._lock:
            if self._holder is not None or self._waiting:
                return None
            self._holder = self.turn(what)
            self._holder.since = self._holder.asked
            return self._holder

    def leave(self) -> None:
        """Pass the turn to the one who has waited longest."""
        with self._lock:
            self._holder = None
            if not self._waiting:
                return
            place = self._waiting.popleft()
            self._holder = Turn("", "the next in the queue", time.monotonic())
        place.set_result(None)

    def _wait(self, place: Future[None], turn: Turn, timeout: float) -> None:
        try:
            place.result(timeout)
        except BaseException as error:  # a time-out, or the waiting thread was interrupted
            with self._lock:
                passed = place not in self._waiting  # the turn is ours, though the future may not have told it yet
                if not passed:
                    self._waiting.remove(place)
                said = self._described()
            if passed and not isinstance(error, TimeoutError):
                self.leave()
                raise
            if not passed:
                if not isinstance(error, TimeoutError):
                    raise
                raise LockTimeoutError(
                    f"The turn to write did not come in {timeout:g} s, {said}",
                    hint="Keep transactions short, or raise `timeout`.",
                ) from None
        with self._lock:
            self._holder = turn

    def _described(self) -> str:
        holder = self._holder
        if holder is None:
            return "though nobody holds it"
        age = time.monotonic() - (holder.since or time.monotonic())
        doing = f" with {shorten(holder.what, 80)}" if holder.what else ""
        return f"held for {age:.1f} s by {holder.thread} of process {os.getpid()}{doing}"
