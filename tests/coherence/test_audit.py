"""The auditor: it finds a lie, never calls the truth one, and is in nobody's way."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from contextlib import suppress
from functools import partial

import pytest

import coeval
from coeval import auditor as module
from coeval.blocking import run
from coeval.pinned import Pinned
from coeval.reads import request
from coherence.asking import Started
from coherence.auditing import Audits, auditor_of, audits, counts, entry_of, heard, hits, waiting
from waiting import wait_until

ALL = "SELECT id, v FROM t"
ONE = "SELECT v FROM t WHERE id = ?"


@pytest.fixture
def db(open_db):
    db = open_db(audit=1.0)
    db.script(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v);"
        "INSERT INTO t VALUES (1, 1), (2, 2.5), (3, NULL), (4, x'00'), (5, 'five');"
        "CREATE TABLE u (x)"
    )
    return db


# -- lies ---------------------------------------------------------------------------------------------------------------


def test_a_lie_is_found_and_told(db, caplog):
    """With the statement, its parameters, the read set with its stamps, and both values; and it is served no longer."""
    told, sql = heard(db), "SELECT id, v FROM t JOIN u ON id < 3 WHERE v < ?"
    db.execute("INSERT INTO u VALUES (1)")
    db.query(sql, 9)
    entry = entry_of(db, sql, 9)
    truth, stamps = entry.rows, entry.stamps
    entry.rows = lie = truth[:1]
    with caplog.at_level(logging.ERROR, "coeval"):
        assert lie == db.query(sql, 9)
        assert Audits(1, 1, 0, 0) == audits(db)
    (facts,) = told
    names = [name for name, _ in facts["read_set"]]
    assert ["t", "u"] == sorted(names)
    assert [
        {
            "statement": sql,
            "parameters": (9,),
            "read_set": tuple(zip(names, stamps, strict=True)),
            "kept": lie,
            "computed": truth,
        }
    ] == told
    (record,) = caplog.records
    for part in (sql, "(9,)", "'t'", str(stamps[1]), repr(lie), repr(truth)):
        assert part in record.getMessage()
    assert truth == db.query(sql, 9)
    assert Audits(1, 1, 0, 0) == audits(db), "it was computed, which is no hit"


def test_why_an_audit_is_skipped_is_in_the_log(db, caplog):
    """Once for a statement or function and each reason."""
    sql, function = "SELECT id FROM t LIMIT 2", db.cached(ttl=60)(lambda: db.scalar("SELECT count(*) FROM t"))
    with caplog.at_level(logging.DEBUG, "coeval"):
        for _ in range(3):
            db.query(sql)
            function()
            audits(db)
    assert Audits(0, 0, 4, 0) == audits(db)
    said = [record.getMessage() for record in caplog.records if "Not audited" in record.getMessage()]
    assert len(said) == 2
    assert any(sql in line and "in no order" in line for line in said)
    assert any(function.__qualname__ in line and "it has a ttl" in line for line in said)


@pytest.mark.parametrize("lie", [((2,),), ((1.0,),), (("1",),), ((None,),), (), ((1,), (1,))])
@pytest.mark.parametrize("call", ["query", "one", "first", "scalar", "snapshot", "revalidated", "named"])
def test_every_kind_of_hit_is_looked_at(db, call, lie):
    """Whatever call it is made by."""
    params = {"id": 1} if call == "named" else 1
    sql = "SELECT v FROM t WHERE id = :id" if call == "named" else ONE
    limit = {"first": 1, "one": 2, "scalar": 2}.get(call)
    method = getattr(db, call if limit else "query")
    method(sql, params)
    entry = next(e for e in db._engine.tier._entries.values() if sql in e.key)
    assert ((1,),) == entry.rows
    if call == "revalidated":
        db.execute("INSERT INTO u VALUES (1)")
    entry.rows = lie
    try:
        if call == "snapshot":
            with db.snapshot() as snapshot:
                snapshot.query(sql, params)
        else:
            method(sql, params)
    except coeval.errors.ResultError:  # it found what it was given
        pass
    except TypeError:  # a lie has no names
        pass
    assert Audits(1, 1, 0, 0) == audits(db)


def test_a_lie_by_the_clock_alone(db):
    """An entry that any commit makes invalid has no read set."""
    told, sql = heard(db), "SELECT count(*) FROM sqlite_schema"
    db.query(sql)
    entry_of(db, sql).rows = ((0,),)
    db.query(sql)
    assert Audits(1, 1, 0, 0) == audits(db)
    assert [None] == [facts["read_set"] for facts in told]
    db.query(sql)
    with waiting(db):
        entry_of(db, sql).rows = ((0,),)
        db.query(sql)
        db.execute("INSERT INTO u VALUES (1)")
    assert Audits(1, 1, 1, 0) == audits(db)


def test_a_listener_that_fails(db):
    """It spoils nothing."""

    def fail(name, facts):
        raise ZeroDivisionError

    db.listen(fail)
    for number in range(1, 3):
        db.query(ALL)
        entry_of(db, ALL).rows = ()
        db.query(ALL)
        assert Audits(number, number, 0, 0) == audits(db)


# -- the truth ----------------------------------------------------------------------------------------------------------


def test_of_everything_nothing_differs(db):
    """Of a mixed run every hit is audited, or skipped for a reason, and none is counted twice."""

    @db.cached
    def kept(x):
        return [x, db.query(ALL), db.scalar("SELECT sum(v) FROM t WHERE typeof(v) = 'real'")]

    @db.cached
    def outer(x):
        return {"inner": kept(x), "own": db.query("SELECT * FROM u")}

    for turn in range(6):
        for _ in range(3):
            db.query(ALL)
            db.query("SELECT count(*) FROM sqlite_schema")
            db.query("SELECT v FROM t LIMIT 2")
            db.query("SELECT group_concat(x) FROM u")
            db.query("SELECT id FROM t ORDER BY id LIMIT 2")
            db.query("SELECT v FROM t WHERE id = :id AND v = :v", {"v": 1, "id": 1})
            for value in (1, 1.0, True, "1", 0.0, -0.0, None):
                db.query(ONE, value)
            db.first(ALL)
            db.first(ONE, 1)
            db.one(ONE, 2)
            db.scalar(ONE, 3)
            kept(turn % 2)
            outer(1)
            with db.snapshot() as snapshot:
                snapshot.query(ALL)
                kept(1)
            db.write(lambda tx: tx.query(ALL))
        db.execute("INSERT INTO u VALUES (?)", turn)
        if turn % 2:
            db.execute("UPDATE t SET v = v + 1 WHERE id = 1")
        audits(db)
    found = audits(db)
    assert 0 == found.differences
    assert hits(db) == found.audited + found.skipped + found.dropped
    assert found.audited > 100
    assert found.skipped > 0
    assert 0 == found.dropped


def test_no_longer_valid(db):
    """Where somebody has written since the hit, nothing can be said."""
    db.query(ALL)
    with waiting(db):
        db.query(ALL)
        db.execute("UPDATE t SET v = 7 WHERE id = 1")
    assert Audits(0, 0, 1, 0) == audits(db)
    db.query(ALL)
    with waiting(db):
        db.query(ALL)
        db.execute("INSERT INTO u VALUES (7)")
    assert Audits(1, 0, 1, 0) == audits(db)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT v FROM t LIMIT 2",
        "SELECT group_concat(id) FROM t",
        "SELECT * FROM u, (SELECT v FROM t LIMIT 2)",
        "SELECT * FROM joined",
    ],
)
def test_what_is_in_no_order_is_skipped(db, sql):
    """Even where it differs."""
    db.execute("CREATE VIEW joined AS SELECT group_concat(id) AS ids FROM t")
    db.query(sql)
    entry_of(db, sql).rows = ((99,),)
    db.query(sql)
    assert Audits(0, 0, 1, 0) == audits(db)


def test_the_first_of_several(db):
    """In no order any may be; where there is but one, or an order, it is compared."""
    for sql, params, skipped in (
        (ALL, (), True),
        ("SELECT id, v FROM t WHERE id = ?", (1,), False),
        ("SELECT id, v FROM t ORDER BY id", (), False),
    ):
        db.first(sql, *params)
        entry = entry_of(db, sql, *params, limit=1)
        entry.rows = ((9, 9),)
        before = counts(db)
        db.first(sql, *params)
        after = audits(db)
        assert (not skipped, skipped) == (after.differences > before.differences, after.skipped > before.skipped)


def lie(db, sql, *rows):
    """Plant one in place of what is kept of ``sql``, have it served, and say what the auditor made of it."""
    db.query(sql)
    entry = entry_of(db, sql)
    entry.rows = tuple(map(type(entry.rows[0]), rows))
    before = audits(db)
    db.query(sql)
    after = audits(db)
    return Audits(*(b - a for a, b in zip(before, after, strict=True)))


def test_ties(db):
    """Which of equals stands for its group, or comes before a cut, may be up to the plan; where it is not, it is a difference."""
    db.script("CREATE TABLE tie (a, b); INSERT INTO tie VALUES (1, 'x'), (1, 'y'), (2, 'z')")
    group, cut = "SELECT a, b FROM tie GROUP BY a", "SELECT a, b FROM tie ORDER BY a LIMIT 1"
    assert Audits(1, 1, 0, 0) == lie(db, group, (1, "x"), (3, "z"))
    assert Audits(1, 1, 0, 0) == lie(db, cut, (1, "y")), "the plan cannot have been another"
    with db.transaction() as tx:
        tx.execute("ANALYZE")
    assert Audits(0, 0, 1, 0) == lie(db, cut, (1, "y"))
    assert Audits(1, 1, 0, 0) == lie(db, "SELECT b FROM tie", ("x",), ("y",))


def test_calls_whose_reads_may_come_in_another_order(db):
    """After ANALYZE a plan may be another: what a call makes of several rows is no difference, of one it is."""
    hidden = [0]

    @db.cached
    def several():
        return db.query(ALL), hidden[0]

    @db.cached
    def single():
        return db.scalar("SELECT count(*) FROM t"), hidden[0]

    with db.transaction() as tx:
        tx.execute("ANALYZE")
    several(), single()
    hidden[0] = 1
    several()
    assert Audits(0, 0, 1, 0) == audits(db)
    single()
    assert Audits(1, 1, 1, 0) == audits(db)


def test_scans_turned_round(db):
    """What comes otherwise when its scans are turned round is left open by the data; the reader is as it was, then."""
    db.script("CREATE TABLE tie (a, b); INSERT INTO tie VALUES (1, 'x'), (1, 'y')")
    sql = "SELECT a, b FROM tie GROUP BY a % 1"
    with Pinned(db._engine) as moment:
        wanted = request(sql, ())
        plain, turned = run(moment.rows(wanted)), run(moment.turned(wanted))
        assert plain == run(moment.rows(wanted))
        connection = moment._open().connection
        with pytest.raises(coeval.errors.Error):
            connection.rows("PRAGMA reverse_unordered_selects = 1", ())
    outcome = lie(db, sql, (1, "other"))
    assert (Audits(1, 1, 0, 0) if plain == turned else Audits(0, 0, 1, 0)) == outcome
    with Pinned(db._engine) as moment:
        wanted = request("SELECT id FROM t", ())
        assert run(moment.rows(wanted)) == run(moment.turned(wanted))[::-1]


def test_a_float_sum(db):
    """What adding up in another order makes of it is no difference; more is."""
    db.script("CREATE TABLE f (x REAL); INSERT INTO f VALUES (0.1), (0.2), (0.3)")
    sql = "SELECT total(x) AS sum FROM f"
    ((value,),) = db.query(sql)
    entry = entry_of(db, sql)
    names = type(entry.rows[0])
    entry.rows = (names((value * (1 + 1e-12),)),)
    db.query(sql)
    assert Audits(1, 0, 0, 0) == audits(db)
    entry.rows = (names((value * (1 + 1e-6),)),)
    db.query(sql)
    assert Audits(2, 1, 0, 0) == audits(db)


def test_functions_given_meanwhile(db):
    """A function of SQL that has another meaning by now makes no difference."""
    db.create_function("f", lambda x: x, 1, deterministic=True)
    db.query("SELECT f(1)")
    with waiting(db):
        db.query("SELECT f(1)")
        db.create_function("f", lambda x: x + 1, 1, deterministic=True)
    assert Audits(0, 0, 1, 0) == audits(db)
    assert ((2,),) == db.query("SELECT f(1)")


def test_under_writers(db, start_foreign, scaled, monkeypatch):
    """Threads read while others write, in this process and from plain sqlite3: no difference, and every hit has a fate."""
    foreign, rounds = start_foreign(), scaled(3000, 150)
    stop, failed = threading.Event(), []

    @db.cached
    def total():
        return db.scalar("SELECT sum(v) FROM t WHERE id < 3"), db.query("SELECT x FROM u")

    def read():
        try:
            while not stop.is_set():
                for key in range(1, 6):
                    db.query(ONE, key)
                db.query(ALL)
                total()
                with db.snapshot() as snapshot:
                    snapshot.query(ALL)
                    snapshot.query("SELECT x FROM u")
                    total()
        except BaseException as error:
            failed.append(error)

    auditor, made = auditor_of(db), itertools.count()
    due = auditor.due
    monkeypatch.setattr(auditor, "due", lambda: next(made) >= 0 and due())
    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    try:
        for number in range(rounds):
            db.execute("UPDATE t SET v = ? WHERE id = ?", number, 1 + number % 5)
            if number % 5 == 0:
                foreign.execute("UPDATE u SET x = ?", number)
                foreign.execute("UPDATE t SET v = ? WHERE id = 2", number + 0.5)
    finally:
        stop.set()
        for thread in readers:
            thread.join()
    assert [] == failed
    db.query(ALL)
    db.query(ALL)
    found = audits(db)
    assert 0 == found.differences
    assert found.audited > 0
    assert next(made) == found.audited + found.skipped + found.dropped


# -- in nobody's way ----------------------------------------------------------------------------------------------------


def test_without_it_nothing_runs(open_db):
    """No auditor, no thread, no statement; the hit path is what it was."""
    statements = []

    def trace(connection):
        connection.trace_v2(1, lambda event: statements.append(event["sql"]))  # SQLITE_TRACE_STMT

    db = open_db(on_connect=trace)
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)")

    @db.cached
    def kept():
        return db.scalar("SELECT sum(v) FROM t")

    db.query(ALL), kept(), db.first(ALL)
    threads = set(threading.enumerate())
    before = len(statements)
    for _ in range(50):
        db.query(ALL), kept(), db.first(ALL)
    assert before == len(statements)
    assert threads >= set(threading.enumerate())
    assert db._engine.auditor is None
    assert db._engine.find is db._engine.tier.find is db._find
    assert Audits(0, 0, 0, 0) == counts(db)


def test_without_a_cache_there_is_nothing_to_audit(open_db):
    """The setting does no harm."""
    db = open_db(cache=None, audit=1.0)
    assert db._engine.auditor is None
    assert ((1,),) == db.query("SELECT 1")


def test_a_share(open_db):
    """About so many of the hits are taken, and the others are hits as ever."""
    db = open_db(audit=0.02)
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)")
    db.query(ALL)
    for _ in range(10_000):
        db.query(ALL)
    assert 10_000 == hits(db)
    found = audits(db)
    assert 100 < found.audited + found.dropped < 400
    assert 0 == found.differences


def test_what_waits_is_bounded(db, monkeypatch):
    """Where audits are slower than hits the rest is dropped, and counted."""
    monkeypatch.setattr(module, "MOST", 5)
    auditor = auditor_of(db)
    auditor._backlog = auditor.backlog()
    db.query(ALL)
    with waiting(db):
        for _ in range(20):
            db.query(ALL)
        assert 5 == len(auditor._backlog)
    assert Audits(5, 0, 0, 15) == audits(db)


def test_the_bytes_that_wait_are_bounded(open_db):
    """Entries that have left the cache are not kept alive by audits beyond a part of its size; one always finds room."""
    db = open_db(audit=1.0, memory_limit="1MiB")
    auditor = auditor_of(db)
    for number in range(20):
        db.query("SELECT zeroblob(50000), ?", number)
    with waiting(db):
        for number in range(15, 20):
            db.query("SELECT zeroblob(50000), ?", number)
        assert 2 == len(auditor._backlog)
    assert Audits(2, 0, 0, 3) == audits(db)
    assert 2**20 // 8 == auditor._backlog._room


def test_no_reader_is_waited_for(open_db):
    """A caller's need comes first."""
    db = open_db(audit=1.0, readers=1)
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2)")
    db.query(ALL)
    with db.iterate(ALL) as rows:
        next(rows)
        began = time.monotonic()
        db.query(ALL)
        assert Audits(0, 0, 1, 0) == audits(db)
        assert time.monotonic() - began < db.settings.timeout
    db.query(ALL)
    assert Audits(1, 0, 1, 0) == audits(db)


