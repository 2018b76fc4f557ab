"""Functions whose answers are kept: what they read is noted, and none is older than the data (laws 1, 2 and 3)."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import importlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

import coeval
from coeval import engine as engine_module
from coeval import errors
from coeval.cache.kept_call import KeptCall


class Counted:
    """Functions over a database, and how often each has run."""

    def __init__(self, db):
        self.db = db
        self.runs: dict[str, int] = {}

    def ran(self, name):
        """One more time."""
        self.runs[name] = self.runs.get(name, 0) + 1


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE u (x)")
    return db


@pytest.fixture
def counted(db):
    return Counted(db)


SUM = "SELECT sum(v) FROM t"


class Named(namedtuple("Named", "v")):  # noqa: PYI024, SLOT002 - it is given attributes
    """Has a place for attributes."""


@dataclasses.dataclass(frozen=True)
class Frozen:
    """Has none."""

    v: int


class Derived(Frozen):
    """Takes any."""


def test_kept_until_what_it_reads_changes(db, counted):
    """A write elsewhere leaves it, a write there does not, whoever makes it."""

    @db.cached
    def total(plus):
        counted.ran("total")
        return db.scalar(SUM) + plus

    assert [3, 3, 4] == [total(0), total(0), total(1)]
    assert {"total": 2} == counted.runs
    db.execute("INSERT INTO u VALUES (1)")
    assert 3 == total(0)
    assert {"total": 2} == counted.runs
    db.execute("INSERT INTO t VALUES (3, 3)")
    assert [6, 6] == [total(0), total(0)]
    assert {"total": 3} == counted.runs
    assert (3, 3, 0, 0, 0) == total.cache_info()


def test_a_write_of_another_process_is_seen(db, start_foreign, counted):
    """By plain sqlite3, at the next call."""
    foreign = start_foreign()

    @db.cached
    def total():
        return db.scalar(SUM)

    for value in range(3, 10):
        assert total() == total()
        foreign.execute("INSERT INTO t VALUES (?, ?)", value, value)
        assert sum(range(1, value + 1)) == total()


def test_a_commit_between_two_of_its_reads(db, counted):
    """The earliest stamp of each table is kept: what was written after the first read makes it invalid."""
    between: list[str] = ["UPDATE t SET v = 10 WHERE id = 1"]

    @db.cached
    def both():
        counted.ran("both")
        first = db.scalar("SELECT v FROM t WHERE id = 1")
        while between:
            _apart(db, between.pop())
        return first, db.scalar("SELECT v FROM t WHERE id = 2")

    def _apart(db, sql):
        from apart import apart

        with apart():
            db.execute(sql)

    assert (1, 2) == both()
    assert (10, 2) == both()
    assert (10, 2) == both()
    assert {"both": 2} == counted.runs


def test_a_function_in_a_function(db, counted):
    """The outer one depends on what the inner one has read, computed or kept."""

    @db.cached
    def inner():
        counted.ran("inner")
        return db.scalar(SUM)

    @db.cached
    def outer():
        counted.ran("outer")
        return inner() + 1

    assert 3 == inner()
    assert [4, 4] == [outer(), outer()]
    db.execute("UPDATE t SET v = 5 WHERE id = 1")
    assert [8, 8, 7] == [outer(), outer(), inner()]
    assert {"inner": 2, "outer": 2} == counted.runs


@pytest.mark.parametrize("way", ["thread", "executor", "executor made before", "to_thread", "task"])
def test_reads_elsewhere_belong_to_it(db, counted, way):
    """In threads and tasks that it starts."""
    early = ThreadPoolExecutor(1)
    early.submit(int).result()

    def read():
        return db.scalar(SUM)

    @db.cached
    def total():
        counted.ran(way)
        if way == "thread":
            found: list[Any] = []
            thread = threading.Thread(target=lambda: found.append(read()))
            thread.start()
            thread.join()
            return found[0]
        if way == "executor":
            with ThreadPoolExecutor(2) as pool:
                return pool.submit(read).result()
        if way == "executor made before":
            return early.submit(read).result()
        if way == "to_thread":
            return asyncio.run(asyncio.to_thread(read))

        async def ask():
            return await asyncio.create_task(db.aio.scalar(SUM))

        return asyncio.run(ask())

    assert [3, 3] == [total(), total()]
    db.execute("INSERT INTO t VALUES (3, 3)")
    assert [6, 6] == [total(), total()]
    assert {way: 2} == counted.runs
    early.shutdown()


def test_what_is_not_kept(db, counted, caplog, tmp_path):
    """Nothing read, chance, another database: computed each time, and said once."""
    other = coeval.open(tmp_path / "other.db")
    other.script("CREATE TABLE o (v); INSERT INTO o VALUES (7)")

    @db.cached
    def nothing():
        counted.ran("nothing")
        return 7

    @db.cached
    def chance():
        counted.ran("chance")
        return db.scalar("SELECT random()"), db.scalar(SUM)

    @db.cached
    def elsewhere():
        counted.ran("elsewhere")
        return other.scalar("SELECT v FROM o"), db.scalar(SUM)

    @db.cached
    def around():
        counted.ran("around")
        return chance()[1] + db.scalar(SUM)

    for function in (nothing, chance, elsewhere, around):
        for _ in range(3):
            function()
    assert {"nothing": 3, "chance": 6, "elsewhere": 3, "around": 3} == counted.runs
    said = [record.getMessage() for record in caplog.records if "is not cached" in record.getMessage()]
    assert 4 == len(said)
    other.close()


def test_one_that_writes_raises(db):
    """And nothing was written, whatever the call."""

    def write_attempt():
        db.write(lambda tx: tx.execute("INSERT INTO u VALUES (1)"))

    def transaction():
        with db.transaction():
            pass

    for call in (
        lambda: db.execute("INSERT INTO u VALUES (1)"),
        lambda: db.executemany("INSERT INTO u VALUES (?)", [(1,)]),
        lambda: db.script("INSERT INTO u VALUES (1)"),
        lambda: db.load("u", [(1,)]),
        lambda: db.invalidate("x"),
        write_attempt,
        transaction,
    ):

        @db.cached
        def bad(call=call):
            db.scalar(SUM)
            call()

        with pytest.raises(errors.TrackedWriteError, match=r"@db\.cached"):
            bad.__wrapped__.__defaults__ and db.cached(lambda call=call: call(), leave_out=["call"])()
    assert 0 == db.scalar("SELECT count(*) FROM u")
    with db.transaction() as tx:
        tx.execute("INSERT INTO u VALUES (2)")
        with pytest.raises(errors.TrackedWriteError):
            db.cached(lambda: db.execute("INSERT INTO u VALUES (1)"))()
    assert 1 == db.scalar("SELECT count(*) FROM u")


def test_in_a_transaction_and_a_snapshot(db, counted):
    """A transaction sees its own view and keeps nothing; a snapshot is of one moment, for cached calls too."""

    @db.cached
    def total():
        counted.ran("total")
        return db.scalar(SUM)

    assert 3 == total()
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        assert 6 == total()
    assert 6 == total()
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:  # noqa: PT012 - the block is what is tested
        tx.execute("INSERT INTO t VALUES (4, 4)")
        assert 10 == total()
        raise ZeroDivisionError
    assert 6 == total()
    with db.snapshot():
        assert 6 == total()
        thread = threading.Thread(target=db.execute, args=("INSERT INTO t VALUES (5, 5)",))
        thread.start()
        thread.join()
        assert [6, 6] == [total(), total()]
    assert 11 == total()


@dataclasses.dataclass
class Point:
    """An argument."""

    x: int
    y: Any = None


class Colour:
    """One that cannot be part of a key."""


def test_keys(db, counted):
    """However the arguments are given; types count; what has no equality is refused by name."""

    @db.cached
    def echo(a, b=2, *rest, c=3, **more):
        counted.ran("echo")
        return db.scalar(SUM), a, b, rest, c, more

    for call in (
        lambda: echo(1),
        lambda: echo(a=1),
        lambda: echo(1, 2),
        lambda: echo(b=2, a=1, c=3),
    ):
        call()
    assert {"echo": 1} == counted.runs
    different: list[Any] = [
        True,
        1.0,
        "1",
        b"1",
        None,
        Decimal(1),
        (1,),
        [1],
        {1},
        {"a": 1},
        Point(1),
        Point(1, 1),
        0.0,
        -0.0,
    ]
    for value in different:
        echo(value)
        echo(value)
    assert {"echo": 1 + len(different)} == counted.runs
    echo({"x": 1, "y": 2})
    echo({"y": 2, "x": 1})
    assert {"echo": 3 + len(different)} == counted.runs, "the order of a dict can be seen"
    with pytest.raises(errors.KeyArgumentError, match=r"'a'.*Colour"):
        echo(Colour())
    with pytest.raises(errors.KeyArgumentError, match="'rest'"):
        echo(1, 2, Colour())
    with pytest.raises(TypeError):
        echo()
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(errors.KeyArgumentError, match="deep"):
        echo(cycle)


def test_what_is_left_out(db, counted):
    """Databases by their type, others by name or type; methods of an object that is none of the answer's business."""

    class Repository:
        def __init__(self, db):
            self.db = db

        @db.cached(leave_out=["self"])
        def total(self, plus):
            counted.ran("total")
            return self.db.scalar(SUM) + plus

    assert [4, 4] == [Repository(db).total(1), Repository(db).total(plus=1)]
    assert 4 == Repository(db).total.peek(1)

    @db.cached(leave_out=[Colour])
    def by_type(which: coeval.Database, colour, n):
        counted.ran("by_type")
        return which.scalar(SUM) + n

    assert [4, 4] == [by_type(db, Colour(), 1), by_type(db, Colour(), 1)]
    assert {"total": 1, "by_type": 1} == counted.runs


