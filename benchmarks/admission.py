"""What the cache costs where it is of no use, and what it brings where keys are popular, against the same database without a cache.

Usage: python benchmarks/admission.py [--json]

Without a single hit a read may take a tenth longer than without a cache, or 1 µs, the larger (law 9): in a thread and on a loop, for point
reads, short results and 1,000 rows. A cached function that reads is two such layers, its own and its statement's, 1 µs each. Then keys by
popularity (two slopes, of a web server's log and of film ratings), 3 % of all calls writes, stamps by table. Sides take turns in many short
rounds; the limits are held against the difference of the minima, as noise only ever adds. Ends with 1 where a limit is passed. The
database's counters prove that the sides were what they say.
"""

from __future__ import annotations

import asyncio
import bisect
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import accumulate, count
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw

import coeval

sys.path.insert(0, str(Path(__file__).parent))
from _rounds import Measured, Side, alternate, loop, report

ROUNDS = 60
ROWS = 200_000
KEYS = (1.10, 10_000), (0.77, 1682)
WRITES = 0.03

POINT = "SELECT id, name, price FROM item WHERE id = ?"
SHORT = "SELECT id, name, price FROM item WHERE id >= ? ORDER BY id LIMIT 20"
LONG = "SELECT id, name, price FROM item WHERE id >= ? ORDER BY id LIMIT 1000"
NAMED = "SELECT id, name, price FROM item WHERE id = :id"
WRITE = "UPDATE item SET price = price + 1 WHERE id = ?"

#: What is read without a hit, and how often a round.
NEW = {
    "a point read": ("db.query(point, next(new))", 400),
    "a point read by db.one": ("db.one(point, next(new))", 200),
    "a point read by name": ("db.query(named, {'id': next(new)})", 200),
    "20 rows": ("db.query(short, next(new))", 100),
    "1,000 rows": ("db.query(long, next(new))", 4),
    "a cached function of a point read": ("function(next(new))", 200),
    "a cached function of 20 rows": ("page(next(new))", 100),
}
MIXED = 400  #: calls a round


def main(arguments: list[str]) -> int:
    with ExitStack() as stack:
        bench = Bench(stack)
        measured = alternate(bench.sides, ROUNDS)
        bench.prove()
        bench.judge(measured)
        return report(measured, "Admission", bench.groups, as_json="--json" in arguments)


class Bench:
    """Two databases for each pair of sides: one with a cache, one without."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-admission-")))
        self._original = self._folder / "original.db"
        _fill(self._original)
        self._runner = stack.enter_context(asyncio.Runner())
        self.sides: dict[str, Side] = {}
        self.groups: dict[str, list[str]] = {}
        self.new: dict[str, coeval.Database] = {}
        for what, (call, reads) in NEW.items():
            self._pair(what, "no hits", lambda db, call=call, reads=reads: _reading(db, call, reads))
        self._pair("a point read on a loop", "no hits", self._on_a_loop)
        for slope, keys in KEYS:
            what = f"popularity {slope}, {WRITES:.0%} writes"
            self._pair(what, "popular keys", lambda db, slope=slope, keys=keys: _mixing(db, slope, keys))
        self._pair(
            "one hot key", "popular keys", lambda db: loop("db.query(point, 1)", {"db": db, "point": POINT}, 400)
        )

    def _pair(self, what: str, group: str, side: Any) -> None:
        for cache in ("memory", None):
            path = self._folder / f"{len(self.sides)}.db"
            shutil.copyfile(self._original, path)
            db = self._stack.enter_context(coeval.open(path, cache=cache, durability="normal"))
            name = what if cache else f"{what}, cache=None"
            self.sides[name] = side(db)
            self.groups.setdefault(group, []).append(name)
            if cache and group == "no hits":
                self.new[what] = db

    def _on_a_loop(self, db: coeval.Database) -> Side:
        query, new, reads = db.aio.query, count(1), 300

        async def read() -> float:
            start = perf_counter()
            for _ in range(reads):
                await query(POINT, next(new))
            return (perf_counter() - start) / reads

        return lambda: self._runner.run(read())

    def prove(self) -> None:
        """Raise where a side was not what it says."""
        for what, db in self.new.items():
            now = db.stats()
            if now.hits or now.revalidated or now.uncached:
                raise AssertionError(f"{what}: {now.hits} hits, {now.revalidated} revalidated, {now.uncached} uncached")

    def judge(self, measured: Measured) -> None:
        """Hold the sides against the limits."""
        for what in self.new:
            base = f"{what}, cache=None"
            over = measured.least(what) - measured.least(base)
            layers = 2 if "function" in what else 1  # the function, and the statement in it
            measured.check(f"no hits, {what}: over no cache", over, max(layers, measured.least(base) / 10), "µs")
            measured.note(f"{what}: over no cache, µs, median of the rounds", measured.over(what, base))
        for what in self.groups["popular keys"][::2]:
            base = f"{what}, cache=None"
            measured.note(f"{what}: part of the time without a cache", measured.ratio(what, base))


def _reading(db: coeval.Database, call: str, reads: int) -> Side:
    names = {"db": db, "new": count(1), "point": POINT, "named": NAMED, "short": SHORT, "long": LONG}
    names["function"] = db.cached(lambda number: db.query(POINT, number))
    names["page"] = db.cached(lambda number: db.query(SHORT, number))
    return loop(call, names, reads)


def _mixing(db: coeval.Database, slope: float, keys: int) -> Side:
    calls = _popular(slope, keys)
    query, execute = db.query, db.execute

    def mix() -> float:
        made = [next(calls) for _ in range(MIXED)]
        taken = 0.0
        for key, writes in made:
            if writes:
                execute(WRITE, key)
                continue
            start = perf_counter()
            query(POINT, key)
            taken += perf_counter() - start
        return taken / MIXED

    return mix


def _popular(slope: float, keys: int) -> Iterator[tuple[int, bool]]:
    chance = random.Random(1)
    weights = list(accumulate(1 / (n + 1) ** slope for n in range(keys)))
    while True:
        yield 1 + bisect.bisect_left(weights, chance.random() * weights[-1]), chance.random() < WRITES


def _fill(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "BEGIN; CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL) STRICT"
    )
    rows = ((i, f"item {i}", i / 4) for i in range(1, ROWS + 1))
    connection.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
