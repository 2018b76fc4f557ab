"""Coroutine functions whose answers are kept: one computation for all who wait, and nobody is held up by another."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import logging
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

import coeval
from apart import apart
from coeval import errors
from coeval.cache.flights import Landed

SUM = "SELECT sum(v) FROM t"


@pytest.fixture
def db(path):
    """Numbers."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE u (x)")
        yield db


async def until(true):
    """Let others of the loop run until ``true()``."""
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("still not so")


def test_before_the_database_is_open(path, db):
    """At module level; the first call opens it, one loop after another."""
    later = coeval.aopen(path)
    runs: list[int] = []

    @later.cached
    async def total(plus=0):
        """Adds up."""
        runs.append(1)
        return await later.scalar(SUM) + plus

    assert asyncio.iscoroutinefunction(total.__call__)
    assert ("total", "Adds up.") == (total.__name__, total.__doc__)

    async def ask():
        return [await total(), await total(plus=0), await total(1)]

    assert [3, 3, 4] == asyncio.run(ask())
    assert [3, 3, 4] == asyncio.run(ask())
    assert 2 == len(runs)

    async def change():
        await later.execute("INSERT INTO t VALUES (3, 3)")
        found = await ask()
        await later.close()
        return found

    assert [6, 6, 7] == asyncio.run(change())
    with pytest.raises(errors.ClosedError):
        asyncio.run(ask())
    with pytest.raises(errors.ConfigError, match="no coroutine function") as refused:
        later.cached(lambda: 1)  # type: ignore[arg-type, return-value]
    assert "coeval.open" in str(refused.value.hint), "what it names can be had"
    with pytest.raises(errors.ConfigError, match="generator"):
        db.cached(_generator)
    with pytest.raises(errors.ConfigError, match="no coroutine function"):
        later.cached(_generator)


async def _generator():
    yield 1


def test_forty_tasks_compute_once(db):
    """All of them begin before it departs, or behind it."""
    runs: list[int] = []

    @db.cached
    async def total():
        runs.append(1)
        await asyncio.sleep(0.01)
        return await db.aio.scalar(SUM)

    async def ask():
        return await asyncio.gather(*(total() for _ in range(40)))

    assert [3] * 40 == asyncio.run(ask())
    assert runs == [1]
    assert 40 == sum(total.cache_info()[:3])


@pytest.mark.parametrize("kind", ["blocking", "coroutine"])
def test_threads_and_tasks_on_one_cold_key(db, kind):
    """Twenty of each, of several loops; the tasks' loops go on meanwhile."""
    runs, barrier = [], threading.Barrier(21)
    gate = threading.Event()

    @db.cached
    def blocking():
        runs.append(1)
        assert gate.wait(10)
        return db.scalar(SUM)

    @db.cached
    async def coroutine():
        runs.append(1)
        while not gate.is_set():  # noqa: ASYNC110 - it is set by another loop
            await asyncio.sleep(0.001)
        return await db.aio.scalar(SUM)

    def in_thread():
        barrier.wait(10)
        return blocking() if kind == "blocking" else asyncio.run(coroutine())

    async def ask():
        with ThreadPoolExecutor(40) as pool:
            loop = asyncio.get_running_loop()
            threads = [loop.run_in_executor(pool, in_thread) for _ in range(20)]
            await loop.run_in_executor(pool, barrier.wait)
            tasks = [
                loop.create_task(coroutine()) if kind == "coroutine" else loop.run_in_executor(pool, blocking)
                for _ in range(20)
            ]
            function = coroutine if kind == "coroutine" else blocking
            await until(lambda: runs and len(db._engine.flights) == 1)
            await asyncio.sleep(0.02)
            gate.set()
            return await asyncio.gather(*threads, *tasks), function.cache_info()

    found, info = asyncio.run(ask())
    assert [3] * 40 == found
    assert (1, 1) == (len(runs), info.misses)


