"""The races that caches lose, for coroutines: one fixed interleaving each on one loop. Ours survives it, the usual cache does not.

The last of each test says what was got and what was true then: equal for ours, and different for the usual one. The numbers are
those of the list of races. A coroutine function is stopped between its read and its return.
"""

# ruff: noqa: PT012 - the block that raises is the transaction itself
from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval.cache import tracked
from coherence import naive_calls as naive
from coherence.asking import PATIENCE, plain

READ = "SELECT id, v FROM t WHERE v >= ? ORDER BY id"
WRITE = "UPDATE t SET v = v + 10"
OLD, NEW = ((1, 1), (2, 2)), ((1, 11), (2, 12))


class Gate:
    """Where the first coroutine that comes after `stop` waits for `go`."""

    def __init__(self) -> None:
        self._armed = False
        self._reached, self._go = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        if self._armed:
            self._armed = False
            self._reached.set()
            async with asyncio.timeout(PATIENCE):
                await self._go.wait()

    async def stop(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Start ``call`` as a task; on return it stands behind its read."""
        self._armed = True
        task = asyncio.ensure_future(call())
        async with asyncio.timeout(PATIENCE):
            await self._reached.wait()
        return task

    def go(self) -> None:
        """Let it run on."""
        self._go.set()


class Subject:
    """A cache under trial: ``call(least)`` gives the rows of at least that value."""

    def __init__(self, db: coeval.Database, kind: type[naive.Calls] | str) -> None:
        self.db = db
        self.aio = db.aio
        self.gate = Gate()
        self.usual: Any = None
        self._call: Callable[[int], Awaitable[Any]]
        if kind == "query":
            self._call = self._query
        elif kind == "coroutine":
            self._call = self.aio.cached(key=lambda least: least)(self._query)
        else:
            assert isinstance(kind, type)
            self.usual = kind(db)
            self._call = self.usual.cached(self.truth_and_stop)

    async def _query(self, least: int) -> tuple[Any, ...]:
        rows = plain(await self.aio.query(READ, least))
        await self.gate()
        return rows

    async def truth(self, least: int = 0) -> tuple[Any, ...]:
        """Past every cache."""
        return tuple([tuple(row) async for row in self.aio.iterate(READ, least)])

    async def truth_and_stop(self, least: int) -> tuple[Any, ...]:
        """What the usual cache's function does."""
        rows = await self.truth(least)
        await self.gate()
        return rows

    async def call(self, least: int = 0) -> tuple[Any, ...]:
        """Through the cache."""
        return await self._call(least)

    async def write(self, sql: str = WRITE) -> None:
        """As a program that uses this cache writes: in a task of its own, which belongs to no transaction or snapshot."""

        async def write() -> None:
            if self.usual is None:
                await self.aio.execute(sql)
            else:
                await asyncio.to_thread(self.usual.write, sql)

        await asyncio.create_task(write())

    def judge(self, got: Any, true: Any) -> None:
        """Ours gives what is true; the usual one does not, or this test would prove nothing."""
        assert (got == true) == (self.usual is None), f"{got} for {true}"

    async def now(self, least: int = 0) -> None:
        """The next call is judged."""
        self.judge(await self.call(least), await self.truth(least))


Race = Callable[[Subject], Awaitable[None]]


@pytest.fixture
def db(path: Path) -> Iterator[coeval.Database]:
    """Two rows, and a trigger that writes to them."""
    with coeval.open(path) as db:
        db.script("""
            CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 1), (2, 2);
            CREATE TABLE u (v); CREATE TRIGGER u_t AFTER INSERT ON u BEGIN UPDATE t SET v = v + NEW.v; END;
        """)
        yield db


@pytest.fixture
def run(db: coeval.Database, request: Any) -> Callable[[Race], None]:
    """Runs a race with a subject of the kind that the test names, on a loop of its own."""

    def run(race: Race) -> None:
        async def main() -> None:
            await race(Subject(db, request.param))

        asyncio.run(main())

    return run


def survived(*usual: type[naive.Calls]) -> Any:
    """By statements and by coroutine functions, and by none of ``usual``."""
    return pytest.mark.parametrize(
        "run", ["query", "coroutine", *usual], indirect=True, ids=lambda kind: getattr(kind, "__name__", kind)
    )


@survived(naive.DeletedAfterCommit, naive.StampedAfter)
def test_a_write_during_a_load(run):
    """Races 1 and 2: A reads old rows, B commits and invalidates, A stores."""

    async def race(subject: Subject) -> None:
        load = await subject.gate.stop(subject.call)
        await subject.write()
        subject.gate.go()
        assert OLD == await load
        await subject.now()

    run(race)


@survived(naive.DeletedBeforeWrite)
def test_a_read_between_invalidation_and_write(run):
    """Race 3: it keeps the old rows, and the write follows."""

    async def race(subject: Subject) -> None:
        assert OLD == await subject.call()
        if subject.usual is None:
            async with subject.aio.transaction() as tx:
                assert OLD == await asyncio.create_task(subject.call())
                await tx.execute(WRITE)
                assert OLD == await asyncio.create_task(subject.call())
        else:
            loop = asyncio.get_running_loop()
            subject.usual.between = lambda: asyncio.run_coroutine_threadsafe(subject.call(), loop).result(PATIENCE)
            await subject.write()
        await subject.now()

    run(race)


@survived(naive.DeletedAfterCommit)
def test_an_old_snapshot_fills(run):
    """Race 4: a snapshot of before the commit is read after it."""

    async def race(subject: Subject) -> None:
        async with subject.aio.snapshot() as snap:
            await snap.query("SELECT 1 FROM t")
            await subject.write()
            assert OLD == await subject.call()
        await subject.now()

    run(race)


@survived(naive.PutBack)
def test_time_does_not_go_backwards_when_a_block_ends(run):
    """Race 5, hole 25: what was valid before the block, and still is inside a snapshot, is not valid again after it."""

    async def race(subject: Subject) -> None:
        await subject.call()
        if subject.usual is None:
            async with subject.aio.snapshot():
                assert OLD == await subject.call()
                await subject.write()
                assert NEW == await asyncio.create_task(subject.call())
                assert OLD == await subject.call()
        else:
            with subject.usual.block():
                await subject.write()
        await subject.now()

    run(race)


@survived(naive.DeletedAfterCommit)
def test_what_was_never_committed(run):
    """Race 6: read in a transaction that is rolled back."""

    async def race(subject: Subject) -> None:
        with pytest.raises(ZeroDivisionError):
            async with subject.aio.transaction() as tx:
                await tx.execute(WRITE)
                assert NEW == await subject.call()
                raise ZeroDivisionError
        await subject.now()

    run(race)


@survived(naive.DeletedAfterCommit)
def test_own_writes_are_seen(run):
    """Race 7: inside the transaction that wrote, what was kept before is not put over it."""

    async def race(subject: Subject) -> None:
        await subject.call()
        async with subject.aio.transaction() as tx:
            await tx.execute(WRITE)
            subject.judge(await subject.call(), NEW)

    run(race)


@survived(naive.TaggedByRows)
def test_rows_that_come(run):
    """Race 8: an empty list, and a row that comes into its condition."""

    async def race(subject: Subject) -> None:
        assert () == await subject.call(5)
        if subject.usual is not None:
            subject.usual.touched = (3,)
        await subject.write("INSERT INTO t VALUES (3, 6)")
        await subject.now(5)

    run(race)


@survived(naive.WordsOfTheStatement)
def test_writes_that_do_not_name_the_table(run):
    """Race 10: a trigger writes to it."""

    async def race(subject: Subject) -> None:
        await subject.call()
        await subject.write("INSERT INTO u VALUES (10)")
        await subject.now()

    run(race)


@survived(naive.Calls, naive.ForATime, naive.DeletedAfterCommit)
def test_another_program_writes_and_dies(run, foreign):
    """Races 10, 12 and 14: killed between its commit and whatever it would have told."""

    async def race(subject: Subject) -> None:
        await subject.call()
        foreign.execute(WRITE)
        os.kill(foreign.pid, signal.SIGKILL)
        await subject.now()

    run(race)


@survived(naive.MissingIsFresh)
def test_stamps_that_are_missing(run, foreign):
    """Race 13: nothing is fresh because nothing is known of it."""

    async def race(subject: Subject) -> None:
        await subject.call()
        await subject.write()
        if subject.usual is None:
            foreign.execute("DELETE FROM _coeval_stamps")
        else:
            subject.usual.version = None
        await subject.now()

    run(race)


def test_a_tag_invalidated_during_a_load(db):
    """Races 1 and 11: two coroutines with one tag, both under way; neither is kept with a stamp of after."""

    async def main() -> None:
        value, gates = [1], (Gate(), Gate())

        def tagged(gate: Gate) -> Any:
            async def call() -> int:
                found = value[0]
                await gate()
                return found

            call.__qualname__ = f"call {gates.index(gate)}"
            return db.aio.cached(tags=["both"])(call)

        calls = [tagged(gate) for gate in gates]
        loads = [await gate.stop(call) for gate, call in zip(gates, calls, strict=True)]
        value[0] = 2
        await db.aio.invalidate("both")
        for gate in gates:
            gate.go()
        assert [1, 1] == [await load for load in loads]
        assert [2, 2, 2, 2] == [await call() for call in (*calls, *calls)]

    asyncio.run(main())


def test_a_slow_creator(db, monkeypatch):
    """Race 15: who has waited long enough computes for itself; nobody gets an error because another is slow."""
    monkeypatch.setattr(tracked, "PATIENCE", 0.05)

    async def main() -> None:
        subject = Subject(db, "coroutine")
        load = await subject.gate.stop(subject.call)
        assert [OLD] * 3 == await asyncio.gather(*(subject.call() for _ in range(3)))
        subject.gate.go()
        assert OLD == await load

    asyncio.run(main())


def test_nobody_joins_an_older_load(db):
    """Hole 5: B's call begins after a commit that A's load, still under way, cannot have seen."""

    async def main() -> None:
        subject = Subject(db, "coroutine")
        load = await subject.gate.stop(subject.call)
        await subject.write()
        late = [asyncio.create_task(subject.call()) for _ in range(5)]
        await asyncio.sleep(0)
        subject.gate.go()
        assert OLD == await load
        assert [NEW] * 5 == await asyncio.gather(*late)

    asyncio.run(main())


def test_a_load_that_is_cancelled_leaves_nothing_behind(db):
    """Race 1 with a cancelled reader: those who wait for it get the present, and no half of it is kept."""

    async def main() -> None:
        subject = Subject(db, "coroutine")
        load = await subject.gate.stop(subject.call)
        await subject.write()
        late = [asyncio.create_task(subject.call()) for _ in range(5)]
        await asyncio.sleep(0)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load
        assert [NEW] * 5 == await asyncio.gather(*late)
        await subject.now()

    asyncio.run(main())


def test_a_write_between_two_reads_of_one_load(db):
    """Race 2 inside a coroutine: it has seen both sides of a commit, and is kept with the stamp of its first read, which is gone."""

    async def main() -> None:
        gate = Gate()

        @db.aio.cached
        async def twice() -> tuple[Any, ...]:
            before = await db.aio.scalar("SELECT sum(v) FROM t")
            await gate()
            return before, await db.aio.scalar("SELECT max(v) FROM t")

        load = await gate.stop(twice)
        await asyncio.create_task(db.aio.execute(WRITE))
        gate.go()
        assert (3, 12) == await load
        assert (23, 12) == await twice() == await twice()

    asyncio.run(main())
