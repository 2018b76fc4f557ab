"""What a read costs under asyncio, and what slow queries do to the loop, beside aiosqlite, SQLAlchemy and raw APSW.

Usage: python benchmarks/async_reads.py [--json]

Point reads are awaited one after another in one task, every side on one event loop, with ``cache=None``. Raw APSW is called
in a coroutine's loop and awaits nothing: it is the floor, and would block the loop. aiosqlite is used in the three ways that it
offers: ``async with execute`` and ``async for``, which its documentation shows first; with ``fetchall`` for the loop, which the
limit is held against; and its shortcut ``execute_fetchall``. They differ in how often they go to its thread and back: four
times, three times, once. Many short rounds take turns; ratios are formed round by round. Every library has a file of its own with
equal contents.

The loop's delay is how late a timer of 1 ms fires, measured by one task that does nothing else. It is taken three ways in each
round: idle; beside four tasks that await slow queries one after another (one of them ``count(*)``, a single opcode); and idle
again while another process runs the same queries in four threads. Four busy threads on a machine of few cores make every
process wait for a core, whoever started them. The third way tells how long, so it is the idle value that the limit is held
against: what is beyond it comes from sharing the process with the queries. Ends with 1 where a limit is passed.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
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
TICK = 0.001
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

IDLE, BUSY = "idle", "idle, the queries in another process"

Query = Callable[[str], Awaitable[object]]


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--load"]:
        return load(arguments[1])
    as_json = "--json" in arguments
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-async-")))
        fill(folder / "coeval.db")
        for name in ("aiosqlite.db", "sqlalchemy.db", "load.db"):
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
        heads = ["how late a timer fires", "p50 ms", "p99 ms", "slowest ms"]
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
        """How late timers were, a list for each round, each of the three ways."""
        found: Delays = {IDLE: [], "beside": [], BUSY: []}
        for _ in range(DELAYS):
            found[IDLE].append(await ticks())
            found["beside"].append(await beside(query))
            found[BUSY].append(await elsewhere(self.folder / "load.db"))
        return found


async def ticks() -> list[float]:
    """How late a timer fires, each time, for some seconds."""
    event_loop, found = asyncio.get_running_loop(), []
    due = event_loop.time() + TICK
    ends = due + SECONDS
    while due < ends:
        fired = event_loop.create_future()
        event_loop.call_at(due, fired.set_result, None)
        await fired
        now = event_loop.time()
        found.append(now - due)
        due = now + TICK
    return found


async def beside(query: Query) -> list[float]:
    going = True

    async def work(number: int) -> None:
        for i in count(number):
            await query(SLOW[i % len(SLOW)])
            if not going:
                return

    tasks = [asyncio.create_task(work(number)) for number in range(TASKS)]
    await asyncio.sleep(0.1)
    found = await ticks()
    going = False
    await asyncio.gather(*tasks)
    return found


async def elsewhere(path: Path) -> list[float]:
    command = [sys.executable, "-P", __file__, "--load", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220 - nothing is measured meanwhile
    try:
        assert process.stdout is not None
        process.stdout.readline()
        return await ticks()
    finally:
        process.kill()
        process.wait()


def load(path: str) -> int:
    """The slow queries in threads, until killed."""

    def work(number: int) -> None:
        connection = _foreign.raw(path)
        for i in range(number, 10_000):
            connection.execute(SLOW[i % len(SLOW)]).fetchall()

    for number in range(TASKS):
        threading.Thread(target=work, args=(number,)).start()
    print("working", flush=True)
    return 0


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
            measured.note(f"{side}: p99 beside / idle, quiet machine", over(found, IDLE))
    quiet = over(delays["Coeval"], IDLE)
    measured.check("Coeval: the loop's p99 beside slow queries / idle, quiet machine", quiet, 2, "×")
    measured.check(
        "Coeval: the loop's p99 beside slow queries / idle, equally busy", over(delays["Coeval"], BUSY), 2, "×"
    )


def over(found: Delays, base: str) -> float:
    """The p99 beside slow queries over that of ``base``, the median over the rounds."""
    return median(p99(a) / p99(b) for a, b in zip(found["beside"], found[base], strict=True))


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