def test_no_worker(db, monkeypatch):
    """Where none can be had the hit is made all the same, and a later one has it audited."""
    db.query(ALL)

    def none(call):
        raise RuntimeError("no thread can be started")

    with monkeypatch.context() as patch:
        patch.setattr(db._engine.workers.chores, "run", none)
        assert 5 == len(db.query(ALL))
        assert Audits(0, 0, 0, 0) == counts(db)
    db.query(ALL)
    assert Audits(2, 0, 0, 0) == audits(db)


def test_its_threads_end(db):
    """They are workers of the engine, of which no more than one audits."""
    db.query(ALL)
    for _ in range(50):
        db.query(ALL)
    assert auditor_of(db)._engine.workers.count <= 1
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "coeval-worker")
    audits(db)
    workers = db._engine.workers
    db.close()
    assert workers.join(20)
    assert 0 == workers.count


def test_closing_while_audits_wait(open_db):
    """They are dropped, and what runs is ended; nothing is waited for."""
    db = open_db(audit=1.0)
    slow = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ?) SELECT max(x) FROM c"
    db.query(slow, 10)
    entry_of(db, slow, 10).key = (slow, 10**12, int)  # the audit would run for hours
    for _ in range(5):
        db.query(slow, 10)
    auditor, readers = auditor_of(db), db._engine.store().readers
    wait_until(lambda: auditor._pins)
    db.close()
    wait_until(lambda: not auditor._working)
    assert (0, 0, 1, 4) == (auditor.audited, auditor.differences, auditor.skipped, auditor.dropped)
    wait_until(lambda: readers.gone)
    assert not auditor._pins


