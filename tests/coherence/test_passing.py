"""Cached functions whose answers are not worth keeping run as if there were no cache, and are as fresh (laws 1, 2, 3 and 9)."""

from __future__ import annotations

import asyncio
import threading

import pytest

import coeval
from coeval import errors
from coeval.cache.admission import LOAN, Account, Admission
from coeval.cache.tracked import Witness
from coeval.cached import TIMED
from coeval.sqlite.connection import Connection
from coeval.witnessing import Passing

READ = "SELECT v FROM t WHERE id = ?"
CALLS = 4 * LOAN


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(n, n) for n in range(20 * CALLS)])
        db.execute("CREATE TABLE u (v)")
        yield db


@pytest.fixture(autouse=True)
def passing(monkeypatch):
    """Whatever the machine does: an account that has spent its loan passes, and what it has measured leaves it so."""
    monkeypatch.setattr(Account, "spent", lambda *_: None)
    computed = Admission.computed
    monkeypatch.setattr(Admission, "computed", lambda self, name, _: computed(self, name, 1e-6))


@pytest.fixture(params=["blocking", "asyncio"])
def cached(db, request):
    """`cached(function)`: decorated with ``db.cached``, the blocking function or a coroutine that calls it; called by its arguments."""
    if request.param == "blocking":
        yield db.cached
        return
    with asyncio.Runner() as runner:

        def decorate(function):
            @db.cached
            async def call(*args):
                return function(*args)

            return Awaited(runner, call)

        yield decorate


class Awaited:
    """A cached coroutine function, called as if it blocked."""

    def __init__(self, runner, call):
        self._runner = runner
        self._call = call
        self.cache_info = call.cache_info

    def __call__(self, *args):
        async def awaited():
            return await self._call(*args)

        return self._runner.run(awaited())


def spend(function, first=0):
    """Call it with new arguments until its calls pass."""
    for n in range(first, first + CALLS):
        function(n)
    assert function.cache_info().unkept > CALLS // 4


def test_there_is_no_witness_and_nothing_is_asked_of_the_database(db, cached, monkeypatch):
    """But one read each: no stamps, no entry, no proof."""
    reading = cached(lambda n: db.scalar(READ, n))
    spend(reading)
    counts = {"stamps": 0, "witnesses": 0}
    seen, begin = Connection.seen, Witness.begin

    def counting(name, method):
        def counted(*args, **kwargs):
            counts[name] += 1
            return method(*args, **kwargs)

        return counted

    monkeypatch.setattr(Connection, "seen", counting("stamps", seen))
    monkeypatch.setattr(Witness, "begin", counting("witnesses", begin))
    before = reading.cache_info()
    for n in range(CALLS, 3 * CALLS):
        assert n == reading(n)
    after = reading.cache_info()
    assert 2 * CALLS == after.misses - before.misses
    kept = 2 * CALLS - (after.unkept - before.unkept)
    assert kept < CALLS // 4
    assert counts["witnesses"] == kept
    assert counts["stamps"] <= 3 * kept


def test_every_commit_is_seen(db, cached):
    """As by the read itself."""
    reading = cached(lambda n: db.scalar(READ, n))
    spend(reading)
    for n in range(300):
        db.execute("UPDATE t SET v = ? WHERE id = ?", f"new {n}", n % 3)
        assert f"new {n}" == reading(n % 3)


def test_the_call_around_it_depends_on_what_it_reads(db):
    """Nobody vouches for it but the witness of that call."""
    inner = db.cached(lambda n: db.scalar(READ, n))
    spend(inner)
    calls = []

    @db.cached(ttl=1000)
    def outer(first):
        calls.append(first)
        return sum(inner(n) for n in range(first, first + 40))

    begin = 10 * CALLS
    unkept = inner.cache_info().unkept
    expected = sum(range(begin, begin + 40))
    assert expected == outer(begin) == outer(begin)
    assert inner.cache_info().unkept > unkept, "the inner calls did not pass"
    assert 1 == len(calls)
    db.execute("UPDATE t SET v = v + 1 WHERE id = ?", begin + 39)
    assert expected + 1 == outer(begin)


def test_the_coroutine_around_it_depends_on_what_it_reads(db):
    """The same on a loop, where what is cancelled in it refuses the proof of that around it."""
    calls, reads = [], []

    @db.cached
    async def inner(n):
        reads.append(n)
        if n < 0:
            await asyncio.sleep(10)
        return await db.aio.scalar(READ, n)

    @db.cached(ttl=1000)
    async def outer(first):
        calls.append(first)
        return sum([await inner(n) for n in range(first, first + 40)])

    @db.cached(ttl=1000)
    async def hasty(n):
        try:
            async with asyncio.timeout(0.01):
                return await inner(n)
        except TimeoutError:
            return "too late"

    async def all_of_it():
        for n in range(CALLS):
            await inner(n)
        begin = 10 * CALLS
        unkept = inner.cache_info().unkept
        expected = sum(range(begin, begin + 40))
        assert [expected] * 2 == [await outer(begin), await outer(begin)]
        assert inner.cache_info().unkept > unkept, "the inner calls did not pass"
        assert 1 == len(calls)
        await db.aio.execute("UPDATE t SET v = v + 1 WHERE id = ?", begin + 39)
        assert expected + 1 == await outer(begin)
        reads.clear()
        assert ["too late"] * 40 == [await hasty(-1 - n % 20) for n in range(40)]
        assert [*range(-1, -21, -1)] * 2 == reads, "an answer that was made of a time-out was kept"

    asyncio.run(all_of_it())


