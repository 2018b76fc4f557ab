"""Thousands of tasks with every kind of call, a third of them cancelled at random. Runs as a program too: ``many_tasks.py FILE COUNT``."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from coeval import AsyncDatabase
from loops import filled, until

ONE = "SELECT id, name FROM t WHERE id = ?"

#: Every so many tasks there is one of the rare kinds, which take longer.
RARELY = 20

#: Rows of each load.
LOADED = 4

#: Seconds within which the last threads end when all is closed.
LINGER = 3.0


class Calls:
    """The kinds of call, of task number ``i``."""

    def __init__(self, db: AsyncDatabase) -> None:
        self.db = db
        self.often: list[Callable[[int], Coroutine[Any, Any, Any]]] = [
            lambda i: db.query(ONE, i % 10),
            lambda i: db.query(ONE, i),
            lambda i: db.query("SELECT mine(id) FROM t WHERE id = ?", i % 10),
            lambda i: db.scalar("SELECT count(*) FROM t WHERE name > ?", str(i)),
            lambda i: db.execute("UPDATE t SET name = ? WHERE id = 3", str(i)),
            self.insert,
        ]
        self.rare = [self.transaction, self.snapshot, self.stream, self.write, self.load, self.blob]

    def of(self, i: int) -> Callable[[int], Coroutine[Any, Any, Any]]:
        """What task ``i`` calls."""
        return self.rare[i // RARELY % len(self.rare)] if i % RARELY == 0 else self.often[i % len(self.often)]

    async def insert(self, i: int) -> None:
        """A single write."""
        await self.db.execute("INSERT INTO t VALUES (?, 'w')", 200_000 + i)

    async def transaction(self, i: int) -> None:
        """Two statements in a transaction."""
        async with self.db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (?, 'tx')", 200_000 + i)
            await tx.query(ONE, 1)

    async def snapshot(self, i: int) -> None:
        """Two reads in a snapshot."""
        async with self.db.snapshot() as snap:
            await snap.query(ONE, i % 10)
            await snap.query("SELECT sum(mine(id)) FROM t WHERE id < 5")

    async def stream(self, i: int) -> None:
        """Some rows of an iteration, or all."""
        async with self.db.iterate("SELECT id FROM t") as rows:
            async for _ in rows:
                if i // RARELY % 2:
                    break

    async def write(self, i: int) -> None:
        """A function that reads what it does not change, and writes."""

        async def work(tx: Any) -> None:
            await tx.query("SELECT v FROM fixed")
            await tx.execute("INSERT INTO t VALUES (?, 'write')", 200_000 + i)

        await self.db.write(work)

    async def load(self, i: int) -> None:
        """Some rows in two chunks."""

        def rows() -> Iterator[tuple[int, str]]:
            for number in range(LOADED):
                yield 1_000_000 + LOADED * i + number, "load"

        await self.db.load("t", rows(), batch=LOADED // 2)

    async def blob(self, i: int) -> None:
        """A value in pieces."""
        async with self.db.blob("fixed", "v", 1) as blob:
            assert await blob.read(1 + i % 3)


def left_by(call: Callable[..., Any], calls: Calls, i: int) -> tuple[int, ...]:
    """The rows that a task leaves which was not cancelled."""
    if call in (calls.insert, calls.transaction, calls.write):
        return (200_000 + i,)
    if call == calls.load:
        return tuple(range(1_000_000 + LOADED * i, 1_000_000 + LOADED * (i + 1)))
    return ()


async def many(path: Path, count: int) -> None:
    """Run them all; assert that nothing is stuck or lost, and close the database."""
    db = await filled(path, readers=4, durability="normal", timeout=60.0)
    assert db._engine is not None
    engine = db._engine
    await db.script("CREATE TABLE fixed (v); INSERT INTO fixed VALUES ('some')")
    await db.create_function("mine", lambda value: value, 1)
    calls, chance = Calls(db), random.Random(7)

    async def one(i: int) -> None:
        await asyncio.sleep(chance.random() / 2)
        await calls.of(i)(i)

    tasks = [asyncio.create_task(one(i)) for i in range(count)]
    for task in chance.sample(tasks, count // 3):
        asyncio.get_running_loop().call_later(chance.random(), task.cancel)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [a for a in answers if a is not None and not isinstance(a, asyncio.CancelledError)] == []
    readers = engine.store().readers
    await until(lambda: len(readers.idle) == len(readers._members) <= 4)
    await until(lambda: engine.store().writer.gate.idle)
    there = {id for (id,) in await db.query("SELECT id FROM t")}
    finished: set[Any] = set()
    for i, answer in enumerate(answers):
        call = calls.of(i)
        if answer is None:
            finished.add(call)
            assert there.issuperset(left_by(call, calls, i)), (call, i)
        elif call == calls.load:  # whole chunks, the first before the second
            some = [id in there for id in left_by(call, calls, i)]
            assert some in ([False] * 4, [True] * 2 + [False] * 2, [True] * 4), (i, some)
    assert finished == {*calls.often, *calls.rare}
    await db.aclose()


def threads() -> list[threading.Thread]:
    """Those of Coeval's that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("coeval-")]


async def judged(path: Path, count: int) -> None:
    """As `many`; then no thread is left that would keep the process, and soon none at all."""
    async with asyncio.timeout(150):
        await many(path, count)
    assert [thread.name for thread in threads() if not thread.daemon] == []
    end = time.monotonic() + LINGER
    while threads() and time.monotonic() < end:  # noqa: ASYNC110 - threads set no asyncio.Event
        await asyncio.sleep(0.01)
    assert [thread.name for thread in threads()] == []


if __name__ == "__main__":
    asyncio.run(judged(Path(sys.argv[1]), int(sys.argv[2])))
    print("all judged")
