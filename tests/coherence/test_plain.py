"""Values that do not come from SQL: none is given after it was set anew, deleted or invalidated, in whatever process (laws 1 and 2)."""

# ruff: noqa: PT012 - the block that raises is the transaction itself
from __future__ import annotations

import inspect
import logging
import threading
import time
from typing import Any

import pytest

from coeval import errors
from coherence import naive
from coherence.asking import Started
from companion import Companion
from loops import Trace
from waiting import wait_until


@pytest.fixture
def other(db, path):
    """Another process that has the file open."""
    companion = Companion(path)
    yield companion
    companion.kill()


@pytest.fixture
def clock(monkeypatch):
    """The time of `time.monotonic`, to be moved on."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


class Held:
    """A ``make`` that stands still until it may go on."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.inside = threading.Event()
        self.go = threading.Event()
        self.runs = 0

    def __call__(self) -> Any:
        self.runs += 1
        self.inside.set()
        assert self.go.wait(30)
        return self.value


def held_load(cache: Any, key: Any, value: Any, **options: Any) -> tuple[Held, Started]:
    """A `get_or_set` that stands in its ``make``."""
    make = Held(value)
    load = Started(lambda: cache.get_or_set(key, make, **options))
    assert make.inside.wait(30)
    return make, load


# -- one process -----------------------------------------------------------------------------------------------------------


def test_set_get_delete(db):
    """As a dict's; None is a value."""
    cache = db.cache
    assert cache.get("k") is None
    assert 1 == cache.get("k", 1)
    cache.set("k", "a")
    assert ["a", "a"] == [cache.get("k"), cache.get("k", 1)]
    cache.set("k", None)
    assert cache.get("k", 1) is None
    assert cache.get_or_set("k", lambda: 5) is None
    cache.delete("k")
    cache.delete("k")
    assert 1 == cache.get("k", 1)
    assert cache is db.cache


def test_get_or_set_makes_it_once(db):
    """And None is kept, too."""
    made: list[int] = []

    def make():
        made.append(1)

    for _ in range(3):
        assert db.cache.get_or_set(("user", 7), make) is None
    assert [1] == made
    assert db.cache.get(("user", 7), 5) is None
    assert 5 == db.cache.get(("user", 7.0), 5)