# -- functions ----------------------------------------------------------------------------------------------------------


def test_a_call_is_made_again(db):
    """A hidden input shows, with the function's name and its arguments; the entry is served no longer."""
    told, hidden = heard(db), [1]

    @db.cached
    def odd(x, *, y=2):
        return {"hidden": hidden[0], "data": db.query(ONE, x), "y": y}

    odd(1), odd(1, y=2)
    assert Audits(1, 0, 0, 0) == audits(db)
    hidden[0] = 2
    assert 1 == odd(1, y=2)["hidden"]
    assert Audits(2, 1, 0, 0) == audits(db)
    (facts,) = told
    assert facts["statement"].endswith("odd")
    assert ((1,), {"y": 2}) == facts["parameters"]
    assert ["t"] == [name for name, _ in facts["read_set"]]
    assert (1, 2) == (facts["kept"]["hidden"], facts["computed"]["hidden"])
    assert 2 == odd(1)["hidden"]


def test_what_a_call_is_made_of_is_computed_too(db):
    """A call that was made of another lie is found out: nothing in its audit comes from the cache, or goes there."""

    @db.cached
    def inner():
        return db.scalar("SELECT sum(id) FROM t")

    @db.cached
    def outer():
        return inner() + db.query("SELECT count(*) FROM t")[0][0]

    inner()
    next(entry for entry in db._engine.tier._entries.values() if "inner" in str(entry.key)).rows = 100
    assert [105, 105] == [outer(), outer()]
    found = audits(db)
    assert (2, 0, 0) == (found.differences, found.skipped, found.dropped), "that of the inner call, and of the outer"
    assert [20, 20] == [outer(), outer()]


