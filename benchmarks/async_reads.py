"""What a read costs under asyncio, and what slow queries do to the loop, beside aiosqlite, SQLAlchemy and raw APSW.

Usage: python benchmarks/async_reads.py [--json]

Point reads are awaited one after another in one task, every side on one event loop, with ``cache=None``. Raw APSW is called
in a coroutine's loop and awaits nothing: it is the floor, and would block the loop. aiosqlite is used in the three ways that it
offers: ``async with execute`` and ``async for``, which its documentation shows first; with ``fetchall`` for the loop, which the
limit is held against; and its shortcut ``execute_fetchall``. They differ in how often they go to its thread and back: four
times, three times, once. Many short rounds take turns; ratios are formed round by round. Every library has a file of its own with
equal contents.

The loop's delay is how long what another process writes waits until the loop takes it: that process writes the time into a pipe
a thousand times a second, and the loop, which does nothing else, reads it. (A timer of the loop's would not do: epoll counts
whole milliseconds, so that a timer is late by up to one whenever something else woke the loop.) It is measured idle and beside four
tasks that await slow queries one after another, one of them ``count(*)``, a single opcode, and one that sorts.

Ends with 1 where a limit is passed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack
from itertools import chain, count
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any

import apsw

sys.path.insert(0, str(Path(__file__).parent))
import _children
import _foreign
from _rounds import MACHINE, Measured, Side, alternate, conclude, report, table

import coeval

ROUNDS = 40
READS = 200  #: a round
ROWS = 200_000
POINT = "SELECT id, name, price FROM item WHERE id = ?"

DELAYS = 4  #: rounds of the loop's delay
SECONDS = 1.5  #: each way
WARM_UP = 0.2  #: of them, before
TASKS = 4
SLOW = (
    "SELECT sum(price * price) FROM item WHERE kind > 3",
    "SELECT count(*) FROM item",
    "SELECT kind, count(*), max(price) FROM item GROUP BY kind ORDER BY 2",
    "SELECT count(*) FROM item a JOIN item b ON b.id = (a.id * 7919) % 200000 WHERE a.kind < 30",
)

COEVAL = "Coeval: await db.query"
RAW = "raw APSW: execute, fetchall"
AIOSQLITE = "aiosqlite: execute, fetchall, close"
ITERATED = "aiosqlite: execute, async for, close"
AT_ONCE = "aiosqlite: execute_fetchall"
SQLALCHEMY = "SQLAlchemy + aiosqlite: execute, fetchall"

IDLE, BESIDE = "idle", "beside slow queries"

Query = Callable[[str], Awaitable[object]]


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--write"]:
        return write_times(int(arguments[1]))
    as_json = "--json" in arguments
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-async-")))
        fill(folder / "coeval.db")
        for name in ("aiosqlite.db", "sqlalchemy.db"):
            shutil.copyfile(folder / "coeval.db", folder / name)
        runner = stack.enter_context(asyncio.Runner())
        bench = Bench(folder, runner)
        runner.run(bench.open())
        stack.callback(lambda: runner.run(bench.close()))
        measured = alternate(bench.sides, ROUNDS)
        delays = {side: runner.run(bench.delays(query)) for side, query in bench.slow.items()}
        judge(measured, delays)
        if as_json:
            return conclude(measured, facts(measured, delays), as_json=True)
        heads = ["what arrives waits", "p50 ms", "p99 ms", "slowest ms"]
        table(f"The loop's delay. {MACHINE}", heads, {side: shown(found) for side, found in delays.items()})
        return report(measured, "asyncio: point reads", {"one task": list(measured.times)}, as_json=False)


Delays = dict[str, list[list[float]]]


class Bench:
    """The sides, all on one loop."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.folder = folder
        self.runner = runner
        self.stack = AsyncExitStack()
        self.sides: dict[str, Side] = {}
        self.slow: dict[str, Query] = {}

    async def open(self) -> None:
        await self._coeval()
        raw = _foreign.raw(self.folder / "coeval.db")
        self.stack.callback(raw.close)

        async def read(parameter: int) -> object:
            return raw.execute(POINT, (parameter,)).fetchall()

        async def run(parameters: range) -> None:
            for i in parameters:
                raw.execute(POINT, (i,)).fetchall()

        self._side(RAW, run, await read(7))
        await self._aiosqlite()
        await self._sqlalchemy()

    async def close(self) -> None:
        await self.stack.aclose()

    async def _coeval(self) -> None:
        if not hasattr(coeval, "aopen"):
            return
        db: Any = await coeval.aopen(self.folder / "coeval.db", cache=None)
        self.stack.push_async_callback(db.close)

        async def run(parameters: range) -> None:
            for i in parameters:
                await db.query(POINT, i)

        self._side(COEVAL, run, await db.query(POINT, 7))
        self.slow["Coeval"] = db.query

    async def _aiosqlite(self) -> None:
        import aiosqlite

        connection = await aiosqlite.connect(self.folder / "aiosqlite.db", isolation_level=None)
        self.stack.push_async_callback(connection.close)
        for name, value in _foreign.GUIDES.items():
            await connection.execute_fetchall(f"PRAGMA {name} = {value}")

        async def run(parameters: range) -> None:
            for i in parameters:
                async with connection.execute(POINT, (i,)) as cursor:
                    await cursor.fetchall()

        async def run_iterated(parameters: range) -> None:
            for i in parameters:
                async with connection.execute(POINT, (i,)) as cursor:
                    async for _row in cursor:
                        pass

        async def run_at_once(parameters: range) -> None:
            for i in parameters:
                await connection.execute_fetchall(POINT, (i,))

        self._side(AIOSQLITE, run, await connection.execute_fetchall(POINT, (7,)))
        self._side(ITERATED, run_iterated)
        self._side(AT_ONCE, run_at_once)
        self.slow["aiosqlite"] = connection.execute_fetchall

    async def _sqlalchemy(self) -> None:
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(f"sqlite+aiosqlite:///{self.folder / 'sqlalchemy.db'}")
        self.stack.push_async_callback(engine.dispose)
        connection = await self.stack.enter_async_context(engine.connect())
        for name, value in _foreign.GUIDES.items():
            await connection.exec_driver_sql(f"PRAGMA {name} = {value}")
        point = text(POINT.replace("?", ":id"))

        async def run(parameters: range) -> None:
            for i in parameters:
                (await connection.execute(point, {"id": i})).fetchall()

        self._side(SQLALCHEMY, run, (await connection.execute(point, {"id": 7})).fetchall())

    def _side(self, name: str, run: Callable[[range], Coroutine[Any, Any, None]], seventh: Any = None) -> None:
        if seventh is not None and [tuple(row) for row in seventh] != [(7, "item 7", 1.75, 7)[:3]]:
            raise AssertionError(f"{name} read {seventh}")
        starts = count(1, READS)

        async def timed() -> float:
            first = next(starts)
            start = perf_counter()
            await run(range(first, first + READS))
            return (perf_counter() - start) / READS

        self.sides[name] = lambda: self.runner.run(timed())

    async def delays(self, query: Query) -> Delays:
        """How long what arrived waited, a list for each round, each of the two ways."""
        found: Delays = {IDLE: [], BESIDE: []}
        for _ in range(DELAYS):
            found[IDLE].append(await arrivals())
            found[BESIDE].append(await beside(query))
        return found


