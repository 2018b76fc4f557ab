"""Reads of asyncio's: the answers of the blocking face, on the loop's thread while they are short."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval import errors
from coeval.sqlite import connection
from loops import ENDLESS, Trace, filled, loop, until

from processes import Foreign

ONE = "SELECT id, name FROM t WHERE id = ?"
CACHES = pytest.mark.parametrize("cache", ["memory", None])


@dataclass
class Thing:
    """A row."""

    id: int
    name: str


@CACHES
def test_every_reading_call(path: Path, cache: str | None):
    """Rows, one, first, scalar, rows as dataclasses, named parameters; several times, as the way changes with what is known."""

    async def main() -> None:
        async with await filled(path, cache=cache) as db:
            for _ in range(6):
                assert await db.query(ONE, 3) == ((3, "n3"),)
                assert await db.query(ONE, 3, into=Thing) == (Thing(3, "n3"),)
                assert await db.query("SELECT name FROM t WHERE id = :id", {"id": 2}) == (("n2",),)
                assert (await db.one(ONE, 4))["name"] == "n4"
                assert await db.one(ONE, 4, into=Thing) == Thing(4, "n4")
                assert await db.first("SELECT name FROM t ORDER BY id") == ("n1",)
                assert await db.first(ONE, 99) is None
                assert await db.scalar("SELECT count(*) FROM t") == 10
                assert [row async for row in db.iterate(ONE, 5)] == [(5, "n5")]
                assert [row async for row in db.iterate(ONE, 5, into=Thing)] == [Thing(5, "n5")]

    loop(main)


@CACHES
def test_every_error(path: Path, cache: str | None):
    """As on the blocking face; none costs the only reader."""

    async def main() -> None:
        async with await filled(path, cache=cache, readers=1, timeout=2.0) as db:
            for _ in range(4):
                wrong: list[tuple[type[errors.Error], Any, tuple[Any, ...]]] = [
                    (errors.SQLError, "SELECT nothing FROM t", ()),
                    (errors.SQLError, "DELETE FROM t", ()),
                    (errors.SQLError, 3, ()),
                    (errors.ParameterError, ONE, ()),
                    (errors.ParameterError, ONE, (1, 2)),
                    (errors.ParameterError, ONE, (2**63,)),
                    (errors.ParameterError, ONE, ("\udc80",)),
                    (errors.ParameterError, ONE, ([],)),
                    (errors.ParameterError, ONE, ({},)),
                ]
                for error, sql, params in wrong:
                    with pytest.raises(error):
                        await db.query(sql, *params)
                with pytest.raises(errors.NoRowError):
                    await db.one(ONE, 99)
                with pytest.raises(errors.ManyRowsError):
                    await db.scalar("SELECT id FROM t")
                with pytest.raises(errors.ResultError):
                    await db.scalar(ONE, 1)
                assert await db.query(ONE, 1) == ((1, "n1"),)

    loop(main)


@CACHES
def test_the_next_read_sees_every_commit(path: Path, cache: str | None, start_foreign: Any):
    """A commit of another process is seen by the read that begins after it, also where an entry was proved before."""
    foreign: Foreign = start_foreign()

    async def main() -> None:
        async with await filled(path, cache=cache) as db:
            for number in range(20):
                foreign.execute("UPDATE t SET name = ? WHERE id = 3", f"v{number}")
                for _ in range(2):
                    assert await db.query(ONE, 3) == ((3, f"v{number}"),)
                await db.execute("UPDATE t SET name = ? WHERE id = 3", f"w{number}")
                assert await db.query(ONE, 3) == ((3, f"w{number}"),)

    loop(main)


@CACHES
def test_short_reads_run_on_the_loop(path: Path, cache: str | None, trace: Trace):
    """The first time a worker analyses the statement; from then on the loop's own thread runs it."""

    async def main() -> None:
        async with await filled(path, cache=cache, on_connect=trace) as db:
            for i in range(1, 9):
                assert await db.query(ONE, i) == ((i, f"n{i}"),)
        here = threading.get_ident()
        threads = trace.threads(ONE)
        assert threads[0] != here
        assert threads[1:] == [here] * 7

    loop(main)


@CACHES
def test_what_outruns_the_budget_goes_to_a_worker(path: Path, cache: str | None, trace: Trace):
    """A statement of short steps, but of many: it begins on the loop, is stopped, and runs in a worker, then and later."""
    sql = ENDLESS.replace("FROM c) SELECT", "FROM c LIMIT ?) SELECT")

    async def main() -> None:
        async with await filled(path, cache=cache, on_connect=trace) as db:
            assert await db.scalar(sql, 10, 3) == 10
            assert await db.scalar(sql, 20, 3) == 19
            assert await db.scalar(sql, 400_000, 3) == 400_000
            assert await db.scalar(sql, 400_001, 3) == 400_000
        here = threading.get_ident()
        # analysed in a worker; on the loop; there and, outrun, in a worker; in a worker at once
        assert [thread == here for thread in trace.threads(sql)] == [False, True, True, False, False]

    loop(main)


@CACHES
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM t",
        "SELECT length(replace(hex(zeroblob(?1 * 0 + 10)), '0', 'ab'))",
        "SELECT name FROM t ORDER BY name",
        "SELECT rowid FROM words WHERE words MATCH 'n1' ORDER BY rank",
        "SELECT mine(id) FROM t WHERE id = 1",
    ],
)
def test_long_steps_never_begin_on_the_loop(path: Path, cache: str | None, sql: str, trace: Trace):
    """Hole 14: one step of these may take any time, which no budget bounds; a worker runs them until they were quick there."""

    async def main() -> None:
        async with await filled(path, cache=cache, on_connect=trace) as db:
            await db.execute("CREATE VIRTUAL TABLE words USING fts5(word)")
            await db.execute("INSERT INTO words SELECT name FROM t")
            await db.create_function("mine", lambda value: value, 1)
            params = (1,) if "?" in sql else ()
            for number in range(3):
                await db.execute("UPDATE t SET name = name || ? WHERE id = 9", str(number))  # so that none is a hit
                await db.execute("UPDATE words SET word = word WHERE rowid = 9")
                await db.query(sql, *params)
        assert len(trace.threads(sql)) >= (1 if "zeroblob" in sql else 3)
        assert threading.get_ident() not in trace.threads(sql)

    loop(main)