def test_a_leader_that_is_cancelled_hands_over(db):
    """One of those who wait computes."""
    runs: list[int] = []

    @db.cached
    async def total():
        runs.append(1)
        if len(runs) == 1:
            await asyncio.sleep(3600)
        return await db.aio.scalar(SUM)

    async def ask():
        first = asyncio.create_task(total())
        await until(lambda: runs)
        others = [asyncio.create_task(total()) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        return found[1:]

    assert [3] * 5 == asyncio.run(ask())
    assert 2 == len(runs)
    assert 0 == len(db._engine.flights)


def test_a_passenger_that_is_cancelled_leaves_the_others(db):
    """And the leader goes on."""
    runs: list[int] = []

    @db.cached
    async def total():
        runs.append(1)
        await gates[0].wait()
        return await db.aio.scalar(SUM)

    async def ask():
        gates.append(asyncio.Event())
        tasks = [asyncio.create_task(total()) for _ in range(5)]
        await until(lambda: runs)
        await asyncio.sleep(0)
        for task in tasks[1:3]:
            task.cancel()
        await asyncio.sleep(0)
        gates[0].set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    gates: list[asyncio.Event] = []
    found = asyncio.run(ask())
    assert [3, 3, 3] == [found[0], *found[3:]]
    assert all(isinstance(one, asyncio.CancelledError) for one in found[1:3])
    assert len(runs) <= 2


def test_a_leader_that_fails(db):
    """Has its own error; each other its own answer."""
    runs: list[int] = []

    @db.cached
    async def total():
        runs.append(1)
        number = len(runs)
        await asyncio.sleep(0.001)
        if number == 1:
            raise ValueError("the first")
        return await db.aio.scalar(SUM)

    async def ask():
        return await asyncio.gather(*(total() for _ in range(5)), return_exceptions=True)

    found = asyncio.run(ask())
    assert isinstance(found[0], ValueError)
    assert [3] * 4 == found[1:]
    assert 2 == len(runs)


def test_a_leader_that_hangs(db, monkeypatch):
    """Is waited for as long as patience lasts; nobody gets its error, and its flight is not harmed by those who left."""
    monkeypatch.setattr("coeval.cache.tracked.PATIENCE", 0.02)
    runs: list[int] = []

    @db.cached
    async def total():
        runs.append(1)
        if len(runs) == 1:
            await gates[0].wait()
        return await db.aio.scalar(SUM)

    async def ask():
        gates.append(asyncio.Event())
        first = asyncio.create_task(total())
        await until(lambda: runs)
        others = await asyncio.gather(*(total() for _ in range(3)))
        gates[0].set()
        return [await first, *others]

    gates: list[asyncio.Event] = []
    assert [3] * 4 == asyncio.run(ask())
    assert 0 == len(db._engine.flights)


def test_task_groups_are_noted(db):
    """Children of a group, and what they call."""
    runs: list[int] = []

    @db.cached
    async def part(number):
        return await db.aio.scalar("SELECT coalesce(sum(v), 0) FROM t WHERE id = ?", number)

    @db.cached
    async def total():
        runs.append(1)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part(number)) for number in (1, 2, 3)]
        return sum(task.result() for task in tasks)

    async def ask():
        found = [await total(), await total()]
        await db.aio.execute("INSERT INTO t VALUES (3, 3)")
        return [*found, await total(), await total()]

    assert [3, 3, 6, 6] == asyncio.run(ask())
    assert 2 == len(runs)


def test_a_blocking_function_on_the_loops_thread_does_not_wait_for_a_task_of_it(db):
    """It would wait for itself."""
    runs: list[str] = []

    @db.cached
    def blocking():
        runs.append("blocking")
        return db.scalar(SUM)

    @db.cached
    async def leader():
        runs.append("leader")
        await asyncio.sleep(0)
        return blocking()

    async def ask():
        flight, leads = db._engine.flights.board(blocking._tracked.key((), {}), (), asyncio.get_running_loop())
        assert leads
        try:
            return await asyncio.gather(leader(), leader())
        finally:
            db._engine.flights.land(flight, Landed(False))

    assert [3, 3] == asyncio.run(asyncio.wait_for(ask(), 4))
    assert 1 == runs.count("leader")


def test_steady_writers_do_not_keep_readers_going_round(db):
    """Each computation meets a commit; it is for all who called before it began, and nobody waits for more than two."""
    runs: list[int] = []

    @db.cached
    async def total():
        runs.append(1)
        await db.aio.scalar(SUM)
        await asyncio.to_thread(_apart, db, next(numbers))
        return await db.aio.scalar(SUM)

    numbers = itertools.count(3)

    async def ask(times):
        return [await total() for _ in range(times)]

    async def all_at_once():
        return await asyncio.gather(*(ask(5) for _ in range(10)))

    for answers in asyncio.run(all_at_once()):
        assert answers == sorted(answers)
    assert len(runs) <= 11, "one under way, and two for each of the five rounds"