def test_it_must_not_write(db, cached):
    """As when it is kept: nothing is written, whenever its account says what."""

    def reading(n):
        if n >= CALLS:
            db.execute("INSERT INTO u VALUES (1)")
        return db.scalar(READ, n)

    reading = cached(reading)
    spend(reading)
    for n in range(CALLS, CALLS + 40):
        with pytest.raises(errors.TrackedWriteError):
            reading(n)
    assert 0 == db.scalar("SELECT count(*) FROM u")


def test_what_it_has_started_may_write_when_it_has_returned(db):
    """A task that outlives it is no part of it."""
    go = asyncio.Event()

    async def write():
        await go.wait()
        await db.aio.execute("INSERT INTO u VALUES (1)")

    tasks = []

    @db.cached
    async def reading(n):
        if n == CALLS:
            tasks.append(asyncio.create_task(write()))
        return await db.aio.scalar(READ, n)

    async def all_of_it():
        for n in range(CALLS + 1):
            await reading(n)
        go.set()
        await tasks[0]

    asyncio.run(all_of_it())
    assert 1 == db.scalar("SELECT count(*) FROM u")


def test_what_the_inner_one_has_started_is_still_part_of_the_outer_one(db):
    """A task that outlives the call that started it must not write while the call around that runs."""
    refused = []

    async def write(go):
        await go.wait()
        with pytest.raises(errors.TrackedWriteError):
            await db.aio.execute("INSERT INTO u VALUES (1)")
        refused.append(1)

    tasks = []

    @db.cached
    async def reading(n):
        if n >= CALLS:
            go = asyncio.Event()
            with Passing():
                tasks.append(asyncio.create_task(write(go)))
            go.set()
            await tasks[-1]
        return await db.aio.scalar(READ, n)

    async def all_of_it():
        for n in range(CALLS + 30):
            await reading(n)

    asyncio.run(all_of_it())
    assert 30 == len(refused)


@pytest.mark.parametrize("kind", [TypeError, ValueError, KeyError])
def test_what_it_raises_is_raised_once(db, cached, kind):
    """And it is called once: its own errors are not taken for those of its arguments."""
    calls = []

    def reading(n):
        calls.append(n)
        if n >= CALLS:
            raise kind(n)
        return db.scalar(READ, n)

    reading = cached(reading)
    spend(reading)
    calls.clear()
    for n in range(CALLS, CALLS + 40):
        with pytest.raises(kind):
            reading(n)
    assert [*range(CALLS, CALLS + 40)] == calls


def test_inside_a_snapshot_it_is_of_that_moment(db):
    """Its reads are the snapshot's."""
    reading = db.cached(lambda n: db.scalar(READ, n))
    spend(reading)
    with db.snapshot():
        db.scalar("SELECT count(*) FROM u")
        writer = threading.Thread(target=lambda: db.execute("UPDATE t SET v = 'new'"))
        writer.start()
        writer.join()
        assert [*range(CALLS, CALLS + 40)] == [reading(n) for n in range(CALLS, CALLS + 40)]
    assert {"new"} == {reading(n) for n in range(CALLS, CALLS + 40)}


def test_what_is_asked_for_again_becomes_a_hit(db, cached):
    """A call that passes leaves word that it was asked for."""
    reading = cached(lambda n: db.scalar(READ, n))
    spend(reading)
    for _ in range(200):
        reading(5)
    hits = reading.cache_info().hits
    reading(5)
    assert hits + 1 == reading.cache_info().hits


def test_it_costs_what_it_takes_without_a_witness(db, monkeypatch):
    """Calls that pass are timed, and what computing costs is known from them."""
    took = []
    monkeypatch.setattr(Account, "ran", lambda _, seconds: took.append(seconds))
    reading = db.cached(lambda n: db.scalar(READ, n))
    spend(reading)
    took.clear()
    unkept = reading.cache_info().unkept
    for n in range(CALLS, 9 * CALLS):
        reading(n)
    passed = reading.cache_info().unkept - unkept
    assert passed // (2 * (TIMED + 1)) <= len(took) <= passed // (TIMED + 1) + 20
    assert all(seconds > 0 for seconds in took)
