"""Cached functions whose answers are not worth keeping run as if there were no cache, and are as fresh (laws 1, 2, 3 and 9)."""

from __future__ import annotations

import asyncio
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

import coeval
from coeval import cached as cached_module
from coeval import errors
from coeval.cache.admission import LOAN, Account, Admission
from coeval.cached import TIMED
from coeval.call import Call
from coeval.coherence.proof import Witness
from coeval.passing import passing, past, past_awaited, running
from coeval.sqlite.connection import Connection
from coeval.witnessing import witness
from waiting import wait_until

from interrupting import interrupted_at

READ = "SELECT v FROM t WHERE id = ?"
CALLS = 4 * LOAN


def of_its_own(name):
    """Where a call passes."""
    return name.endswith(("cached.py", "passing.py"))


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(n, n) for n in range(20 * CALLS)])
        db.execute("CREATE TABLE u (v)")
        yield db


@pytest.fixture(autouse=True)
def without_worth(monkeypatch):
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

            async def start(go=go):
                tasks.append(asyncio.create_task(write(go)))

            await past_awaited(start, (), {})
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


@pytest.mark.parametrize("way", ["thread", "executor"])
def test_threads_that_it_starts_must_not_write(db, cached, way):
    """As those of a call that is kept; when it has returned they may."""
    refused = []
    held = threading.Event()

    def write():
        try:
            db.execute("INSERT INTO u VALUES (1)")
        except errors.TrackedWriteError as error:
            refused.append(error)

    def reading(n):
        if n < CALLS:
            return db.scalar(READ, n)
        if way == "thread":
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        else:
            pool.submit(write).result()
        return len(refused)

    def write_late():
        assert held.wait(20)
        write()

    late = []

    def leaving(n):
        if n >= CALLS:
            late.append(threading.Thread(target=write_late))
            late[-1].start()
        return db.scalar(READ, n)

    with ThreadPoolExecutor(1) as pool:
        reading = cached(reading)
        spend(reading)
        assert [*range(1, 41)] == [reading(n) for n in range(CALLS, CALLS + 40)]
    assert 0 == db.scalar("SELECT count(*) FROM u")
    leaving = cached(leaving)
    spend(leaving)
    leaving(CALLS)
    held.set()
    late[0].join()
    assert 40 == len(refused)
    assert 1 == db.scalar("SELECT count(*) FROM u")


def test_an_interrupt_at_any_moment_leaves_the_thread_free_to_write(db):
    """It is not taken to be inside of a call for ever, nor is the call's key."""
    number = 0
    while interrupted_at(number := number + 1, lambda: past(lambda: None, (), {}), but={("c_return", "profile")}):
        assert running(passing.get()) is None, number
        db.execute("INSERT INTO u VALUES (?)", number)
    assert number > 3
    reading = db.cached(lambda n: db.scalar(READ, n))
    spend(reading)
    (account,) = (one for one in db._engine.tier.admission.passing.values() if one.name == reading._tracked.name)
    n, first = CALLS, 0
    while interrupted_at(first := first + 1, partial(reading, n), of_its_own):
        n += 1
        db.execute("INSERT INTO u VALUES (?)", first)
        assert not account.running
    assert first > 3


@pytest.mark.parametrize("kind", ["passing", "kept"])
def test_calls_that_start_one_another_make_no_chain(db, kind):
    """Each begins while the one before still runs, which ends then: it lets go of those that are over."""
    depths = []
    most = 1500

    async def one(n):
        around = (passing if kind == "passing" else witness).get()
        depths.append(0)
        while around is not None:
            around, depths[-1] = around.outer, depths[-1] + 1
        if n:
            begun[n].set()
        found = await db.aio.scalar(READ, n)
        if n + 1 < most:
            begun[n + 1] = asyncio.Event()
            tasks.append(asyncio.create_task(call(n + 1)))
            await begun[n + 1].wait()
        return found

    kept = db.cached(ttl=1000)(one)

    async def call(n):
        return await (kept(n) if kind == "kept" else past_awaited(one, (n,), {}))

    begun, tasks = {}, []

    async def main():
        tasks.append(asyncio.create_task(call(0)))
        while tasks:
            await tasks.pop()

    asyncio.run(main())
    assert most == len(depths)
    assert 1 < max(depths) < 50


def test_many_that_ask_for_one_key_at_once_share(db):
    """One passes, the next finds it under way and leads a flight, which all others join: two computations at the most."""
    started, calls = threading.Barrier(9), []
    go = threading.Event()

    @db.cached
    def reading(n):
        if n >= CALLS:
            calls.append(n)
            assert go.wait(20)
        return db.scalar(READ, n)

    spend(reading)
    (account,) = (one for one in db._engine.tier.admission.passing.values() if one.name == reading._tracked.name)
    account.balance = account.rate = 0.0  # nothing is kept for having been asked for before
    account.left = account.span = 100  # nor by chance
    first = threading.Thread(target=reading, args=(CALLS,))
    first.start()
    wait_until(lambda: calls, "it passes")
    assert account.running, "the first did not pass"

    def ask():
        started.wait(20)
        reading(CALLS)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    started.wait(20)
    wait_until(lambda: len(calls) == 2, "one leads")
    go.set()
    for thread in (first, *threads):
        thread.join()
    assert 2 == len(calls)
    assert not account.running


def test_one_that_has_become_dear_is_kept_again(db, monkeypatch):
    """However it is called: what computing cost long ago is forgotten."""
    monkeypatch.undo()
    now = [0.0]
    monkeypatch.setattr(Account, "spent", lambda *_: None)
    monkeypatch.setattr(Call, "time", lambda _: now[0])
    takes = [1e-6]

    @db.cached
    def reading(n):
        now[0] += takes[0]
        return db.scalar(READ, n)

    @db.cached(ttl=1000)
    def around(first):
        return [reading(n) for n in range(first, first + 10)]

    monkeypatch.setattr(cached_module, "time", types.SimpleNamespace(monotonic=lambda: now[0] + 1))
    spend(reading)
    assert db._engine.tier.admission.passing.get(reading._tracked.name) is not None
    takes[0] = 0.002
    for first in range(10 * CALLS, 15 * CALLS, 10):
        around(first)
    assert db._engine.tier.admission.passing.get(reading._tracked.name) is None
    unkept = reading.cache_info().unkept
    for n in range(16 * CALLS, 17 * CALLS):
        reading(n)
    assert unkept == reading.cache_info().unkept


@pytest.mark.parametrize("call", ["restamp", "vacuum", "track", "untrack"])
def test_what_changes_the_file_is_refused_on_a_loop_too(db, call):
    """As by the blocking face, kept or not."""
    given = {"track": ("t", "v"), "untrack": ("t",)}.get(call, ())

    @db.cached
    async def reading(n):
        if n >= CALLS:
            await getattr(db.aio, call)(*given)
        return await db.aio.scalar(READ, n)

    async def all_of_it():
        for n in range(CALLS):
            await reading(n)
        for n in range(CALLS, CALLS + 20):
            with pytest.raises(errors.TrackedWriteError):
                await reading(n)

    asyncio.run(all_of_it())