async def arrivals() -> list[float]:
    """How long what another process writes into a pipe waits for the loop, each time, for some seconds."""
    loop = asyncio.get_running_loop()
    found: list[float] = []
    reading, writing = os.pipe()
    command = [sys.executable, "-P", __file__, "--write", str(writing)]
    process = subprocess.Popen(command, pass_fds=[writing])  # noqa: ASYNC220 - nothing is measured meanwhile
    os.close(writing)

    def take() -> None:
        written = array("d", os.read(reading, 1 << 16))
        now = monotonic()
        found.extend(now - moment for moment in written)

    try:
        os.read(reading, 8)  # it has begun
        os.set_blocking(reading, False)
        loop.add_reader(reading, take)
        await asyncio.sleep(WARM_UP)
        found.clear()
        await asyncio.sleep(SECONDS)
        return found[:]
    finally:
        loop.remove_reader(reading)
        os.close(reading)
        process.kill()
        process.wait()


def write_times(descriptor: int) -> int:
    """The time, into a pipe, every millisecond, until killed."""
    while True:
        sleep(0.001)
        os.write(descriptor, array("d", [monotonic()]))


async def beside(query: Query) -> list[float]:
    going = True

    async def work(number: int) -> None:
        for i in count(number):
            await query(SLOW[i % len(SLOW)])
            if not going:
                return

    tasks = [asyncio.create_task(work(number)) for number in range(TASKS)]
    found = await arrivals()
    going = False
    await asyncio.gather(*tasks)
    return found


def judge(measured: Measured, delays: dict[str, Delays]) -> None:
    if COEVAL not in measured.times:
        print("SKIP  Coeval: there is no coeval.aopen", file=sys.stderr)
        return
    for side in (ITERATED, AT_ONCE, SQLALCHEMY):
        measured.note(f"{side} / Coeval", measured.ratio(side, COEVAL))
    measured.check(f"{AIOSQLITE} / Coeval", measured.ratio(AIOSQLITE, COEVAL), 20, "×", least=True)
    measured.check("Coeval's rate / raw APSW's", measured.ratio(RAW, COEVAL), 0.6, "×", least=True)
    for side, found in delays.items():
        if side != "Coeval":
            measured.note(f"{side}: the loop's p99 beside slow queries / idle", over(found))
    measured.check("Coeval: the loop's p99 beside slow queries / idle", over(delays["Coeval"]), 2, "×")


def over(found: Delays) -> float:
    """The p99 beside slow queries over the idle one: of all rounds together, because single rounds have few that late."""
    return p99(list(chain(*found[BESIDE]))) / p99(list(chain(*found[IDLE])))


def p99(values: list[float]) -> float:
    return _children.percentile(values, 0.99)


def shown(found: Delays) -> dict[str, list[float]]:
    return {
        way: [median(_children.percentile(one, share) for one in rounds) * 1000 for share in (0.5, 0.99, 1.0)]
        for way, rounds in found.items()
    }


def facts(measured: Measured, delays: dict[str, Delays]) -> dict[str, Any]:
    sides = {name: {"min": measured.least(name), "median": measured.usual(name)} for name in measured.times}
    late = {side: shown(found) for side, found in delays.items()}
    return {"title": "asyncio: point reads", "machine": MACHINE, "microseconds": sides, "delays": late}


def fill(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL, kind INTEGER NOT NULL) STRICT"
    )
    rows = ((i, f"item {i}", i / 4, i % 97) for i in range(1, ROWS + 1))
    with connection:
        connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)
    connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