def _apart(db, number):
    with apart():
        db.execute("INSERT INTO t VALUES (?, ?)", number, number)


def test_an_old_value_while_a_new_one_is_made(db, caplog):
    """By one task beside; what that raises is logged, and nobody else's."""
    runs: list[int] = []

    @db.cached(stale_while_revalidate=30)
    async def total():
        runs.append(1)
        if len(runs) == 2:
            raise ValueError("once")
        return await db.aio.scalar(SUM)

    async def ask():
        loop_errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))
        assert 3 == await total()
        await db.aio.execute("INSERT INTO t VALUES (3, 3)")
        assert [3, 3] == [await total(), await total()]
        await until(lambda: len(runs) == 2)
        while await total() != 6:  # noqa: ASYNC110 - the call itself is what is looked at
            await asyncio.sleep(0.001)
        gc.collect()
        return loop_errors

    with caplog.at_level(logging.WARNING, "coeval"):
        assert [] == asyncio.run(ask())
    assert 3 == len(runs)
    assert any("computed again" in record.getMessage() for record in caplog.records)


def test_negative_refresh_peek_invalidate(db):
    """As of blocking functions, and awaited."""
    runs: list[int] = []

    @db.cached(negative=LookupError)
    async def find(number):
        runs.append(1)
        if await db.aio.first("SELECT v FROM t WHERE id = ?", number) is None:
            raise KeyError(number)
        return [number]

    async def ask():
        for _ in range(3):
            with pytest.raises(KeyError):
                await find(9)
        assert 1 == len(runs)
        assert await find.peek(9) is None
        assert await find.peek(1) is None
        mine = await find(1)
        mine.append("mine")
        assert [[1], [1], [1]] == [await find(1), await find.peek(1), await find.refresh(1)]
        assert 3 == len(runs)
        await find.invalidate(1)
        assert await find.peek(1) is None
        assert [1] == await find(1)
        assert 4 == len(runs)
        assert 4 == find.cache_info().misses

    asyncio.run(ask())


def test_methods_and_context_variables(db):
    """Of an object that is no part of the key; of a request's language."""
    language: ContextVar[str] = ContextVar("language", default="en")
    runs: list[str] = []

    class Items:
        @db.cached(leave_out=["self"], vary=language)
        async def total(self, plus):
            runs.append(language.get())
            return language.get(), await db.aio.scalar(SUM) + plus

    async def request(name):
        language.set(name)
        return await Items().total(1), await Items().total.peek(plus=1)

    async def ask():
        return await asyncio.gather(request("en"), request("de"))

    for _ in range(2):
        assert [(("en", 4),) * 2, (("de", 4),) * 2] == asyncio.run(ask())
    assert ["de", "en"] == sorted(runs)


def test_what_frameworks_ask_before_they_await(db):
    """A function, a method and an object with an `async __call__` are coroutine functions to asyncio, and from Python 3.12 to inspect."""

    class Answers:
        @db.cached(leave_out=["self"])
        async def total(self):
            return await db.aio.scalar(SUM)

    class Doubling:
        async def __call__(self, times):
            return times * await db.aio.scalar(SUM)

    @db.cached
    async def total():
        return await db.aio.scalar(SUM)

    doubling, again = db.cached(Doubling()), db.aio.cached(Doubling())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # asyncio's own question ends with Python 3.16
        for one in (total, Answers().total, doubling, again):
            assert asyncio.iscoroutinefunction(one)
            assert inspect.iscoroutinefunction(one) or sys.version_info < (3, 12)

    async def main():
        for _ in range(2):
            assert (await total(), await Answers().total(), await doubling(2), await again(times=3)) == (3, 3, 6, 9)

    asyncio.run(main())
    assert [one.cache_info().hits for one in (total, Answers().total, doubling, again)] == [1, 1, 1, 1]


def test_units(db):
    """A transaction's own view, never kept; a snapshot's moment."""

    @db.cached
    async def total():
        return await db.aio.scalar(SUM)

    async def ask():
        assert 3 == await total()
        async with db.aio.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (3, 3)")
            assert 6 == await total()
            assert await total.peek() is None
            child = await asyncio.create_task(total())
        assert (3, 6) == (child, await total())
        async with db.aio.snapshot():
            assert 6 == await total()
            await asyncio.create_task(db.aio.execute("INSERT INTO t VALUES (4, 4)"))
            assert [6, 6, 10] == [await total(), await total(), await asyncio.create_task(total())]
        assert 10 == await total()

    asyncio.run(ask())


