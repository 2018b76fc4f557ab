"""Plain values for asyncio: the same promises, awaited, and nothing slow on the loop's thread."""

# ruff: noqa: PT012 - the block that raises is the transaction itself
from __future__ import annotations

import asyncio
import functools
import inspect
import threading

import pytest

import coeval
from coeval import errors
from companion import Companion


@pytest.fixture
def other(path):
    """Another process that has the file open."""
    coeval.open(path).close()
    companion = Companion(path)
    yield companion
    companion.kill()


def with_db(path, use, **settings):
    """``await use(db)`` on a loop of its own."""

    async def main():
        async with coeval.aopen(path, **settings) as db:
            return await asyncio.wait_for(use(db), 60)

    return asyncio.run(main())


class Held:
    """A coroutine function that stands still until it may go on."""

    def __init__(self, value):
        self.value = value
        self.inside = asyncio.Event()
        self.go = asyncio.Event()
        self.runs = 0

    async def __call__(self):
        self.runs += 1
        self.inside.set()
        await self.go.wait()
        return self.value


async def in_thread(call):
    """``call`` elsewhere, in no unit."""
    return await asyncio.get_running_loop().run_in_executor(None, call)


def test_set_get_delete(path):
    """As on the blocking face, with which it shares what is kept."""

    async def use(db):
        cache = db.cache
        assert cache is db.cache
        assert 1 == await cache.get("k", 1)
        await cache.set("k", [1])
        (await cache.get("k")).append(2)
        assert [1] == await cache.get("k") == await cache.get_or_set("k", list)
        await cache.set("k", None)
        assert await cache.get("k", 1) is None
        blocking = await db._database()
        assert blocking.cache.get("k", 1) is None
        assert blocking.aio.cache is blocking.aio.cache
        await cache.delete("k")
        assert 1 == blocking.cache.get("k", 1)
        with pytest.raises(errors.ParameterError, match="cannot be kept"):
            await cache.set("k", iter([]))
        with pytest.raises(errors.ParameterError, match="get_or_set takes"):
            await cache.get_or_set("k", 7)
        with pytest.raises(errors.KeyArgumentError):
            await cache.get(object())

    with_db(path, use)


def test_what_makes_it(path):
    """A coroutine function in this task, a function in a worker, whatever gives an awaitable."""

    async def use(db):
        here = threading.get_ident()

        async def coroutine(value=1):
            assert here == threading.get_ident()
            return value

        def function():
            assert here != threading.get_ident()
            return 4

        assert 1 == await db.cache.get_or_set("a", coroutine)
        assert 2 == await db.cache.get_or_set("b", functools.partial(coroutine, 2))
        assert 3 == await db.cache.get_or_set("c", lambda: coroutine(3))
        assert 4 == await db.cache.get_or_set("d", function)
        assert [1, 2, 3, 4] == [await db.cache.get_or_set(key, lambda: 0) for key in "abcd"]

    with_db(path, use)
    with_db(path, use_nothing, cache=None)


async def use_nothing(db):
    """With no cache it is made each time."""
    made = [await db.cache.get_or_set("k", lambda value=value: value) for value in (1, 2)]
    await db.cache.set("k", 3)
    assert ([1, 2], None) == (made, await db.cache.get("k"))


def test_it_depends_on_what_it_reads(path):
    """In the coroutine, and in the worker; and it must not write."""

    async def use(db):
        await db.script("CREATE TABLE t (v)")
        blocking = await db._database()

        async def read():
            return await db.scalar("SELECT count(*) FROM t")

        for expected in (0, 1, 2):
            assert expected == await db.cache.get_or_set("a", read) == await db.cache.get("a")
            assert expected == await db.cache.get_or_set("b", lambda: blocking.scalar("SELECT count(*) FROM t"))
            assert expected == await db.cache.get("b")
            await db.execute("INSERT INTO t VALUES (1)")
        for write in (
            lambda: db.execute("INSERT INTO t VALUES (1)"),
            lambda: db.cache.set("a", 1),
            lambda: db.cache.delete("a"),
            lambda: db.invalidate("a"),
        ):
            with pytest.raises(errors.TrackedWriteError):
                await db.cache.get_or_set("w", write)
        assert 3 == await read()

    with_db(path, use)


@pytest.mark.parametrize("how", ["set", "delete", "invalidate"])
def test_a_load_that_is_overtaken_is_worth_nothing(path, other, how):
    """By another process, and by another task."""

    async def use(db):
        for end in (
            lambda: asyncio.to_thread(other.ask, how, *(("k", "new") if how == "set" else ("k",))),
            lambda: (
                db.cache.set("k", "new")
                if how == "set"
                else db.cache.delete("k")
                if how == "delete"
                else db.invalidate("k")
            ),
        ):
            make = Held("old")
            load = asyncio.create_task(db.cache.get_or_set("k", make, tags=["k"]))
            await make.inside.wait()
            await end()
            make.go.set()
            assert "old" == await load
            assert "old" != await db.cache.get("k")
            assert "old" != await db.cache.get_or_set("k", lambda: "newer")
            await db.cache.delete("k")

    with_db(path, use)