def test_get_or_set_depends_on_what_it_reads(db, foreign):
    """And its ``make`` must not write."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")

    def read():
        return db.cache.get_or_set("sum", lambda: db.scalar("SELECT sum(v) FROM t"))

    assert [1, 1, 1] == [read(), read(), db.cache.get("sum")]
    foreign.execute("INSERT INTO t VALUES (2)")
    assert db.cache.get("sum") is None
    assert [3, 3] == [read(), read()]
    with pytest.raises(errors.TrackedWriteError, match="get_or_set"):
        db.cache.get_or_set("w", lambda: db.execute("INSERT INTO t VALUES (9)"))
    assert 3 == db.scalar("SELECT sum(v) FROM t")


def test_nobody_sees_what_another_does_to_a_value(db):
    """Copies of what can be changed, in and out; the rest is shared."""
    mine: list[Any] = [1]
    db.cache.set("k", mine)
    mine.append(2)
    db.cache.get("k").append(3)
    db.cache.get("k").append(4)
    assert [1] == db.cache.get("k") == db.cache.get_or_set("k", list)
    shared = ("a", 1.5)
    db.cache.set("k", shared)
    assert db.cache.get("k") is shared


def test_what_cannot_be_kept(db, caplog):
    """`set` refuses it and leaves what was there; `get_or_set` gives it, and says so once."""
    db.cache.set("k", 1)
    for bad in ((i for i in range(3)), [threading.Lock()]):
        with pytest.raises(errors.ParameterError, match="'k' cannot be kept"):
            db.cache.set("k", bad)
        assert 1 == db.cache.get("k")
    for _ in range(3):
        assert [0, 1] == list(db.cache.get_or_set("generator", lambda: iter(range(2))))
    assert 1 == sum("is not cached" in record.getMessage() for record in caplog.records)
    for call in (
        lambda: db.cache.set("k", 1, ttl=0),
        lambda: db.cache.get_or_set("n", int, ttl=-1),
        lambda: db.cache.get_or_set("n", int, stale_while_revalidate=-1),
    ):
        with pytest.raises(errors.ConfigError):
            call()
    with pytest.raises(errors.ParameterError, match="tag"):
        db.cache.set("k", 1, tags=[7])

    async def coroutine():
        pass

    for make in (coroutine, 7):
        with pytest.raises(errors.ParameterError, match="get_or_set takes"):
            db.cache.get_or_set("n", make)
    for use in (
        db.cache.get,
        db.cache.delete,
        lambda key: db.cache.set(key, 1),
        lambda key: db.cache.get_or_set(key, int),
    ):
        with pytest.raises(errors.KeyArgumentError, match="object"):
            use(("a", object()))
    assert 1 == db.cache.get("k")


def test_closed(db):
    """It says so."""
    cache = db.cache
    cache.set("k", 1)
    db.close()
    for call in (cache.get, cache.delete, lambda key: cache.set(key, 1), lambda key: cache.get_or_set(key, int)):
        with pytest.raises(errors.ClosedError):
            call("k")


def test_bounded(open_db, caplog):
    """Values leave when memory is full, and one that is too large is not kept."""
    db = open_db(memory_limit=400_000)
    for i in range(100):
        db.cache.set(i, bytes(20_000))
    assert db.stats().bytes <= 400_000
    assert 1 <= sum(db.cache.get(i) is not None for i in range(100)) <= 20
    db.cache.set("k", "old")
    with caplog.at_level(logging.WARNING):
        db.cache.set("k", bytes(100_000))
        db.cache.set("k", bytes(100_000))
    assert db.cache.get("k") is None
    assert 1 == sum("memory_limit" in record.getMessage() for record in caplog.records)
    with db.transaction():
        for i in range(100):
            db.cache.set(i, bytes(20_000))
        assert 15 <= sum(db.cache.get(i) is not None for i in range(100)) <= 20


def test_without_a_cache(db, open_db, other):
    """Nothing is kept, and what others must hear of is written."""
    db.close()
    db = open_db(cache=None)
    other.ask("set", "k", 1)
    db.cache.set("k", 2)
    assert 5 == db.cache.get("k", 5)
    assert other.ask("get", "k") is None
    other.ask("set", "k", 1)
    with db.transaction():
        db.cache.delete("k")
        db.cache.set("j", 1)
        assert db.cache.get("j") is None
    assert other.ask("get", "k") is None
    assert [1, 2] == [db.cache.get_or_set("k", lambda: 1), db.cache.get_or_set("k", lambda: 2)]


def test_without_stamps(open_db):
    """What needs one is refused."""
    db = open_db(coherence="clock")
    assert 5 == db.cache.get("k", 5)
    for call in (
        db.cache.delete,
        lambda key: db.cache.set(key, 1),
        lambda key: db.cache.get_or_set(key, int),
        db.invalidate,
    ):
        with pytest.raises(errors.ConfigError, match="clock"):
            call("k")


# -- two processes ---------------------------------------------------------------------------------------------------------


def test_another_process_ends_it(db, other):
    """By setting, deleting or invalidating, from the moment the call returns; and the other way round."""
    for end in (
        lambda: other.ask("set", "k", 9),
        lambda: other.ask("delete", "k"),
        lambda: other.ask("invalidate", "a"),
    ):
        db.cache.set("k", 1, tags=["a"])
        assert [1, 1] == [db.cache.get("k"), db.cache.get("k")]
        end()
        assert db.cache.get("k") is None
        assert 2 == db.cache.get_or_set("k", lambda: 2, tags="a")
        end()
        assert 3 == db.cache.get_or_set("k", lambda: 3)
    other.ask("set", "k", "theirs")
    assert "theirs" == other.ask("get", "k")
    db.cache.set("k", 4)
    assert other.ask("get", "k") is None
    other.ask("set", "k", "theirs", ["a"])
    db.invalidate("a")
    assert other.ask("get", "k") is None
    assert 4 != db.cache.get("k")


def test_what_others_write_elsewhere_leaves_it(db, other):
    """A commit moves the clock; the stamps are equal, and it stays."""
    db.script("CREATE TABLE t (v)")
    db.cache.set("k", 1)
    other.ask("execute", "INSERT INTO t VALUES (1)")
    other.ask("set", "another", 1)
    assert 1 == db.cache.get("k")


@pytest.mark.parametrize("how", ["set", "delete", "invalidate"])
@pytest.mark.parametrize("where", ["here", "there"])
def test_a_load_that_is_overtaken_is_worth_nothing(db, other, how, where):
    """Race 1: its caller gets what it made, and nobody after that."""
    make, load = held_load(db.cache, "k", "old", tags=["a"])
    if where == "there":
        other.ask(how, *{"set": ("k", "new"), "delete": ("k",), "invalidate": ("a",)}[how])
    elif how == "set":
        db.cache.set("k", "new")
    elif how == "delete":
        db.cache.delete("k")
    else:
        db.invalidate("a")
    later = Started(lambda: db.cache.get_or_set("k", lambda: "newer"))
    make.go.set()
    assert "old" == load.result()
    expected = "new" if (how, where) == ("set", "here") else "newer"
    assert expected == later.result() == db.cache.get("k") == db.cache.get_or_set("k", lambda: "newest")


@pytest.mark.parametrize("kind", [naive.DeleteValue, naive.StampValueAfterLoad])
def test_the_same_load_is_caught_in_naive_caches(kind):
    """Who stores what was made, or stamps it then, gives it after it was deleted."""
    cache = kind()
    make, load = held_load(cache, "k", "old")
    cache.delete("k")
    make.go.set()
    load.result()
    assert "old" == cache.get("k")


def test_a_value_kept_for_a_while_is_caught():
    """Who only has a time to live gives it after another process has set it."""
    here, there = naive.ValueForAWhile(lambda: 0.0), naive.ValueForAWhile(lambda: 0.0)
    assert "old" == here.get_or_set("k", lambda: "old")
    there.set("k", (60.0, "new"))
    assert "old" == here.get_or_set("k", lambda: "new")


def test_a_set_overtaken_by_another_process_before_it_is_kept(db, other):
    """The value is kept with the stamps of its own write, and those are not the last."""
    keep, db._engine.sets.keep = db._engine.sets.keep, lambda *args: (other.ask("set", "k", "theirs"), keep(*args))[1]
    db.cache.set("k", "mine")
    assert db.cache.get("k") is None
    assert "theirs" == other.ask("get", "k")


@pytest.mark.parametrize("key", ["k", "another of the same scope"])
def test_two_sets_whose_values_come_in_the_other_order(db, monkeypatch, key):
    """The one that committed last stays, whichever is kept last."""
    if key != "k":
        monkeypatch.setattr("coeval.cache.plain.value_scope", lambda _: 7)
    engine = db._engine
    keep, committed, go = engine.sets.keep, threading.Event(), threading.Event()

    def late(one, tier):
        if one.entry.rows == "first":
            committed.set()
            assert go.wait(30)
        return keep(one, tier)

    engine.sets.keep = late
    first = Started(lambda: db.cache.set("k", "first"))
    assert committed.wait(30)
    db.cache.set(key, "second")
    go.set()
    first.result()
    assert "second" == db.cache.get(key)
    assert key == "k" or db.cache.get("k") is None


def test_a_load_that_ends_after_a_set_does_not_take_its_place(db):
    """Also one that began when the set had committed and its value was not there yet: both are true, and the set was asked for."""
    engine = db._engine
    keep, loads = engine.sets.keep, []

    def late(one, tier):
        loads.append(held_load(db.cache, "k", "made"))
        return keep(one, tier)

    engine.sets.keep = late
    db.cache.set("k", "set")
    make, load = loads[0]
    make.go.set()
    assert "made" == load.result()
    assert "set" == db.cache.get("k")


def test_a_delete_that_is_late_leaves_what_was_set_after_it(db):
    """As the order of the commits was."""
    end = db._engine.sets.end
    db.cache.set("k", 1)
    db._engine.sets.end = lambda *args: (db.cache.set("k", 2), end(*args))
    db.cache.delete("k")
    assert 2 == db.cache.get("k")


def test_forty_at_once_compute_once(db):
    """And all get it."""
    barrier, made = threading.Barrier(40), Held([1])

    def ask():
        barrier.wait(30)
        return db.cache.get_or_set("k", made)

    asking = [Started(ask) for _ in range(40)]
    assert made.inside.wait(30)
    wait_until(lambda: db._engine.values.misses == 1 and len(db._engine.flights) == 1)
    made.go.set()
    found = [one.result() for one in asking]
    assert [[1]] * 40 == found
    assert made.runs <= 2  # those that came when the first had departed share the next, which finds it
    found[0].append(2)
    assert [1] == found[1] == db.cache.get("k")


# -- units -----------------------------------------------------------------------------------------------------------------


def elsewhere(call):
    """What ``call`` gives in another thread, which is in no unit."""
    return Started(call).result()


def test_a_transaction_sees_what_it_sets(db, other):
    """Others when it has committed."""
    db.cache.set("k", "old")
    db.cache.set("d", "old")
    with db.transaction():
        assert "old" == db.cache.get("k")
        db.cache.set("k", "new", tags=["a"])
        db.cache.delete("d")
        assert ["new", "new", None] == [db.cache.get("k"), db.cache.get_or_set("k", lambda: 1), db.cache.get("d")]
        assert ["old", "old"] == elsewhere(lambda: [db.cache.get("k"), db.cache.get("d")])
    assert ["new", None] == [db.cache.get("k"), db.cache.get("d")]
    assert "new" == db.cache.get_or_set("k", lambda: 1)
    other.ask("invalidate", "a")
    assert db.cache.get("k") is None


def test_nothing_of_a_rollback_stays(db):
    """What was there before is there again."""
    db.cache.set("k", "old")
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.cache.set("k", "new")
        db.cache.set("n", "new")
        db.invalidate("a")
        assert "new" == db.cache.get("k")
        raise ZeroDivisionError
    assert ["old", None] == [db.cache.get("k"), db.cache.get("n")]


def test_a_savepoint_takes_its_own_back(db):
    """And what was set before it in the same transaction is seen again, and kept at the end."""
    db.cache.set("k", "old")
    with db.transaction():
        db.cache.set("k", "first")
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.cache.set("k", "second")
            db.cache.set("n", "second")
            assert "second" == db.cache.get("k")
            raise ZeroDivisionError
        assert ["first", None] == [db.cache.get("k"), db.cache.get("n")]
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.cache.delete("k")
            assert db.cache.get("k") is None
            raise ZeroDivisionError
        assert "first" == db.cache.get("k")
    assert ["first", None] == [db.cache.get("k"), db.cache.get("n")]
    with db.transaction():
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.cache.set("k", "third")
            raise ZeroDivisionError
        assert "first" == db.cache.get("k")
    assert "first" == db.cache.get("k")


def test_what_the_transaction_ends_is_not_given_in_it(db):
    """By its tag, or its own name; another key stays."""
    db.cache.set("k", 1, tags=["a"])
    db.cache.set("j", 1)
    with db.transaction():
        db.invalidate("a")
        assert [None, 1] == [db.cache.get("k"), db.cache.get("j")]
        assert [2, 3] == [db.cache.get_or_set("k", lambda: 2), db.cache.get_or_set("k", lambda: 3)]
        db.cache.set("k", 4, tags=["a"])
        assert 4 == db.cache.get("k")
        db.invalidate("a")
        assert db.cache.get("k") is None
        with pytest.raises(errors.TrackedWriteError):
            db.cache.get_or_set("w", lambda: db.cache.set("j", 2))
    assert [None, 1] == [db.cache.get("k"), db.cache.get("j")]


def test_what_is_made_in_a_transaction_is_not_kept(db):
    """It has seen what nobody else may see yet."""
    db.script("CREATE TABLE t (v)")
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (1)")
        assert 1 == db.cache.get_or_set("n", lambda: db.scalar("SELECT count(*) FROM t"))
        raise ZeroDivisionError
    assert 0 == db.cache.get_or_set("n", lambda: db.scalar("SELECT count(*) FROM t"))


def test_a_set_overtaken_after_the_commit_of_its_transaction(db, other):
    """Kept with the stamps that it saw itself, and so not given."""
    keep, db._engine.sets.keep = db._engine.sets.keep, lambda *args: (other.ask("set", "k", "theirs"), keep(*args))[1]
    with db.transaction():
        db.cache.set("k", "mine")
    assert db.cache.get("k") is None


def test_a_transaction_that_changes_the_schema(db):
    """The first tag of the file is set in it, too."""
    with db.transaction() as tx:
        db.cache.set("k", 1, tags=["never used before"])
        tx.execute("CREATE TABLE t (v)")
        assert 1 == db.cache.get("k")
        db.cache.set("j", 2)
        assert 2 == db.cache.get("j")
    assert [1, 2] == [db.cache.get("k"), db.cache.get("j")]
    db.invalidate("never used before")
    assert db.cache.get("k") is None


@pytest.mark.parametrize("present", [True, False])
def test_write_compares_what_it_got(db, present):
    """A function that got a value before its first write runs again where that was ended meanwhile; also where there was none."""
    runs = []
    if present:
        db.cache.set("k", 1)

    def work(tx):
        runs.append(db.cache.get("k"))
        if len(runs) == 1:
            elsewhere(lambda: db.cache.set("k", 2))
            assert runs[0] == (1 if present else None)
        db.cache.set("j", runs[-1])
        return db.cache.get("j")

    assert 2 == db.write(work)
    assert [1 if present else None, 2] == runs
    assert 2 == db.cache.get("j")
    with pytest.raises(errors.SerializationError, match=r"a value of db\.cache"):
        db.write(lambda _: (db.cache.get("k"), elsewhere(lambda: db.cache.set("k", 3)), db.cache.set("j", 0)), retry=0)
    assert [3, 2] == [db.cache.get("k"), db.cache.get("j")]


def test_a_snapshot_is_of_its_moment(db):
    """Nothing newer is given in it, and nothing is set."""
    db.cache.set("k", "old")
    db.cache.set("j", "old")
    with db.snapshot():
        assert "old" == db.cache.get("k")
        elsewhere(lambda: db.cache.set("k", "new"))
        assert db.cache.get("k") is None
        assert ["old", "made"] == [db.cache.get("j"), db.cache.get_or_set("k", lambda: "made")]
        for call in (lambda: db.cache.set("k", 1), lambda: db.cache.delete("k")):
            with pytest.raises(errors.UsageError, match="snapshot"):
                call()
    assert "new" == db.cache.get("k")
    with db.snapshot():
        assert "new" == db.cache.get("k")


# -- tracked calls -----------------------------------------------------------------------------------------------------------


def test_in_a_tracked_call(db, other, clock, caplog):
    """What it gets is one of its reads; it sets nothing; and that nothing was there is no answer to keep."""
    runs: list[int] = []

    @db.cached
    def outer():
        runs.append(1)
        return db.cache.get("k", 0) + 1

    assert [1, 1] == [outer(), outer()]
    assert 2 == len(runs)
    assert "in this process's memory" in caplog.text
    db.cache.set("k", 5)
    assert [6, 6] == [outer(), outer()]
    db.cache.set("k", 6)
    assert [7, 7] == [outer(), outer()]
    assert 4 == len(runs)
    other.ask("delete", "k")
    assert 1 == outer()
    db.cache.set("k", 7, ttl=60)
    assert [8, 8] == [outer(), outer()]
    assert 6 == len(runs)
    clock[0] += 61
    assert 1 == outer()

    @db.cached
    def around():
        runs.append(1)
        return db.cache.get_or_set("made", lambda: len(runs))

    assert around() == around()
    before = around()
    db.cache.delete("made")
    assert around() > before
    for call in (lambda: db.cache.set("k", 1), lambda: db.cache.delete("k"), lambda: db.invalidate("a")):
        with pytest.raises(errors.TrackedWriteError):
            db.cached(lambda call=call: call(), leave_out=["call"])()


# -- time --------------------------------------------------------------------------------------------------------------------


def test_time_to_live(db, clock):
    """To the second, and what is over is dropped when it is met."""
    db.cache.set("k", 1, ttl=60)
    db.cache.get_or_set("j", lambda: 1, ttl=30)
    with db.transaction():
        db.cache.set("t", 1, ttl=30)
        clock[0] += 29
        assert 1 == db.cache.get("t")
        clock[0] += 2
        assert db.cache.get("t") is None
    assert [1, None, None] == [db.cache.get("k"), db.cache.get("j"), db.cache.get("t")]
    clock[0] += 30
    assert db.cache.get("k") is None
    assert 0 == db.stats().entries
    assert 2 == db.cache.get_or_set("k", lambda: 2, ttl=30)


def test_an_old_value_while_a_new_one_is_made(db, clock):
    """After its time, for so many seconds; never what was ended by hand."""
    options: dict[str, Any] = {"ttl": 60, "stale_while_revalidate": 30, "tags": ["a"]}
    assert 1 == db.cache.get_or_set("k", lambda: 1, **options)
    clock[0] += 61
    assert db.cache.get("k") is None
    make = Held(2)
    assert 1 == db.cache.get_or_set("k", make, **options)
    assert make.inside.wait(30)
    assert 1 == db.cache.get_or_set("k", make, **options)
    make.go.set()
    wait_until(lambda: db.cache.get("k") == 2)
    assert 1 == make.runs
    clock[0] += 91
    assert 3 == db.cache.get_or_set("k", lambda: 3, **options)
    for value, end in ((4, lambda: db.invalidate("a")), (5, lambda: elsewhere(lambda: db.cache.delete("k")))):
        end()
        assert value == db.cache.get_or_set("k", lambda value=value: value, **options)


def test_an_old_value_that_another_process_ended(db, other):
    """Is not given, young as it is."""
    options: dict[str, Any] = {"stale_while_revalidate": 30, "tags": ["a"]}
    for value, end in enumerate([("set", "k", 9), ("delete", "k"), ("invalidate", "a")]):
        assert value == db.cache.get_or_set("k", lambda value=value: value, **options)
        other.ask(*end)


def test_an_old_value_of_what_it_read(db, foreign):
    """What it was made from has changed: that is what it may be old by."""
    db.script("CREATE TABLE t (v)")

    def count():
        return db.cache.get_or_set("n", lambda: db.scalar("SELECT count(*) FROM t"), stale_while_revalidate=30)

    assert 0 == count()
    foreign.execute("INSERT INTO t VALUES (1)")
    assert db.cache.get("n") is None
    assert 0 == count()
    wait_until(lambda: count() == 1)


def test_an_old_value_of_what_has_no_stamp(db, other):
    """Any commit may have been the end of it, so it is never given old; and no transaction can prove it."""
    sql = "SELECT count(*) FROM sqlite_schema"

    def count():
        return db.cache.get_or_set("n", lambda: db.scalar(sql), stale_while_revalidate=30)

    before = count()
    assert before == count() == db.cache.get("n")
    with db.transaction():
        assert db.cache.get("n") is None
    assert before == count()
    other.ask("set", "n", 0)
    other.ask("execute", "CREATE TABLE t (v)")
    assert before < count() == db.scalar(sql)


# -- what it costs -------------------------------------------------------------------------------------------------------------


def test_what_each_call_costs(open_db, monkeypatch):
    """A hit is one look-up and no statement; a set is one commit."""
    trace = Trace()
    db = open_db(on_connect=trace)
    db.cache.set("warm", 1)
    db.cache.get("warm")
    looked: list[Any] = []
    find = db._engine.tier.find

    def look(key):
        looked.append(key)
        return find(key)

    def said(call):
        trace.ran.clear()
        looked.clear()
        call()
        return [" ".join(sql.split()[:3]).removesuffix(" INTO") for sql, _ in trace.ran]

    stamp = "INSERT OR REPLACE"
    read = "SELECT version, stamp,"
    write = ["BEGIN IMMEDIATE", stamp, read, "COMMIT"]
    assert write == said(lambda: db.cache.set("k", 1))
    monkeypatch.setattr(db._engine.tier, "find", look)
    assert [read] == said(lambda: db.cache.get("k"))
    assert [] == said(lambda: db.cache.get("k"))
    assert 1 == len(looked)
    assert [] == said(lambda: db.cache.get_or_set("k", int))
    assert 1 == len(looked)
    assert [] == said(lambda: db.cache.get("nothing"))
    assert ["BEGIN IMMEDIATE", stamp, "COMMIT"] == said(lambda: db.cache.delete("k"))
    with db.transaction():
        assert ["SAVEPOINT", stamp, read, "RELEASE"] == [
            one.partition(" coeval_")[0] for one in said(lambda: db.cache.set("k", 2))
        ]
        assert [read] == said(lambda: db.cache.get("k"))


# -- hole 13: stamps that are not there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["DELETE FROM _coeval_stamps", "DROP TABLE _coeval_stamps"])
def test_absent_stamps_match_nothing(db, foreign, damage):
    """What is kept is worth nothing without them, and what is made anew has others; then all goes on."""

    @db.cached(tags=["a"])
    def tagged():
        runs.append(1)
        return len(runs)

    runs: list[int] = []
    db.cache.set("k", "old", tags=["a"])
    db.cache.get_or_set("j", lambda: "old", tags=["a"])
    assert ["old", "old", 1, 1] == [db.cache.get("k"), db.cache.get("j"), tagged(), tagged()]
    foreign.execute(damage)
    assert [None, None] == [db.cache.get("k"), db.cache.get("j")]
    assert 2 == tagged()
    assert "new" == db.cache.get_or_set("j", lambda: "new", tags=["a"])
    assert ["new", 2] == [db.cache.get("j"), tagged()]
    db.invalidate("a")
    assert [None, 3, 3] == [db.cache.get("j"), tagged(), tagged()]
    foreign.execute(damage)
    db.cache.set("k", "newer", tags=["a"])
    assert "newer" == db.cache.get("k")
    foreign.execute(damage)
    db.cache.delete("k")
    assert db.cache.get("k") is None
    foreign.execute(damage)
    with db.transaction():
        db.invalidate("a")
        db.cache.set("k", "newest", tags=["a", "b"])
        assert "newest" == db.cache.get("k")
    assert "newest" == db.cache.get("k")


def test_stamps_that_came_back_are_others(db, foreign):
    """Taken away and made again between two reads."""
    db.cache.set("k", "old")
    assert "old" == db.cache.get("k")
    foreign.execute("DELETE FROM _coeval_stamps WHERE id <= 4096")
    db.cache.set("another", 1, tags=["a"])
    assert db.cache.get("k") is None


def test_while_another_writes_a_first_load_does_not_wait(db, foreign):
    """The stamps of tags are made when the turn is free; until then nothing is kept, and nobody is held up."""
    foreign.execute("BEGIN IMMEDIATE")
    assert [1, 2] == [db.cache.get_or_set("k", lambda: 1), db.cache.get_or_set("k", lambda: 2)]
    foreign.execute("ROLLBACK")
    assert [3, 3] == [db.cache.get_or_set("k", lambda: 3), db.cache.get_or_set("k", lambda: 4)]


def test_invalidating_the_first_tag_of_a_file_in_a_transaction(db):
    """It has the turn already."""
    with db.transaction():
        db.invalidate("first")
    db.cache.set("k", 1, tags=["first"])
    assert 1 == db.cache.get("k")


def test_a_value_that_can_no_longer_be_copied(open_db):
    """Law 4: it is gone then, and nobody hears of the copy that failed."""
    db = open_db()

    class Once:
        broken = False

        def __deepcopy__(self, memo):
            if Once.broken:
                raise ValueError
            return Once()

    db.cache.set("k", Once())
    assert isinstance(db.cache.get("k"), Once)
    Once.broken = True
    assert "none" == db.cache.get("k", "none")
    Once.broken = False
    db.cache.set("k", Once())
    db.cache.get("k")
    Once.broken = True
    assert 5 == db.cache.get_or_set("k", lambda: 5)
    assert 5 == db.cache.get("k")
    Once.broken = False
    db.cache.set("k", Once())
    Once.broken = True
    assert "none" == db.cached(ttl=60)(lambda: db.cache.get("k", "none"))(), "where it is one of the reads of a call"


def test_a_coroutine_instead_of_a_function(db):
    """It is said, with the cure; the coroutine is closed, so that Python does not complain of it as well."""

    async def load():
        raise AssertionError

    with pytest.raises(errors.ParameterError, match=r"a coroutine, which is what .*load\(\) returned") as caught:
        db.cache.get_or_set("k", one := load())
    assert "lambda: ..." in str(caught.value)
    assert "db.aio.cache" in str(caught.value)
    assert inspect.getcoroutinestate(one) == inspect.CORO_CLOSED
    assert db.cache.get("k") is None