def test_quick_long_steps_come_to_the_loop(path: Path, trace: Trace):
    """A statement that may be slow and was quick three times in a worker runs on the loop; one that calls the user's code never."""
    count, mine = "SELECT count(*) FROM t", "SELECT mine(id) FROM t WHERE id = 1"

    async def main() -> None:
        async with await filled(path, cache=None, on_connect=trace) as db:
            await db.create_function("mine", lambda value: value, 1)
            for _ in range(6):
                await db.query(count)
                await db.query(mine)
        here = threading.get_ident()
        assert [thread == here for thread in trace.threads(count)] == [False] * 3 + [True] * 3
        assert [thread == here for thread in trace.threads(mine)] == [False] * 6

    loop(main)


@CACHES
def test_a_lock_does_not_stop_the_loop(path: Path, cache: str | None, start_foreign: Any):
    """Another process has the file to itself: the reads wait in workers, the loop goes round, and releases the lock itself."""
    foreign: Foreign = start_foreign()
    foreign.execute("PRAGMA journal_mode=DELETE")
    foreign.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    foreign.execute("INSERT INTO t VALUES (3, 'n3')")

    async def main() -> None:
        async with coeval.aopen(path, cache=cache, coherence="clock", timeout=60.0) as db:
            for i in range(5):
                await db.query(ONE, i)
            foreign.execute("BEGIN EXCLUSIVE")
            reads = [asyncio.create_task(db.query(ONE, 3)) for _ in range(5)]
            for _ in range(200):
                await asyncio.sleep(0)
            await asyncio.sleep(0.02)
            assert not any(task.done() for task in reads)
            foreign.execute("COMMIT")  # from the loop's thread: it would never come if a read stopped that
            assert await asyncio.gather(*reads) == [((3, "n3"),)] * 5

    loop(main)


@CACHES
def test_others_have_their_turn(path: Path, cache: str | None):
    """A task that reads and reads, and never waits, does not keep the loop to itself."""

    async def main() -> None:
        async with await filled(path, cache=cache) as db:
            await db.query(ONE, 1)
            rounds = 0

            async def going_round() -> None:
                nonlocal rounds
                while True:
                    await asyncio.sleep(0)
                    rounds += 1

            task = asyncio.create_task(going_round())
            await asyncio.sleep(0)
            before = rounds
            for i in range(5000):
                await db.query(ONE, 1 if cache else i)
            assert rounds - before >= 4
            task.cancel()

    loop(main)


def test_functions_run_in_the_context_of_the_caller(path: Path):
    """A user's function, in a worker, sees the caller's context variables; calls that it makes on the database join nothing."""
    from contextvars import ContextVar

    name: ContextVar[str] = ContextVar("name")

    async def main() -> None:
        async with await filled(path) as db, coeval.aopen(path) as _:
            blocking = coeval.open(path)
            await db.create_function("who", name.get, 0)
            await db.create_function("there", lambda: blocking.scalar("SELECT count(*) FROM t"), 0)
            name.set("caller")
            assert await db.scalar("SELECT who()") == "caller"
            async with db.transaction() as tx:
                await tx.execute("DELETE FROM t")
                assert await tx.scalar("SELECT who()") == "caller"
                assert await tx.scalar("SELECT there()") == 10
            blocking.close()

    loop(main)


@CACHES
def test_many_readers_at_once(path: Path, cache: str | None):
    """More slow reads than readers: all are answered, by as many threads as there are readers."""
    sql = "SELECT ?, sum(mine(id)) FROM t"

    async def main() -> None:
        async with await filled(path, cache=cache, readers=3) as db:
            await db.create_function("mine", lambda value: value, 1)
            assert await asyncio.gather(*(db.query(sql, i) for i in range(40))) == [((i, 55),) for i in range(40)]
            assert db._engine is not None
            assert db._engine.workers.reads.count <= 3
            readers = db._engine.store().readers
            await until(lambda: len(readers.idle) == len(readers._members))

    loop(main)


def test_rows_are_taken_with_pauses_beside_a_loop(path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a worker, where the loop may be waiting for the interpreter; never for a caller that has only itself to wait for."""
    pauses: list[float] = []
    monkeypatch.setattr(connection, "sleep", pauses.append)
    monkeypatch.setattr(connection, "HOGGED", -1.0)
    many = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT printf('%d', i) AS i FROM n"

    async def main() -> None:
        async with await filled(path, cache=None) as db:
            assert await db.query(many) == tuple((str(i),) for i in range(1, 1001))
            assert len(pauses) > 1000 / 20
            assert {connection.PAUSE} == set(pauses)
            pauses.clear()
            async with db.snapshot() as snap:
                await snap.query(many)
            assert pauses
            pauses.clear()
            assert len([row async for row in db.iterate(many)]) == 1000
            engine = db._engine
            assert engine is not None
            assert not engine.store().readers.idle[-1].gentle

    loop(main)
    pauses.clear()
    with coeval.open(path) as db:
        assert len(db.query(many)) == 1000
        assert len(db.query(many)) == 1000
    assert not pauses