def test_nothing_in_an_audit_comes_from_the_cache(db):
    """A lie about what an honest call has read is not believed."""

    @db.cached
    def inner():
        return db.query(ALL)

    @db.cached
    def outer():
        return inner(), db.query(ALL)

    outer()
    entry_of(db, ALL).rows = ()
    next(entry for entry in db._engine.tier._entries.values() if "inner" in str(entry.key)).rows = 100
    before = audits(db)
    outer()
    assert before._replace(audited=before.audited + 1) == audits(db)


def test_calls_that_are_skipped(db):
    """Of whatever is made of more than the data, nothing is said."""
    given_, box = [0], [1]

    def count():
        given_[0] += 1
        return given_[0]

    @db.cached(ttl=1000)
    def lives():
        return db.query(ALL), count()

    @db.cached(tags="a")
    def tagged():
        return db.query(ALL), count()

    @db.cached
    def around():
        return tagged()

    @db.cached(negative=LookupError)
    def missing():
        raise LookupError(db.query(ALL), count())

    @db.cached
    def fails():
        db.query(ALL)
        if count() > 1:
            raise ZeroDivisionError
        return count()

    @db.cached
    def leaves():
        db.query(ALL)
        if count() > 1:
            raise SystemExit
        return count()

    @db.cached
    def changed(values):
        return db.query(ALL), list(values)

    @db.cached
    def opaque():
        return db.query(ALL), Opaque()

    for call in (lives, tagged, around, missing, fails, leaves, lambda: changed(box), opaque):
        given_[0], box[:] = 0, [1]
        with suppress(LookupError):
            call()
        before = audits(db)
        with waiting(db):
            with suppress(LookupError):
                call()
            box[:] = [2]
        assert before._replace(skipped=before.skipped + 1) == audits(db), call