def test_nobody_sees_what_another_does_to_a_result(db):
    """Lists and dicts are everybody's own; what cannot be changed is shared."""

    @db.cached
    def mutable():
        return {"rows": [list(row) for row in db.query("SELECT id, v FROM t")]}

    @db.cached
    def fixed():
        return db.query("SELECT id, v FROM t")

    first = mutable()
    first["rows"].append("mine")
    first["rows"][0][0] = "mine"
    assert {"rows": [[1, 1], [2, 2]]} == mutable()
    mutable()["rows"].clear()
    assert {"rows": [[1, 1], [2, 2]]} == mutable()
    assert fixed() is fixed()
    for kind in (Named, Derived):

        @db.cached
        def with_more(kind=kind):
            found = kind(db.scalar(SUM))
            found.more = []
            return found

        with_more().more.append("mine")
        assert [] == with_more().more
        assert 1 == with_more.cache_info().misses


def test_tags_and_time(db, counted, monkeypatch):
    """What is not in the database: kept by tags and for a time."""

    @db.cached(tags=["a", "b"])
    def tagged():
        counted.ran("tagged")
        return counted.runs["tagged"]

    @db.cached(ttl=60)
    def timed():
        counted.ran("timed")
        return counted.runs["timed"]

    @db.cached
    def around():
        return tagged(), timed()

    assert [1, 1, 1, 1] == [tagged(), tagged(), timed(), timed()]
    assert [(1, 1), (1, 1)] == [around(), around()]
    db.invalidate("b")
    assert [2, (2, 1)] == [tagged(), around()]
    with pytest.raises(ZeroDivisionError), db.transaction():  # noqa: PT012 - the block is what is tested
        db.invalidate("a")
        raise ZeroDivisionError
    assert 2 == tagged()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert [2, (2, 2)] == [timed(), around()]


