"""Flights: one computation of a key at a time in this process, for all who wait for it (hole 5).

A caller may share only what began after its own call, else it could get an older answer than a commit that it has seen. So a flight
may be joined until it departs, which is before its snapshot opens. Behind one that is under way stands at most one that boards:
whoever comes next joins that, and its leader departs when the one before has ended. So however many writes come in between, each
caller waits for two computations at the most.

A leader that fails, is cancelled, or found that its result cannot be shared leaves its passengers to themselves: each looks again. One
that takes too long is not waited for. A caller never waits for a flight that waits, at whatever remove, for one of its own.

Ring: flow. The lock is held for a few steps; waiting is the shells'.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Any

from .key import Key


@dataclass(frozen=True, slots=True)
class Landed:
    """What a flight came to. ``shared``: whether passengers may use ``value``; else each looks again."""

    shared: bool
    value: Any = None


class Flight:
    """One computation. Its future is settled with `Landed`, once, whatever happens."""

    __slots__ = ("awaits", "before", "departed", "future", "key", "loop")

    def __init__(self, key: Key, before: Flight | None, loop: object) -> None:
        self.key = key
        self.loop = loop  #: the event loop of its leader, if that is a task
        self.before = before  #: the one under way when this began to board
        self.departed = False  #: nobody may join any more
        self.future: Future[Landed] = Future()
        self.awaits: list[Flight] = []  #: those that its leader waits for at this moment, in whatever thread


class Flights:
    """The flights of one database. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: dict[Key, Flight] = {}

    def __len__(self) -> int:
        return len(self._last)

    def board(self, key: Key, mine: tuple[Flight, ...], loop: object = None) -> tuple[Flight, bool] | None:
        """A flight for ``key``, and whether the caller leads it. ``mine``: those that the caller leads already, of outer calls.

        ``loop``: the event loop that the caller is a task of.

        None where waiting would be for oneself: compute without a flight.
        """
        with self._lock:
            last = self._last.get(key)
            if last is not None and not last.departed:
                if self._leads_to(last, mine):
                    return None
                return last, False
            if last is not None and self._leads_to(last, mine):
                return None
            flight = self._last[key] = Flight(key, last, loop)
            return flight, True

    def wait(self, mine: tuple[Flight, ...], flight: Flight) -> bool:
        """The leader of ``mine`` is about to wait for ``flight``: False where that would be for ever. To be ended with `waited`."""
        with self._lock:
            if self._leads_to(flight, mine):
                return False
            for one in mine:
                one.awaits.append(flight)
            return True

    def waited(self, mine: tuple[Flight, ...], flight: Flight) -> None:
        """It does not wait any more."""
        with self._lock:
            for one in mine:
                one.awaits.remove(flight)

    def depart(self, flight: Flight) -> None:
        """From now on nobody joins ``flight``. To be called before its snapshot is opened."""
        with self._lock:
            flight.departed = True
            flight.before = None

    def land(self, flight: Flight, landed: Landed) -> None:
        """It has ended. Twice does no harm."""
        with self._lock:
            before, flight.before, flight.departed = flight.before, None, True
            if self._last.get(flight.key) is flight:
                if before is not None and not before.future.done():  # it was given up before it departed
                    self._last[flight.key] = before
                else:
                    del self._last[flight.key]
        if not flight.future.done():
            flight.future.set_result(landed)

    def after_fork_in_child(self) -> None:
        """The parent's flights land there."""
        self._lock = Lock()
        self._last.clear()

    def _leads_to(self, flight: Flight, mine: tuple[Flight, ...]) -> bool:
        """Whether ``flight`` is one of ``mine``, or waits for one, or boards behind one."""
        if not mine:
            return False
        todo, seen = [flight], set[int]()
        while todo:
            one = todo.pop()
            if one in mine:
                return True
            if id(one) not in seen:
                seen.add(id(one))
                todo.extend(one.awaits)
                if one.before is not None:
                    todo.append(one.before)
        return False
