"""Opening and closing: no I/O before it is needed, one loop after another, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import coeval
from coeval import errors
from loops import ENDLESS, filled, loop, until
from waiting import wait_until

COUNT = "SELECT count(*) FROM t"


def workers() -> list[str]:
    """The names of our threads that work for loops."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(("coeval-work", "coeval-opening", "coeval-clos"))
    ]


def test_aopen_touches_nothing(path: Path):
    """No file, no thread, no loop, until it is used; what is wrong with the settings is said at once."""
    before = set(threading.enumerate())
    db = coeval.aopen(path)
    assert not path.exists()
    assert set(threading.enumerate()) == before
    assert (db.path, db.closed, db.settings.cache) == (str(path), False, "memory")
    with pytest.raises(errors.ConfigError):
        coeval.aopen(path, readers=0)
    with pytest.raises(errors.ConfigError):
        coeval.aopen(path, nonsense=1)  # type: ignore[call-arg]


def test_the_first_use_opens(path: Path):
    """Whatever it is, and however many come at once: the file is opened once, by a thread."""

    async def main() -> None:
        db = coeval.aopen(path)
        await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        await db.close()
        db = coeval.aopen(path)
        assert await asyncio.gather(*(db.scalar(COUNT) for _ in range(50))) == [0] * 50
        assert db._engine is not None
        assert db._engine._users == 1
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
        assert await (await db).scalar(COUNT) == 1
        await db.close()
        await db.aclose()
        assert db.closed

    loop(main)


def test_one_at_module_level_serves_loop_after_loop(path: Path):
    """Opened in one loop, used in the next, closed in a third; and entered again after that."""
    db = coeval.aopen(path)

    async def first() -> None:
        await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")

    async def second() -> int:
        await db.execute("INSERT INTO t VALUES (NULL)")
        return int(await db.scalar(COUNT))

    loop(first)
    assert [loop(second) for _ in range(3)] == [1, 2, 3]
    loop(db.close)
    with pytest.raises(errors.ClosedError):
        loop(second)

    async def again() -> int:
        async with db:
            return await second()

    assert [loop(again) for _ in range(2)] == [4, 5]


