"""Cancellation: reads are interrupted, writes dropped or made, connections clean, nobody else is hit."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval import errors
from coeval.sqlite.connection import Connection
from loops import ENDLESS, Stall, filled, loop, until

from processes import Foreign

ONE = "SELECT id, name FROM t WHERE id = ?"
CACHES = pytest.mark.parametrize("cache", ["memory", None])


def _stall(inside: threading.Event, go: threading.Event) -> int:
    inside.set()
    go.wait(20)
    return 7


@CACHES
def test_a_cancelled_read_lets_its_worker_go(path: Path, cache: str | None):
    """A statement without end: the only reader and its thread are free soon after, for one that is not disturbed."""

    async def main() -> None:
        async with await filled(path, cache=cache, readers=1) as db:
            assert db._engine is not None
            readers = db._engine.store().readers
            for number in range(5):
                task = asyncio.create_task(db.query(ENDLESS, number + 2))
                await until(lambda: not readers.idle)
                await asyncio.sleep(0.005)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await db.query(f"{ONE} AND {number} < 99", 1) == ((1, "n1"),)
            await until(lambda: len(readers.idle) == 1)

    loop(main)


@CACHES
def test_a_read_that_waits_for_a_worker_is_dropped(path: Path, cache: str | None):
    """It never runs; those before and behind it do."""

    async def main() -> None:
        async with await filled(path, cache=cache, readers=1) as db:
            ran: list[int] = []
            go = threading.Event()

            def note(value: int) -> int:
                ran.append(value)
                go.wait(20)
                return value

            await db.create_function("note", note, 1)
            tasks = [asyncio.create_task(db.query("SELECT note(?)", i)) for i in range(3)]
            await until(lambda: ran)
            tasks[1].cancel()
            await asyncio.sleep(0)
            go.set()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [False, True, False]
            assert ran == [0, 2]

    loop(main)


def test_the_next_borrower_is_never_interrupted(path: Path, scaled: Callable[[int, int], int]):
    """Cancelled at any moment, over and over; reads of threads and tasks on the same few connections never notice."""

    async def main() -> None:
        async with await filled(path, cache=None, readers=2) as db:
            blocking = coeval.open(path, cache=None)
            await db.create_function("mine", lambda value: value, 1)
            failures: list[BaseException] = []
            stop = threading.Event()

            def read() -> None:
                while not stop.is_set():
                    try:
                        assert blocking.query("SELECT sum(mine(id)) FROM t") == ((55,),)
                    except BaseException as error:
                        failures.append(error)
                        return

            thread = threading.Thread(target=read)
            thread.start()
            chance = random.Random(3)
            for _ in range(scaled(3000, 300)):
                task = asyncio.create_task(db.query("SELECT sum(mine(id)), ? FROM t", chance.random()))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                if chance.random() < 0.5:
                    await asyncio.sleep(chance.random() / 2000)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            stop.set()
            await asyncio.to_thread(thread.join)
            blocking.close()
            assert failures == []

    loop(main)


def test_a_result_that_comes_too_late_interrupts_nobody(path: Path):
    """The worker is done and another thread has its connection already, when the task is cancelled that has not heard of it yet."""

    async def main() -> None:
        async with await filled(path, cache=None, readers=1) as db:
            blocking = coeval.open(path, cache=None)
            inside, go = threading.Event(), threading.Event()
            await db.create_function("mine", lambda value: value, 1)
            await db.create_function("stall", partial(_stall, inside, go), 0)
            answers: list[object] = []
            task = asyncio.create_task(db.query("SELECT mine(1)"))
            await asyncio.sleep(0)
            thread = threading.Thread(target=lambda: answers.append(blocking.scalar("SELECT stall()")))
            thread.start()
            assert inside.wait(20)  # on the loop's thread, which hears nothing meanwhile
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.02)
            go.set()
            await asyncio.to_thread(thread.join)
            blocking.close()
            assert answers == [7]

    loop(main)


def test_an_interruption_before_the_statement_is_not_lost(path: Path, monkeypatch: pytest.MonkeyPatch):
    """SQLite forgets one that meets no statement: the one that follows, which never ends, is interrupted all the same."""
    there, go = threading.Event(), threading.Event()
    rows = Connection.rows

    def late(self: Connection, sql: str, *args: Any) -> Any:
        if sql == ENDLESS:
            there.set()
            go.wait(20)
        return rows(self, sql, *args)

    async def main() -> None:
        async with await filled(path, cache=None, readers=1) as db:
            assert db._engine is not None
            readers = db._engine.store().readers
            monkeypatch.setattr(Connection, "rows", late)
            task = asyncio.create_task(db.query(ENDLESS, 2))
            await until(there.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go.set()
            await until(lambda: len(readers.idle) == 1)

    loop(main)


def test_a_snapshot_that_nobody_waits_for_is_let_go(path: Path):
    """Cancelled while a worker opens it."""
    stall = Stall("BEGIN")

    async def main() -> None:
        async with await filled(path, readers=1, on_connect=stall) as db:
            assert db._engine is not None
            readers = db._engine.store().readers
            await db.query(ONE, 1)
            stall.on = True
            task = asyncio.ensure_future(db.snapshot().__aenter__())
            await until(stall.there.is_set)
            stall.on = False
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            stall.go.set()
            await until(lambda: len(readers.idle) == 1)
            async with db.snapshot() as snap:
                assert await snap.query(ONE, 1) == ((1, "n1"),)

    loop(main)


def test_a_waiting_write_is_dropped(path: Path):
    """It has not begun: nothing of it is written, and the one behind it is."""

    async def main() -> None:
        async with await filled(path) as db:
            async with db.transaction():
                tasks = [
                    asyncio.create_task(db.execute("INSERT INTO t VALUES (?, ?)", i, "new")) for i in (101, 102, 103)
                ]
                await asyncio.sleep(0.02)
                tasks[1].cancel()
                await asyncio.sleep(0)
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(answers[1], asyncio.CancelledError)
            assert await db.query("SELECT id FROM t WHERE id > 100") == ((101,), (103,))

    loop(main)


def test_a_turn_that_nobody_waits_for_passes_on(path: Path):
    """Transactions cancelled while they wait for their turn, or just as it comes; those behind them get it."""

    async def main() -> None:
        async with await filled(path) as db:

            async def change(number: int) -> None:
                async with db.transaction() as tx:
                    await tx.execute("INSERT INTO t VALUES (?, 'x')", number)

            for round_ in range(30):
                tasks = [asyncio.create_task(change(1000 * (round_ + 1) + i)) for i in range(5)]
                for _ in range(round_ % 7):
                    await asyncio.sleep(0.0003)
                for task in tasks[:4]:
                    task.cancel()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                assert answers[4] is None
                assert await db.scalar("SELECT count(*) FROM t WHERE id = ?", 1000 * (round_ + 1) + 4) == 1
            assert db._engine is not None
            await until(lambda: db._engine is not None and db._engine.store().writer.gate.idle)

    loop(main)


def test_a_cancelled_transaction_leaves_nothing(path: Path):
    """Cancelled in a slow read, in a write, or between two: all is rolled back, and the next transaction finds the connection clean."""

    async def main() -> None:
        async with await filled(path) as db:
            begun = asyncio.Event()

            async def change(sql: str) -> None:
                async with db.transaction() as tx:
                    await tx.execute("DELETE FROM t")
                    begun.set()
                    if sql.startswith("WITH"):
                        await tx.query(sql, 2)
                    elif sql:
                        await tx.execute(sql)
                    await asyncio.sleep(60)

            endless = "INSERT INTO t SELECT x, 'x' FROM (WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT x FROM c)"
            for sql in (ENDLESS, endless, ""):
                begun.clear()
                task = asyncio.create_task(change(sql))
                await begun.wait()
                await asyncio.sleep(0.02)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await db.scalar("SELECT count(*) FROM t") == 10
                async with db.transaction() as tx:
                    await tx.execute("UPDATE t SET name = 'after'")

    loop(main)


def test_a_shared_batch_is_never_interrupted(path: Path, scaled: Callable[[int, int], int]):
    """Many single writes, a third of them cancelled at random moments: those that were not are all there, once."""

    async def main() -> None:
        count = scaled(3000, 600)
        async with await filled(path, durability="normal") as db:
            chance = random.Random(5)
            tasks = [asyncio.create_task(db.execute("INSERT INTO t VALUES (?, 'w')", 1000 + i)) for i in range(count)]
            victims = set(chance.sample(range(count), count // 3))
            for victim in victims:
                if chance.random() < 0.1:
                    await asyncio.sleep(0.0002)
                tasks[victim].cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            there = {id for (id,) in await db.query("SELECT id - 1000 FROM t WHERE id >= 1000")}
            for number, answer in enumerate(answers):
                if isinstance(answer, asyncio.CancelledError):
                    assert number in victims
                else:
                    assert not isinstance(answer, BaseException)
                    assert number in there

    loop(main)


def test_a_time_out_names_the_holder(path: Path, foreign: Foreign):
    """Another program keeps the lock: the write gives up in time, with its process in the error, and the loop went round meanwhile."""

    async def main() -> None:
        async with await filled(path, timeout=0.3) as db:
            foreign.execute("BEGIN IMMEDIATE")
            rounds = 0
            task = asyncio.create_task(db.execute("DELETE FROM t"))
            other = asyncio.create_task(db.script("DELETE FROM t"))
            while not (task.done() and other.done()):
                await asyncio.sleep(0.001)
                rounds += 1
            assert rounds > 20
            for one in (task, other):
                with pytest.raises(errors.LockTimeoutError, match=str(foreign.pid)):
                    await one
            foreign.execute("COMMIT")
            assert (await db.execute("DELETE FROM t")).rowcount == 10

    loop(main)
