"""Transactions, savepoints, snapshots and `write` of asyncio's: who joins them, and what they leave."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval import errors
from coeval.aio.lanes import LentAttempt
from coeval.attempt import Attempt
from loops import ENDLESS, Trace, filled, loop

from processes import Foreign

COUNT = "SELECT count(*) FROM t"
NAME = "SELECT name FROM t WHERE id = ?"


def test_a_transaction_commits_or_leaves_nothing(path: Path, foreign: Foreign):
    """Its own reads see its writes, nobody else does before its end; where its block raises nothing is left."""

    async def main() -> None:
        async with await filled(path) as db:
            async with db.transaction() as tx:
                assert (await tx.execute("INSERT INTO t VALUES (11, 'n11')")).lastrowid == 11
                assert (await tx.executemany("UPDATE t SET name = 'x' WHERE id = ?", [(1,), (2,)])).rowcount == 2
                await tx.script("CREATE TABLE u (a); INSERT INTO u VALUES (1)")
                assert await tx.scalar(COUNT) == 11
                assert await tx.scalar("SELECT a FROM u") == 1
                assert foreign.execute(COUNT) == [(10,)]
            assert foreign.execute(COUNT) == [(11,)]
            assert await db.scalar("SELECT a FROM u") == 1
            with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is the matter
                async with db.transaction() as tx:
                    await tx.execute("DELETE FROM t")
                    raise ZeroDivisionError
            assert foreign.execute(COUNT) == [(11,)]
            with pytest.raises(errors.ClosedError):
                await tx.execute("DELETE FROM t")

    loop(main)


def test_calls_of_the_same_task_join(path: Path):
    """On the database itself, on the blocking face of it, and nested as a savepoint."""

    async def main() -> None:
        blocking = coeval.open(path)
        async with await filled(path) as db:
            async with db.transaction():
                await db.execute("DELETE FROM t WHERE id > 5")
                assert await db.scalar(COUNT) == blocking.scalar(COUNT) == 5
                blocking.execute("DELETE FROM t WHERE id > 4")
                assert [row async for row in db.iterate("SELECT id FROM t")] == [(1,), (2,), (3,), (4,)]
                with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is the matter
                    async with db.transaction() as inner:
                        await inner.execute("DELETE FROM t")
                        assert await db.scalar(COUNT) == 0
                        raise ZeroDivisionError
                assert await db.scalar(COUNT) == 4
                async with db.transaction() as inner:
                    await inner.execute("DELETE FROM t WHERE id = 1")
                with blocking.transaction() as inner_too:
                    inner_too.execute("DELETE FROM t WHERE id = 2")
                async with db.snapshot() as snap:
                    assert await snap.scalar(COUNT) == 2
            assert await db.scalar(COUNT) == 2
            with blocking.transaction() as outer:
                outer.execute("DELETE FROM t WHERE id = 3")
                assert await db.scalar(COUNT) == 1
                async with db.transaction() as nested:
                    await nested.execute("DELETE FROM t")
            assert await db.scalar(COUNT) == 0
        blocking.close()

    loop(main)


def test_child_tasks_and_threads_never_join(path: Path):
    """They copy the context; their reads see what is committed, their writes wait for their own turn, and the unit refuses them."""

    async def main() -> None:
        async with await filled(path, timeout=20.0) as db:
            async with db.transaction() as tx:
                await tx.execute("DELETE FROM t")
                assert await asyncio.create_task(db.scalar(COUNT)) == 10
                with pytest.raises(errors.ClosedError):
                    await asyncio.create_task(tx.scalar(COUNT))
                assert await asyncio.to_thread(lambda: coeval.open(path).scalar(COUNT)) == 10
                write = asyncio.create_task(db.execute("INSERT INTO t VALUES (99, 'later')"))
                await asyncio.sleep(0.01)
                assert not write.done()
                assert await tx.scalar(COUNT) == 0
            await write
            assert await db.query("SELECT id FROM t") == ((99,),)
            async with db.snapshot() as snap:
                await db.execute("DELETE FROM t")
                assert await snap.scalar(COUNT) == await db.scalar(COUNT) == 1
                assert await asyncio.create_task(db.scalar(COUNT)) == 0

    loop(main)


def test_a_unit_goes_on_after_a_read_that_was_cancelled(path: Path):
    """A read that took too long is given up; what follows it in the same unit waits for its end, and then has the connection alone."""

    async def main() -> None:
        async with await filled(path, cache=None) as db:
            async with db.transaction() as tx:
                await tx.execute("DELETE FROM t WHERE id > 5")
                for number in range(5):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await tx.query(ENDLESS, number + 2)
                    await tx.execute("DELETE FROM t WHERE id = ?", number)
                    assert await tx.scalar(COUNT) == 5 - number
            assert await db.scalar(COUNT) == 1
            async with db.snapshot() as snap:
                for number in range(5):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await snap.query(ENDLESS, number + 2)
                    assert await snap.scalar(COUNT) == 1

    loop(main)


@pytest.mark.parametrize("cache", ["memory", None])
def test_a_snapshot_is_of_one_moment(path: Path, cache: str | None, foreign: Foreign):
    """Whatever others commit; cached reads too."""

    async def main() -> None:
        async with await filled(path, cache=cache) as db:
            for _ in range(5):
                await db.query(NAME, 1)
            async with db.snapshot() as snap:
                for number in range(5):
                    foreign.execute("UPDATE t SET name = ? WHERE id = 1", f"new{number}")
                    assert await snap.scalar(NAME, 1) == "n1"
                    assert await asyncio.create_task(db.scalar(NAME, 1)) == f"new{number}"
            assert await db.scalar(NAME, 1) == "new4"
            with pytest.raises(errors.ClosedError):
                await snap.scalar(NAME, 1)

    loop(main)


def test_short_reads_of_units_run_on_the_loop_and_writes_never(path: Path, trace: Trace):
    """By the same budget as others."""
    write = "UPDATE t SET name = 'y' WHERE id = ?"

    async def main() -> None:
        async with await filled(path, cache=None, on_connect=trace) as db:
            await db.query(NAME, 1)
            async with db.transaction() as tx:
                await tx.execute(write, 1)
                assert await tx.scalar(NAME, 1) == "y"
            async with db.snapshot() as snap:
                assert await snap.scalar(NAME, 1) == "y"
            await db.execute(write, 2)
        here = threading.get_ident()
        assert trace.threads(NAME)[1:] == [here] * 2
        assert here not in trace.threads(write)
        assert len(trace.threads(write)) == 2
        for control in ("BEGIN IMMEDIATE", "COMMIT"):
            assert len(trace.threads(control)) >= 2
        assert here not in trace.threads("BEGIN IMMEDIATE")

    loop(main)


def test_write_reads_first_and_takes_its_turn_at_its_first_write(path: Path):
    """Others write while it reads; what it has read is compared, and where that has changed the function runs again."""

    async def main() -> None:
        async with await filled(path) as db:
            tries: list[int] = []

            async def change(tx: Any) -> int:
                count: int = await tx.scalar(COUNT)
                tries.append(count)
                if len(tries) < 3:
                    await asyncio.create_task(db.execute("INSERT INTO t VALUES (?, 'other')", 100 + len(tries)))
                await tx.execute("INSERT INTO t VALUES (?, 'mine')", 1000 + count)
                assert await db.scalar(COUNT) == count + 1
                return count

            assert await db.write(change) == 12
            assert tries == [10, 11, 12]
            assert await db.scalar(COUNT) == 13

            async def always(tx: Any) -> None:
                count = await tx.scalar(COUNT)
                await asyncio.create_task(db.execute("INSERT INTO t VALUES (?, 'other')", 5000 + count))
                await tx.execute("DELETE FROM t")

            with pytest.raises(errors.SerializationError):
                await db.write(always, retry=1)
            assert await db.scalar(COUNT) == 15
            with pytest.raises(errors.ParameterError):
                await db.write(lambda _: 3)  # type: ignore[arg-type,return-value]

            async def fails(tx: Any) -> None:
                await tx.execute("DELETE FROM t")
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await db.write(fails)
            async with db.transaction():
                assert await db.write(change) == 15
            assert await db.scalar(COUNT) == 16

    loop(main)


def test_many_writes_take_turns_without_threads(path: Path):
    """More read-then-write functions at once than there are workers, beside a transaction: no turn is lost, nobody waits for a thread."""

    async def main() -> None:
        async with await filled(path, timeout=30.0, durability="normal") as db:

            async def bump(tx: Any) -> None:
                number = int(await tx.scalar("SELECT count(*) FROM t WHERE id > 1000"))
                await tx.execute("INSERT INTO t VALUES (?, 'n')", 1001 + number)

            async def whole() -> None:
                async with db.transaction() as tx:
                    await asyncio.sleep(0)
                    await bump(tx)

            work = [db.write(bump, retry=200) if i % 2 else whole() for i in range(60)]
            await asyncio.gather(*work)
            assert await db.scalar("SELECT max(id) FROM t") == 1060

    loop(main)


def test_blobs_loads_and_changesets(path: Path, tmp_path: Path):
    """In pieces, in bulk, and to another copy; inside a transaction they are part of it."""

    async def main() -> None:
        async with await filled(path) as db, await filled(tmp_path / "other.db") as other:
            await db.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, d BLOB)")
            await db.execute("INSERT INTO b VALUES (1, zeroblob(10))")
            async with db.blob("b", "d", 1, writable=True) as blob:
                assert await blob.write(b"hello") == 5
                assert (len(blob), await blob.tell(), blob.writable()) == (10, 5, True)
            async with db.blob("b", "d", 1) as blob:
                assert await blob.read(5) == b"hello"
                await blob.seek(0)
                assert await blob.readall() == b"hello" + bytes(5)
            with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is the matter
                async with db.transaction() as tx:
                    await db.load("t", ((i, "loaded") for i in range(100, 200)))
                    async with db.blob("b", "d", 1, writable=True) as blob:
                        await blob.write(b"WORLD")
                    assert await tx.scalar(COUNT) == 110
                    raise ZeroDivisionError
            assert await db.scalar(COUNT) == 10
            assert await db.scalar("SELECT d FROM b") == b"hello" + bytes(5)
            assert (await db.load("t", [(i, "loaded") for i in range(100, 200)])).written == 100
            async with db.transaction() as tx, tx.record() as recording:
                await tx.execute("UPDATE t SET name = 'sent' WHERE id = 1")
            assert (await other.apply(recording.changeset)).conflicts == 0
            assert await other.scalar(NAME, 1) == "sent"

    loop(main)


def test_the_file_itself(path: Path, tmp_path: Path):
    """Statistics, checks, checkpoints, vacuum, restore, explain, functions and listeners, all by coroutines."""

    async def main() -> None:
        async with await filled(path) as db, await filled(tmp_path / "small.db", rows=3):
            heard: list[str] = []
            stop = await db.listen(lambda name, _: heard.append(name))
            await db.execute("DELETE FROM t WHERE id > 7")
            assert "write" in heard
            stop()
            assert (await db.stats()).writes >= 2
            assert (await db.check()).ok
            assert (await db.checkpoint()).complete
            await db.vacuum()
            assert (await db.explain(COUNT)).cacheable
            await db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
            assert await db.first("SELECT name FROM t ORDER BY name COLLATE backwards") == ("n7",)
            async with db.transaction():
                for call in (db.vacuum, db.checkpoint, db.close):
                    with pytest.raises(errors.ReentryError):
                        await call()
        async with coeval.aopen(path) as db:
            await db.restore(tmp_path / "small.db")
            assert await db.scalar(COUNT) == 3

    loop(main)


def test_a_write_has_let_go_of_its_reader_before_that_is_another_s(path: Path, monkeypatch: pytest.MonkeyPatch):
    """At its first write the snapshot's reader is free; whoever cancels the write from then on interrupts nobody else on it."""
    seen: list[bool] = []
    end_reading = Attempt._end_reading

    async def main() -> None:
        async with await filled(path, cache=None, readers=1) as db:
            engine = db._engine
            assert engine is not None
            readers = engine.store().readers

            def end(attempt: Attempt) -> None:
                end_reading(attempt)
                if attempt._connection is not None and isinstance(attempt, LentAttempt):
                    reader = readers.take()
                    seen.append(reader.gentle)
                    seen.append(attempt._lane._job is not None)
                    readers.give_back(reader)

            monkeypatch.setattr(Attempt, "_end_reading", end)

            async def change(tx: Any) -> None:
                await tx.query("SELECT id FROM t")
                await tx.execute("UPDATE t SET name = 'x'")

            await db.write(change)

    loop(main)
    assert seen
    assert not any(seen)


def test_tasks_made_in_a_transaction_are_told_that_they_do_not_join(path):
    """They wait for it and it for them: the time-out says how to write that."""

    async def main():
        async with coeval.aopen(path, timeout=0.05) as db:
            await db.script("CREATE TABLE t(x)")
            async with db.transaction():
                writes = db.execute("INSERT INTO t VALUES (1)"), db.execute("INSERT INTO t VALUES (2)")
                told = await asyncio.gather(
                    *writes, return_exceptions=True
                )  # else one may have its turn behind the block
            for error in told:
                assert isinstance(error, errors.LockTimeoutError)
                assert "gather" in error.hint
            return await db.scalar("SELECT count(*) FROM t")

    assert 0 == asyncio.run(main())