def test_forty_tasks_compute_once(path):
    """And a task that is cancelled takes nobody with it."""

    async def use(db):
        make = Held(7)
        first = asyncio.create_task(db.cache.get_or_set("k", make))
        await make.inside.wait()
        tasks = [asyncio.create_task(db.cache.get_or_set("k", make)) for _ in range(40)]
        await asyncio.sleep(0)
        make.go.set()
        assert [7] * 41 == await asyncio.gather(first, *tasks)
        assert make.runs <= 2
        make = Held(8)
        first = asyncio.create_task(db.cache.get_or_set("j", make))
        await make.inside.wait()
        second = asyncio.create_task(db.cache.get_or_set("j", lambda: 9))
        await asyncio.sleep(0)
        first.cancel()
        assert 9 == await second

    with_db(path, use)


def test_transactions(path):
    """It sees its own, others when it has committed, nobody after a rollback; a savepoint takes back its own."""

    async def use(db):
        blocking = await db._database()
        await db.cache.set("k", "old")
        async with db.transaction():
            await db.cache.set("k", "new")
            assert "new" == await db.cache.get("k") == await db.cache.get_or_set("k", lambda: 1)
            assert "old" == await in_thread(lambda: blocking.cache.get("k"))
            with pytest.raises(ZeroDivisionError):
                async with db.transaction():
                    await db.cache.delete("k")
                    await db.cache.set("n", 1)
                    assert await db.cache.get("k") is None
                    raise ZeroDivisionError
            assert ["new", None] == [await db.cache.get("k"), await db.cache.get("n")]
            assert 2 == await db.cache.get_or_set("made", lambda: blocking.cache.get_or_set("inner", lambda: 2))
        assert ["new", None, None] == [await db.cache.get(key) for key in ("k", "n", "made")]
        with pytest.raises(ZeroDivisionError):
            async with db.transaction():
                await db.cache.set("k", "newer")
                raise ZeroDivisionError
        assert "new" == await db.cache.get("k")

    with_db(path, use)


def test_write(path):
    """What it got before its first write is compared."""

    async def use(db):
        blocking, runs = await db._database(), []
        await db.cache.set("k", 1)

        async def work(tx):
            runs.append(await db.cache.get("k"))
            if len(runs) == 1:
                await in_thread(lambda: blocking.cache.set("k", 2))
            await db.cache.set("j", runs[-1])
            return await db.cache.get("j")

        assert 2 == await db.write(work)
        assert [1, 2] == runs
        assert 2 == await db.cache.get("j")

    with_db(path, use)


def test_a_snapshot_is_of_its_moment(path):
    """And nothing is set in it."""

    async def use(db):
        blocking = await db._database()
        await db.script("CREATE TABLE t (v)")
        await db.cache.set("k", "old")
        async with db.snapshot():
            assert "old" == await db.cache.get("k")
            await in_thread(lambda: (blocking.cache.set("k", "new"), blocking.execute("INSERT INTO t VALUES (1)")))
            assert await db.cache.get("k") is None
            assert 0 == await db.cache.get_or_set("n", lambda: blocking.scalar("SELECT count(*) FROM t"))
            for call in (db.cache.set("k", 1), db.cache.delete("k")):
                with pytest.raises(errors.UsageError, match="snapshot"):
                    await call
        assert "new" == await db.cache.get("k")
        assert 1 == await db.cache.get_or_set("n", lambda: blocking.scalar("SELECT count(*) FROM t"))

    with_db(path, use)


def test_in_a_tracked_coroutine(path):
    """What it gets is one of its reads."""

    async def use(db):
        runs = []

        @db.cached
        async def outer():
            runs.append(1)
            return await db.cache.get("k", 0) + 1

        await db.cache.set("k", 5)
        assert [6, 6] == [await outer(), await outer()]
        await db.cache.set("k", 6)
        assert [7, 7] == [await outer(), await outer()]
        assert 2 == len(runs)
        await db.cache.delete("k")
        assert [1, 1] == [await outer(), await outer()]
        assert 4 == len(runs)

    with_db(path, use)


def test_hits_leave_the_loop_to_others(path):
    """Thousands of them in one task, and another has its turn."""

    async def use(db):
        await db.cache.set("k", 1)
        turns = []

        async def count():
            while True:
                turns.append(1)
                await asyncio.sleep(0)

        await db.cache.get("k")
        task = asyncio.create_task(count())
        for _ in range(5_000):
            await db.cache.get("k")
        task.cancel()
        assert 4 <= len(turns) < 100

    with_db(path, use)


def test_a_coroutine_instead_of_a_function(path):
    """It is said, with the cure; the coroutine is closed, so that Python does not complain of it as well."""

    async def load():
        raise AssertionError

    async def use(db):
        with pytest.raises(errors.ParameterError, match=r"a coroutine, which is what .*load\(\) returned") as caught:
            await db.cache.get_or_set("k", one := load())
        assert "get_or_set(key, lambda: ...)" in str(caught.value)
        assert inspect.getcoroutinestate(one) == inspect.CORO_CLOSED

    with_db(path, use)
