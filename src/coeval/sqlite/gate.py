"""The gate: whose turn it is to write, first come, first served (law 7).

Here it orders the threads of one process. Between processes SQLite's own lock decides, for which the holder of the turn waits
with BEGIN IMMEDIATE. State changes under the lock; waiting happens outside, each waiter on a future of its own.

Ring: shell.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from ..errors import LockTimeoutError
from .failures import shorten

#: Waiters at the most (law 10).
LONGEST_QUEUE = 10_000


@dataclass
class Turn:
    """The right to write, from `Gate.enter` until `Gate.leave`."""

    what: str
    thread: str
    since: float  #: time.monotonic() at which it began


class Gate:
    """A fair queue of the threads that want to write to one file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Future[None]] = deque()
        self._holder: Turn | None = None

    def enter(self, what: str, timeout: float) -> Turn:
        """Wait for the turn, at the most ``timeout`` seconds; ``what`` is the statement, for others' error messages.

        Raises LockTimeoutError naming the holder; the place in the queue is given up then.
        """
        turn = Turn(what, threading.current_thread().name, 0.0)
        place: Future[None] | None = None
        with self._lock:
            if self._holder is None and not self._waiting:
                self._holder = turn
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
        return turn

    def try_enter(self, what: str) -> Turn | None:
        """The turn, if nobody has or wants it; else None at once."""
        with self._lock:
            if self._holder is not None or self._waiting:
                return None
            self._holder = Turn(what, threading.current_thread().name, time.monotonic())
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