def test_two_loops_at_once(path: Path):
    """Tasks of two loops in two threads share one database."""
    db = coeval.aopen(path)
    loop(lambda: db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)"))

    async def many() -> None:
        await asyncio.gather(*(db.execute("INSERT INTO t VALUES (NULL)") for _ in range(50)))
        await asyncio.gather(
            *(db.query(ENDLESS.replace("FROM c) SELECT", "FROM c LIMIT 3000) SELECT"), i + 2) for i in range(20))
        )

    threads = [threading.Thread(target=loop, args=(many,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loop(lambda: db.scalar(COUNT)) == 100
    loop(db.close)


def test_a_failed_opening_is_told_and_tried_again(path: Path):
    """To everybody who waits for it; the next call tries again."""
    (path.parent / "no").mkdir()
    file = path.parent / "no" / "such" / "app.db"

    async def main() -> None:
        db = coeval.aopen(file)
        answers = await asyncio.gather(*(db.scalar("SELECT 1") for _ in range(5)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [errors.OpenError] * 5
        with pytest.raises(errors.OpenError):
            async with db:
                pass
        file.parent.mkdir()
        assert await db.scalar("SELECT 1") == 1
        await db.close()

    loop(main)


def test_closing_waits_for_what_is_under_way(path: Path):
    """A write that has begun is committed; a reading task gets its answer or is told; no thread is left."""

    async def main() -> None:
        db = await filled(path)
        go = threading.Event()
        begun = threading.Event()

        def wait(value: int) -> int:
            begun.set()
            go.wait(20)
            return value

        await db.create_function("wait", wait, 1)
        write = asyncio.create_task(db.execute("INSERT INTO t VALUES (wait(50), 'x')"))
        await until(begun.is_set)
        closing = asyncio.create_task(db.close())
        await asyncio.sleep(0.02)
        assert not closing.done()
        with pytest.raises(errors.ClosedError):
            await db.query(COUNT)
        go.set()
        await closing
        assert (await write).rowcount == 1
        async with db:
            assert await db.scalar(COUNT) == 11

    loop(main)
    wait_until(lambda: workers() == [])


def test_a_closed_loop_loses_results_quietly(path: Path, caplog: pytest.LogCaptureFixture):
    """A loop that ends while workers and writes go on: their results are dropped, their connections and turns are free."""
    db = coeval.aopen(path, timeout=10.0)
    go = threading.Event()
    tasks: list[asyncio.Future[object]] = []

    async def begin() -> None:
        await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
        await db.create_function("wait", lambda value: go.wait(20) and value, 1)
        calls = [
            db.query("SELECT wait(1)"),
            db.query("SELECT wait(2)"),
            db.execute("INSERT INTO t VALUES (wait(7), 'x')"),
            db.execute("INSERT INTO t VALUES (8, 'x')"),
            _hold(db),
        ]
        tasks.extend(map(asyncio.ensure_future, calls))
        await asyncio.sleep(0.05)

    runner = asyncio.new_event_loop()
    runner.run_until_complete(begin())
    runner.close()  # as rudely as can be
    while tasks:
        tasks.pop()._log_destroy_pending = False  # type: ignore[attr-defined]
    gc.collect()
    go.set()

    async def after() -> None:
        assert await db.scalar("SELECT count(*) FROM t") >= 0
        await db.execute("INSERT INTO t VALUES (9, 'x')")
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (10, 'x')")
        assert db._engine is not None
        readers = db._engine.store().readers
        await until(lambda: len(readers.idle) == len(readers._members))
        await db.close()

    loop(after)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


async def _hold(db: coeval.AsyncDatabase) -> None:
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES (100, 'x')")
        await asyncio.sleep(60)


SCRIPT = """
import asyncio, sys, threading, coeval
from pathlib import Path

how, path = sys.argv[1:]
db = coeval.aopen(path, readers=3)
ENDLESS = {endless!r}

async def main():
    await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    await asyncio.gather(*(db.query("SELECT count(*), ? FROM t", i) for i in range(20)))
    if how == "closed":
        await db.close()
    if how == "slow":
        asyncio.create_task(db.query(ENDLESS, 2))
        asyncio.create_task(asyncio.to_thread(lambda: None))
        await asyncio.sleep(0.05)
        print("left", flush=True)
        raise SystemExit(3)
    if how == "transaction":
        asyncio.create_task(hold())
        await asyncio.sleep(0.05)
    if how == "running":
        loop = asyncio.get_running_loop()
        for i in range(3):
            db._engine.workers.reads.run(lambda: db._engine.store().readers.take().rows(ENDLESS, (2,)))
        await asyncio.sleep(0.05)

async def hold():
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES (1)")
        await asyncio.sleep(60)

asyncio.run(main())
print("left", flush=True)
"""


@pytest.mark.parametrize("how", ["closed", "open", "slow", "transaction", "running"])
def test_the_process_exits_by_itself(path: Path, how: str):
    """Closed or not, with a slow statement, a transaction, or threads at work."""
    script = SCRIPT.format(endless=ENDLESS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, how, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "left\n"
    assert (done.returncode, done.stderr) == (3 if how == "slow" else 0, "")
    with coeval.open(path) as db:
        assert db.scalar(COUNT) == 0


def test_both_faces_share_an_engine(path: Path):
    """`db.aio` is the asyncio face of an open database: what one writes the other reads from its cache; closing one closes both."""
    db = coeval.open(path)
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")

    async def main() -> None:
        assert db.aio is db.aio
        await db.aio.execute("INSERT INTO t VALUES (1)")
        assert db.query(COUNT) is await db.aio.query(COUNT)
        await db.aio.close()

    loop(main)
    assert db.closed
    with pytest.raises(errors.ClosedError):
        db.query(COUNT)


def test_a_forked_child_begins_with_no_threads(path: Path):
    """Workers stay behind; the child starts its own."""

    async def ask(db: coeval.AsyncDatabase) -> int:
        return int(await db.scalar(f"{COUNT} WHERE id > ? AND name > 'a'", 0))

    async def main() -> coeval.AsyncDatabase:
        db = await filled(path)
        assert await ask(db) == 10
        return db

    db = loop(main)
    assert db._engine is not None
    assert db._engine.workers.count > 0
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if loop(lambda: ask(db)) == 10 and db._engine.workers.count > 0 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop(lambda: ask(db)) == 10
    loop(db.close)