def test_a_loop_that_ends_while_others_wait(db, caplog):
    """A task whose loop is closed is told nothing, and nobody complains."""
    inside, go = threading.Event(), threading.Event()

    @db.cached
    async def shared():
        inside.set()
        while not go.is_set():  # noqa: ASYNC110 - it is set by a thread
            await asyncio.sleep(0.001)
        return await db.aio.scalar(SUM)

    thread = threading.Thread(target=lambda: asyncio.run(shared()))
    thread.start()
    assert inside.wait(10)
    loop = asyncio.new_event_loop()
    task = loop.create_task(shared())
    loop.run_until_complete(asyncio.sleep(0.01))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    left = loop.create_task(shared())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    with caplog.at_level(logging.WARNING):
        go.set()
        thread.join()
    assert [] == [record for record in caplog.records if "coroutine" not in record.getMessage()]
    left._log_destroy_pending = False  # type: ignore[attr-defined]
    assert 3 == asyncio.run(shared())


def test_a_time_out_inside_a_cached_coroutine(path):
    """What is answered then is not kept, whether the call that took too long was computed or waited for."""

    async def go():
        async with coeval.aopen(path) as db:
            await db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE TABLE u (v)")
            hanging = asyncio.Event()

            @db.cached
            async def slow():
                if await db.scalar("SELECT v FROM t") == 1:
                    hanging.set()
                    await asyncio.Event().wait()
                return "there"

            @db.cached
            async def impatient(number):
                await db.scalar("SELECT count(*) FROM u")
                try:
                    async with asyncio.timeout(0.02):
                        return await slow()
                except TimeoutError:
                    return "late"

            assert "late" == await impatient(1)
            hanging.clear()
            leader = asyncio.create_task(slow())
            await hanging.wait()
            assert "late" == await impatient(2)
            leader.cancel()

            @db.cached
            async def impatient_of_rows():
                await db.scalar("SELECT count(*) FROM u")
                try:
                    async with asyncio.timeout(0.02):
                        return await db.scalar(
                            "WITH RECURSIVE n(i) AS (SELECT v FROM t UNION ALL SELECT i + 1 FROM n WHERE (SELECT v FROM t) = 1) "
                            "SELECT max(i) FROM n"
                        )
                except TimeoutError:
                    return "late"

            assert "late" == await impatient_of_rows()
            await db.execute("UPDATE t SET v = 2")
            assert 2 == await impatient_of_rows()
            assert ["there", "there"] == [await impatient(1), await impatient(2)]

    asyncio.run(go())


def test_rows_that_were_not_waited_for_wherever_they_come_from(path):
    """In a snapshot, and where a read is done and only lets others have their turn: what is made of the time-out is not kept."""

    async def go():
        async with coeval.aopen(path) as db:
            await db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE TABLE u (v)")
            late = []

            async def impatient(read):
                await db.scalar("SELECT count(*) FROM u")
                try:
                    async with asyncio.timeout(0.02):
                        return await read()
                except TimeoutError:
                    late.append(read)
                    return "late"

            @db.cached
            async def in_a_snapshot():
                return await impatient(lambda: db.scalar(ENDLESS))

            async with db.snapshot() as snap:
                await snap.scalar("SELECT v FROM t")
                assert ["late", "late"] == [await in_a_snapshot(), await in_a_snapshot()]
            assert "late" == await in_a_snapshot()
            assert 3 == len(late)

            @db.cached
            async def at_its_end():
                await db.scalar("SELECT count(*) FROM u")
                assert db._engine is not None
                db._engine.workers.spent = 1e9  # the next read lets others have their turn
                try:
                    async with asyncio.timeout(0):
                        return await db.scalar("SELECT v FROM t")
                except TimeoutError:
                    late.append(None)
                    return "late"

            for _ in range(3):
                assert "late" == await at_its_end()
            assert 6 == len(late)

    asyncio.run(go())


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT v FROM t UNION ALL SELECT i + 1 FROM n WHERE (SELECT v FROM t) = 1) SELECT max(i) FROM n"
