"""Losses: the work that went into results which writes made invalid, by statement (law 10).

Told where an entry was found and its stamps were not those of now, which is never the path of a hit. Sums may lose an update to another
thread; they are there to say where a finer scope would pay, and `worth_tracking` says when it does.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import NamedTuple

from ..coherence.scopes import BLOCK
from ..coherence.stamps import Seen
from .entry import Entry
from .identity import Identity

#: Statements remembered at the most; the half that lost least goes. A text that is longer is not remembered.
MOST, LONGEST = 512, 1 << 14

#: A table must have cost so many seconds of work, in so many results, before a column of it is tracked unasked.
LEAST_SECONDS, LEAST_TIMES = 1.0, 100

#: Columns of one table that are tracked unasked at the most: each costs every write of a row.
MOST_COLUMNS = 3


class Sum:
    """What one statement lost to the table ``number``."""

    __slots__ = ("called", "name", "number", "seconds", "times")

    def __init__(self, name: str, number: int, *, called: bool) -> None:
        self.name = name  #: the statement, or the name of a cached function
        self.called = called  #: a cached function
        self.number = number
        self.times = 0
        self.seconds = 0.0


class Advice(NamedTuple):
    """Columns of ``table`` that would have saved what was lost, and are not tracked."""

    table: str
    by: tuple[str, ...]
    times: int
    seconds: float


class Losses:
    """The sums of one database. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.recent = 0.0  #: seconds lost since somebody last asked whether that is enough
        self.told = False  #: it was said that nothing can be made of them in this process
        self._sums: dict[tuple[Hashable, int], Sum] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def lost(self, entry: Entry, seen: Seen) -> None:
        """``entry`` is not valid by its stamps, which now are those of ``seen``: what was written is a loss to it.

        A change of the schema is none, nor is a tag: no column would have saved that.
        """
        if entry.scopes is None or seen.schema is None or entry.schema != seen.schema:
            return
        written = {
            scope // BLOCK
            for scope, then, now in zip(entry.scopes, entry.stamps, seen.stamps, strict=True)
            if then != now and scope >= BLOCK
        }
        name, called = _named(entry)
        if not written or name is None:
            return
        self.recent += entry.cost
        for number in written:
            sum = self._sums.get((name, number)) or self._add(name, number, called=called)
            sum.times += 1
            sum.seconds += entry.cost

    def largest(self, most: int) -> list[Sum]:
        """The ``most`` sums that lost most, those first."""
        return sorted(self._sums.values(), key=lambda one: (-one.seconds, -one.times))[:most]

    def enough(self) -> bool:
        """Whether so much was lost since the last time this was True that it is worth looking into."""
        if self.recent < LEAST_SECONDS:
            return False
        self.recent = 0.0
        return True

    def forget(self, numbers: Collection[int]) -> None:
        """The tables have finer scopes by now: what was lost before says nothing of that."""
        for key, sum in list(self._sums.items()):
            if sum.number in numbers:
                self._sums.pop(key, None)

    def _add(self, name: str, number: int, *, called: bool) -> Sum:
        if len(self._sums) >= MOST:
            kept = self.largest(MOST // 2)
            self._sums = {(sum.name, sum.number): sum for sum in kept}
        return self._sums.setdefault((name, number), Sum(name, number, called=called))


def _named(entry: Entry) -> tuple[str | None, bool]:
    """The statement, or the cached function, that ``entry`` is of, by its key; None for what is neither, and for a text too long."""
    match entry.key:
        case (str(sql), *_) | (int(), str(sql), *_) if len(sql) <= LONGEST:
            return sql, False
        case (Identity() as function, *_):
            return function.text, True
        case _:
            return None, False


def worth_tracking(
    advice: Collection[Advice],
    tracked: dict[str, int],
    *,
    seconds: float = LEAST_SECONDS,
    times: int = LEAST_TIMES,
    columns: int = MOST_COLUMNS,
) -> dict[str, tuple[str, ...]]:
    """The columns to track now, by table. ``tracked``: how many of each table are.

    Those whose statements together have lost ``seconds`` in ``times`` results, dearest first; no table gets more than ``columns``.
    """
    together: dict[tuple[str, tuple[str, ...]], tuple[float, int]] = {}
    for one in advice:
        if one.by:
            lost, often = together.get((one.table, one.by), (0.0, 0))
            together[one.table, one.by] = lost + one.seconds, often + one.times
    found: dict[str, tuple[str, ...]] = {}
    for (table, by), (lost, often) in sorted(together.items(), key=lambda item: -item[1][0]):
        chosen = tuple(dict.fromkeys((*found.get(table, ()), *by)))
        if lost >= seconds and often >= times and tracked.get(table, 0) + len(chosen) <= columns:
            found[table] = chosen
    return found
