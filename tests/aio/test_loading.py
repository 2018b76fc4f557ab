"""A load that is cancelled stops soon, between chunks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from loops import filled, loop, until


def test_a_cancelled_load_stops_at_the_next_chunk(path: Path):
    """Also where the rows never end: the worker is free, whole chunks stay, and no row is asked for any more."""

    async def main() -> None:
        async with await filled(path, rows=0, durability="normal") as db:
            assert db._engine is not None
            told: list[int] = []
            asked = 0
            stopped = threading.Event()

            def endless() -> Iterator[tuple[int, str]]:
                nonlocal asked
                try:
                    for asked in count(1):
                        yield asked, "endless"
                finally:
                    stopped.set()

            task = asyncio.create_task(db.load("t", endless(), batch=50, progress=told.append))
            await until(lambda: len(told) > 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(stopped.wait, 20)
            chores = db._engine.workers.chores
            await until(lambda: len(chores._idle) == chores.count)
            rows = await db.scalar("SELECT count(*) FROM t")
            assert rows == told[-1]
            assert rows % 50 == 0
            assert asked - rows <= 50

    loop(main)


def test_a_load_that_is_cancelled_before_its_turn_writes_nothing(path: Path):
    """While it waits for the turn behind a transaction, with rows in its hands."""

    async def main() -> None:
        async with await filled(path, rows=0, durability="normal") as db:
            assert db._engine is not None
            gate = db._engine.store().writer.gate
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1, 'tx')")
                task = asyncio.get_running_loop().create_task(db.load("t", [(2, "loaded")]))
                await until(lambda: gate.queue)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            chores = db._engine.workers.chores
            await until(lambda: gate.idle and len(chores._idle) == chores.count)
            assert await db.query("SELECT id FROM t") == ((1,),)

    loop(main)


def test_a_load_that_is_cancelled_in_a_transaction_ends_with_it(path: Path):
    """Rows without end there, too: the block is left, rolled back, and others have their turn."""

    async def main() -> None:
        async with await filled(path, rows=0, durability="normal") as db:
            told: list[int] = []

            async def work() -> None:
                async with db.transaction():
                    await db.load("t", ((i, "endless") for i in count()), batch=2, progress=told.append)

            task = asyncio.create_task(work())
            await until(lambda: len(told) > 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await db.scalar("SELECT count(*) FROM t") == 0
            await db.execute("INSERT INTO t VALUES (1, 'after')")

    loop(main)