class Opaque:
    """Equal to nothing but itself, and without parts."""

    __slots__ = ()


def test_a_call_that_writes_the_second_time(db):
    """It is refused, as in any cached call."""
    runs = []

    @db.cached
    def sly():
        runs.append(1)
        if len(runs) > 1:
            db.execute("INSERT INTO u VALUES (1)")
        return db.query(ALL)

    sly(), sly()
    assert Audits(0, 0, 1, 0) == audits(db)
    assert 2 == len(runs)
    assert 0 == db.scalar("SELECT count(*) FROM u")


def test_a_thread_of_a_call_reads_at_another_moment(db):
    """What was written while the call was made again is no difference."""
    runs = []
    go = threading.Event()

    @db.cached
    def spread():
        runs.append(1)
        first = db.scalar("SELECT max(id) FROM t")
        if len(runs) == 2:
            go.set()  # not before: what has changed by then is not audited
            db_writer.result()
        return first, Started(lambda: db.scalar("SELECT max(id) FROM t")).result()

    spread()
    with waiting(db):
        spread()

        def write():
            assert go.wait(20)
            db.execute("INSERT INTO t VALUES (6, 6)")

        db_writer = Started(write)
    found = audits(db)
    assert 0 == found.differences
    assert [1, 1] == runs


def test_a_call_keeps_its_context(db):
    """Context variables are as they were at the hit, and neither units nor tracked calls are around it."""
    from contextvars import ContextVar

    who: ContextVar[str] = ContextVar("who", default="nobody")

    @db.cached(vary=who)
    def mine():
        return who.get(), db.query(ALL)

    def ask(name):
        who.set(name)
        with db.snapshot():
            return mine()[0], mine()[0]

    for name in ("a", "b"):
        assert (name, name) == Started(partial(ask, name)).result()
    assert Audits(3, 0, 0, 0) == audits(db), "two calls, and the statement that the second one found"


def test_an_old_value_that_is_allowed(db):
    """What `stale_while_revalidate` serves is known to be old: nothing is said of it."""

    @db.cached(stale_while_revalidate=1000)
    def old():
        return db.query(ALL)

    old()
    audits(db)
    with waiting(db):
        db.execute("DELETE FROM t WHERE id = 5")
        assert 5 == len(old())
    found = audits(db)
    assert (0, 1) == (found.differences, found.skipped)