def test_a_tag_invalidated_while_it_is_computed(db, counted):
    """The stamps are read before the function runs."""

    @db.cached(tags=["a"])
    def tagged():
        counted.ran("tagged")
        if counted.runs["tagged"] == 1:
            inside.set()
            assert go.wait(10)
        return counted.runs["tagged"]

    inside, go = threading.Event(), threading.Event()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(tagged()))
    thread.start()
    assert inside.wait(10)
    db.invalidate("a")
    go.set()
    thread.join()
    assert [1] == found
    assert 2 == tagged()


def test_forty_at_once_compute_once(db, counted):
    """And all get it."""

    @db.cached
    def slow():
        counted.ran("slow")
        time.sleep(0.05)
        return db.scalar(SUM)

    barrier, found = threading.Barrier(40), []

    def ask():
        barrier.wait(10)
        found.append(slow())

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [3] * 40 == found
    assert {"slow": 1} == counted.runs


def test_nobody_joins_what_began_before_a_commit_that_it_has_seen(db, counted):
    """Hole 5: the one under way may be older; those who come behind it share the next."""

    @db.cached
    def total():
        counted.ran("total")
        value = db.scalar(SUM)
        if counted.runs["total"] == 1:
            inside.set()
            assert go.wait(10)
        return value

    inside, go, found = threading.Event(), threading.Event(), []
    first = threading.Thread(target=lambda: found.append(("first", total())))
    first.start()
    assert inside.wait(10)
    db.execute("INSERT INTO t VALUES (3, 3)")
    later = [threading.Thread(target=lambda: found.append(("later", total()))) for _ in range(5)]
    for thread in later:
        thread.start()
    time.sleep(0.05)
    assert [] == found
    go.set()
    for thread in (first, *later):
        thread.join()
    assert [("first", 3)] + [("later", 6)] * 5 == sorted(found)
    assert {"total": 2} == counted.runs


