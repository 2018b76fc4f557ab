"""Places in the gate's queue: those that get the turn, and those that somebody else's batch may serve.

Ring: shell.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


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
        self.ident = threading.get_ident()
        self.asked = self.since = time.monotonic()
        self.future: Future[Any] | None = None  #: made when it has to wait

    def begin(self) -> bool:
        """Whether it still wants what it waits for; from now on it cannot be given up."""
        return self.future is not None and self.future.set_running_or_notify_cancel()


class Turn(Place):
    """The right to write, from being granted until `Gate.leave`."""

    __slots__ = ()


class Member(Place):
    """A write that may be made together with others. Its future gives its result, or LEAD: then its thread has the turn."""

    __slots__ = ("begun", "leads", "rows", "work")

    def __init__(self, what: str, work: Callable[[Any], Any], rows: int, *, leads: bool) -> None:
        """``work`` makes it, on the connection that it is given; ``rows``: how often it runs; ``leads``: a thread waits for it."""
        super().__init__(what, stacked=True)
        self.work = work
        self.rows = rows
        self.leads = leads
        self.begun = False

    def begin(self) -> bool:
        """As `Place.begin`; one that was put back has begun already."""
        if not self.begun:
            self.begun = super().begin()
        return self.begun


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
