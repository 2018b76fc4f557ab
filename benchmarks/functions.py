"""What a call of a cached function costs: a hit beside functools.lru_cache, and what else a call may be.

Usage: python benchmarks/functions.py [--json]

All in one run on the same data, in many short rounds that take turns. Ratios are formed round by round; limits are held
against their median. Ends with 1 where a limit is passed. Each side proves by the functions' own counters that it was what it says.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import lru_cache
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw

import coeval

sys.path.insert(0, str(Path(__file__).parent))
from _rounds import Measured, Side, alternate, loop, report

ROUNDS = 60
HITS = 4000
FEW = 400  #: of what takes longer
SQL = "SELECT name FROM item WHERE id = ?"


def main(arguments: list[str]) -> int:
    with ExitStack() as stack:
        bench = Bench(stack)
        measured = alternate(bench.sides, ROUNDS)
        bench.prove()
        bench.judge(measured)
        return report(measured, "Functions", bench.groups(), as_json="--json" in arguments)


class Bench:
    """The sides, over one file."""

    def __init__(self, stack: ExitStack) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-functions-"))
        path = str(Path(folder, "app.db"))
        self.db = stack.enter_context(coeval.open(path))
        admission = self.db._engine.tier.admission  # all is kept: what it is worth is admission.py's question
        admission.costs = admission.costs._replace(keeping=0.0)
        self.db.script("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE elsewhere(n INTEGER)")
        self.db.executemany("INSERT INTO item VALUES (?, ?)", ((i, f"item {i}") for i in range(1, 1001)))
        self.db.execute("INSERT INTO elsewhere VALUES (0)")
        self.other = _connected(stack, path)
        self.loop = asyncio.new_event_loop()
        stack.callback(self.loop.close)
        self.fresh = count()
        self.sides: dict[str, Side] = {}
        self.functions: list[Any] = []
        self._hits()
        self._others()

    def _hits(self) -> None:
        db = self.db

        @lru_cache(maxsize=1024)
        def remembered(*values: object) -> object:
            return values

        @db.cached
        def one(number: int) -> Any:
            return db.scalar(SQL, number)

        @db.cached
        def two(number: int, text: str) -> Any:
            return db.scalar(SQL, number), text

        @db.cached
        def none() -> Any:
            return db.scalar("SELECT count(*) FROM item")

        @db.cached
        def default(number: int, text: str = "text") -> Any:
            return db.scalar(SQL, number), text

        @db.cached
        def changeable(number: int) -> list[Any]:
            return list(db.one(SQL, number))

        class Items:
            @db.cached(leave_out=["self"])
            def name(self, number: int) -> Any:
                return db.scalar(SQL, number)

        names = {"remembered": remembered, "one": one, "two": two, "none": none, "default": default,
                 "changeable": changeable, "items": Items(), "db": db, "sql": SQL}  # fmt: skip
        for what, given in (
            ("an int", "one(500)"),
            ("an int and a str", "two(500, 'text')"),
            ("no argument", "none()"),
        ):
            self.sides[f"hit: {what}"] = loop(given, names, HITS)
            plain = f"remembered{given[given.index('(') :]}"
            self.sides[f"functools.lru_cache hit: {what}"] = loop(plain, names, HITS)
        self.sides["hit: by name, and a default"] = loop("default(number=500)", names, FEW)
        self.sides["hit: a method"] = loop("items.name(500)", names, FEW)
        self.sides["hit: a list, of which each caller gets a copy"] = loop("changeable(500)", names, FEW)
        self.sides["hit of db.query, for comparison"] = loop("db.query(sql, 500)", names, HITS)
        self.functions += [one, two, none, default, changeable, Items.name]

    def _others(self) -> None:
        db = self.db

        @db.cached
        def inner(number: int) -> Any:
            return db.scalar(SQL, number)

        @db.cached
        def outer(number: int, more: int) -> Any:
            return inner(number), more

        @db.cached
        async def awaited(number: int) -> Any:
            return await db.aio.scalar(SQL, number)

        async def plain(number: int) -> Any:
            return number

        async def many(call: Callable[[int], Awaitable[Any]]) -> float:
            start = perf_counter()
            for _ in range(FEW):
                await call(500)
            return (perf_counter() - start) / FEW

        def nested() -> float:
            start = perf_counter()
            for _ in range(FEW):
                outer(500, next(self.fresh))
            return (perf_counter() - start) / FEW

        def revalidated() -> float:
            taken = 0.0
            for _ in range(40):
                self.other.execute("UPDATE elsewhere SET n = n + 1")
                start = perf_counter()
                inner(500)
                taken += perf_counter() - start
            return taken / 40

        self.sides["hit of a coroutine"] = lambda: self.loop.run_until_complete(many(awaited))
        self.sides["a plain coroutine"] = lambda: self.loop.run_until_complete(many(plain))
        self.sides["a miss that calls a cached function, which is hit"] = nested
        self.sides["revalidation, first call after a commit elsewhere"] = revalidated
        inner(500)
        self.functions += [inner, awaited]
        self.outer = outer

    def prove(self) -> None:
        """Raise where a side was not what it says."""
        for function in self.functions:
            if function.cache_info().misses != 1:
                raise AssertionError(f"{function.__qualname__} was computed {function.cache_info().misses} times")
        if self.outer.cache_info().misses != (ROUNDS + 2) * FEW or self.outer.cache_info().unkept:
            raise AssertionError("the outer function was not kept each time")

    def groups(self) -> dict[str, list[str]]:
        names = list(self.sides)
        return {"a hit": names[:10], "others": names[10:]}

    def judge(self, measured: Measured) -> None:
        for what in ("an int", "an int and a str", "no argument"):
            ratio = measured.ratio(f"hit: {what}", f"functools.lru_cache hit: {what}")
            measured.check(f"hit / functools.lru_cache hit: {what}", ratio, 15, "×")
        measured.note("hit / hit of db.query", measured.ratio("hit: an int", "hit of db.query, for comparison"))
        measured.note(
            "hit of a coroutine over a plain one, µs", measured.over("hit of a coroutine", "a plain coroutine")
        )


def _connected(stack: ExitStack, path: str) -> apsw.Connection:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    stack.callback(connection.close)
    connection.execute("PRAGMA synchronous = OFF")  # its commits are not what is measured
    connection.set_busy_timeout(5000)
    return connection


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