def test_a_leader_that_fails_leaves_the_others_to_themselves(db, counted):
    """Each gets an answer of its own, or its own error."""

    @db.cached
    def shaky():
        counted.ran("shaky")
        inside.set()
        if counted.runs["shaky"] == 1:
            assert go.wait(10)
            raise ValueError("the first")
        return db.scalar(SUM)

    inside, go, found = threading.Event(), threading.Event(), []

    def ask():
        try:
            found.append(shaky())
        except ValueError as error:
            found.append(str(error))

    first = threading.Thread(target=ask)
    first.start()
    assert inside.wait(10)
    others = [threading.Thread(target=ask) for _ in range(4)]
    for thread in others:
        thread.start()
    time.sleep(0.05)
    go.set()
    for thread in (first, *others):
        thread.join()
    assert [3, 3, 3, 3, "the first"] == sorted(found, key=str)
    assert {"shaky": 2} == counted.runs


def test_two_that_call_each_other_do_not_wait_for_ever(db, counted):
    """Crosswise in two threads, and itself in one."""

    @db.cached
    def a(deep):
        both.wait(10) if deep else None
        return db.scalar(SUM) + (b(False) if deep else 0)

    @db.cached
    def b(deep):
        both.wait(10) if deep else None
        return db.scalar(SUM) + (a(False) if deep else 0)

    @db.cached
    def itself(n):
        counted.ran("itself")
        return db.scalar(SUM) + (itself(n) if counted.runs["itself"] < 3 else 0)

    both, found = threading.Barrier(2), []
    threads = [threading.Thread(target=lambda f=f: found.append(f(True))) for f in (a, b)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [6, 6] == found
    assert 9 == itself(1)
    assert time.monotonic() - begun < 4


def test_negative(db, counted):
    """None by choice, and exceptions that were named; others are raised and computed again."""

    @db.cached(negative=LookupError)
    def find(n):
        counted.ran("find")
        if db.first("SELECT v FROM t WHERE id = ?", n) is None:
            raise KeyError(n)
        return n

    @db.cached(negative=False)
    def none():
        counted.ran("none")
        return db.first("SELECT v FROM t WHERE id = 99")

    for _ in range(3):
        with pytest.raises(KeyError, match="9"):
            find(9)
        assert none() is None
    assert {"find": 1, "none": 3} == counted.runs
    db.execute("INSERT INTO t VALUES (9, 9)")
    assert 9 == find(9)


def test_an_old_value_while_a_new_one_is_made(db, counted):
    """For so many seconds, and by one computation."""

    @db.cached(stale_while_revalidate=30)
    def total():
        counted.ran("total")
        if counted.runs["total"] > 1:
            assert go.wait(10)
        return db.scalar(SUM)

    go = threading.Event()
    assert 3 == total()
    db.execute("INSERT INTO t VALUES (3, 3)")
    assert [3, 3, 3] == [total(), total(), total()]
    go.set()
    end = time.monotonic() + 10
    while total() != 6:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert {"total": 2} == counted.runs


def test_what_is_made_beside_the_caller_is_made_for_the_same_call(db, counted):
    """A list that the caller has changed since, or a `vary` that looks at what only its thread has, is another call."""
    local = threading.local()
    local.user = "ann"

    @db.cached(stale_while_revalidate=30)
    def total(ids):
        counted.ran("total")
        return db.scalar(SUM), tuple(ids)

    @db.cached(stale_while_revalidate=30, vary=lambda: local.user)
    def greeting():
        counted.ran("greeting")
        return db.scalar(SUM), getattr(local, "user", "nobody")

    held, ids = threading.Event(), [1]
    db._engine.workers.chores.run(lambda: held.wait(10))  # what comes later waits behind it
    first = total(ids), greeting()
    db.execute("INSERT INTO t VALUES (3, 3)")
    assert first == (total(ids), greeting())
    ids.append(2)
    held.set()
    db._engine.workers.chores.close()
    assert db._engine.workers.join(10)
    for answer in (total([1]), greeting()):
        assert answer in ((3, (1,)), (6, (1,)), (3, "ann"), (6, "ann"))
    assert (6, (1, 2)) == total([1, 2])


def test_what_changes_its_own_argument_is_not_kept(db, counted, caplog):
    """The next call would not do so."""

    @db.cached
    def take(ids):
        counted.ran("take")
        return db.scalar(SUM) + ids.pop()

    assert [5, 5] == [take([1, 2]), take([1, 2])]
    assert {"take": 2} == counted.runs
    assert "its arguments were changed" in caplog.text


def test_refresh_peek_invalidate(db, counted):
    """By hand."""

    @db.cached
    def total(n=0):
        counted.ran("total")
        return db.scalar(SUM) + n

    assert total.peek() is None
    assert 3 == total()
    assert [3, 3] == [total.peek(), total.peek(0)]
    assert 3 == total.refresh()
    assert {"total": 2} == counted.runs
    total.invalidate()
    assert total.peek() is None
    assert 3 == total()
    db.execute("INSERT INTO t VALUES (3, 3)")
    assert total.peek() is None
    assert {"total": 3} == counted.runs


def test_one_that_another_thread_has_just_proved_is_not_given_old(db, counted, monkeypatch):
    """Without `stale_while_revalidate` nothing old is given, though it was proved after this call had looked at the time."""

    @db.cached
    def total():
        counted.ran("total")
        return [db.scalar(SUM)]

    assert [3] == total()
    db.execute("INSERT INTO u VALUES (1)")  # so that stamps are looked at
    see = engine_module.Engine.using

    def seen_late(engine, work):
        found = see(engine, work)
        (entry,) = [one for one in engine.tier._entries.values() if isinstance(one, KeptCall)]
        entry.proved = time.monotonic()  # another thread's call, between that look and the stamps of this one
        return found

    db.execute("INSERT INTO t VALUES (3, 3)")
    with monkeypatch.context() as patch:
        patch.setattr(engine_module.Engine, "using", seen_late)
        assert [6] == total()
    assert 0 == total.cache_info().stale
    assert {"total": 2} == counted.runs


def test_what_is_made_of_a_call_that_was_left_off(db):
    """By an exception that is none of `Exception`: it is answered, and not kept."""

    class Leave(BaseException):
        pass

    @db.cached
    def inner():
        if db.scalar(SUM) == 3:
            raise Leave
        return "there"

    @db.cached
    def outer():
        db.scalar("SELECT count(*) FROM u")
        try:
            return inner()
        except Leave:
            return "left"

    assert ["left", "left"] == [outer(), outer()]
    db.execute("UPDATE t SET v = 5")
    assert "there" == outer()


def test_a_refresh_overtakes_a_load_that_began_before(db):
    """What that has found outside of the database is not put in the place of what is newer."""
    outside, inside, go_on = ["old"], threading.Event(), threading.Event()

    @db.cached(ttl=60)
    def value():
        found = outside[0]
        if not inside.is_set():
            inside.set()
            go_on.wait(10)
        return found

    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(value)
        inside.wait(10)
        outside[0] = "new"
        assert "new" == value.refresh()
        go_on.set()
        assert "old" == load.result(10)
    assert "new" == value()


MODULE = """
import coeval

db = coeval.open(__file__ + ".db")


@db.cached
def double(x):
    return 2 * db.scalar("SELECT ?", x)


@db.aio.cached
async def triple(x):
    return 3 * await db.aio.scalar("SELECT ?", x)


class Shape:
    side = 4

    @db.cached(key=lambda self: self.side)
    def area(self):
        return self.side * db.scalar("SELECT ?", self.side)
"""


def test_pickled_by_name(db, tmp_path, monkeypatch):
    """As functions and methods are, so that another process may be told to call one; copies are the same function."""
    (tmp_path / "pickled_calls.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    calls = importlib.import_module("pickled_calls")
    try:
        for one in (calls.double, calls.triple, calls.Shape.area):
            assert pickle.loads(pickle.dumps(one)) is one  # noqa: S301 - our own
            assert copy.deepcopy([one]) == [one]
        assert pickle.loads(pickle.dumps(calls.Shape().area))() == 16  # noqa: S301
        assert copy.copy(calls.Shape().area)() == 16
        code = "import pickle, sys; double, area = pickle.load(sys.stdin.buffer); print(double(21), area())"
        told = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps((calls.double, calls.Shape().area)),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
        assert told.stdout.split() == [b"42", b"16"]
    finally:
        calls.db.close()
        del sys.modules["pickled_calls"]

    @db.cached
    def local():
        return 1

    for one in (local, db.cached(functools.partial(pow, 2), key=lambda x: x)):
        with pytest.raises((AttributeError, pickle.PicklingError)):
            pickle.dumps(one)
