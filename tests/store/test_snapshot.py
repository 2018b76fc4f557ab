"""A snapshot: several reads of one moment, cached ones too, and nothing kept longer than that moment is the present."""

from __future__ import annotations

import gc
import threading

import pytest

import coeval
from coeval import errors

SQL = "SELECT x FROM t WHERE id = 1"


@pytest.fixture
def db(path):
    with coeval.open(path, readers=2, timeout=0.5) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)")
        yield db


@pytest.mark.parametrize("cached", [True, False])
def test_all_reads_are_of_one_moment(db, foreign, cached):
    """Commits of anybody after its start are not seen in it, whether the results were cached before or not."""
    if cached:
        db.query(SQL)
        db.query("SELECT sum(x) FROM t")
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET x = 1")
        assert 0 == snap.scalar(SQL)
        foreign.execute("UPDATE t SET x = 2")
        foreign.execute("INSERT INTO t VALUES (4, 2)")
        assert 0 == snap.scalar(SQL) == snap.scalar("SELECT sum(x) FROM t")
        assert 3 == len(snap.query("SELECT * FROM t")) == len(list(snap.iterate("SELECT * FROM t")))
        assert (0,) == snap.one(SQL) == snap.first(SQL)
    assert (2, 8) == (db.scalar(SQL), db.scalar("SELECT sum(x) FROM t"))


def test_it_begins_when_it_is_entered(db, foreign):
    """The moment is that of the `with`, not of the first read, and not of the call before it."""
    snapshot = db.snapshot()
    foreign.execute("UPDATE t SET x = 1")
    with snapshot as snap:
        foreign.execute("UPDATE t SET x = 2")
        assert 1 == snap.scalar(SQL)


def test_calls_on_the_database_join_it(db, foreign):
    """Inside the block `db` reads from the snapshot; another thread reads the present."""
    db.query(SQL)
    with db.snapshot():
        foreign.execute("UPDATE t SET x = 1")
        assert 0 == db.scalar(SQL) == db.query(SQL)[0][0] == next(db.iterate(SQL))[0]
        found = []
        thread = threading.Thread(target=lambda: found.append(db.scalar(SQL)))
        thread.start()
        thread.join()
        assert [1] == found
    assert 1 == db.scalar(SQL)


def test_cached_results_serve_it(db):
    """An entry that is true of the snapshot's moment is used, again and again."""
    db.query(SQL)
    before = db.stats()
    with db.snapshot() as snap:
        assert ((0,),) == snap.query(SQL) == snap.query(SQL)
    after = db.stats()
    assert (before.misses, before.uncached) == (after.misses, after.uncached)
    assert 2 == after.hits + after.revalidated - before.hits - before.revalidated


def test_what_it_computes_serves_others(db):
    """A result made in a snapshot that is still the present is kept."""
    with db.snapshot() as snap:
        snap.query(SQL)
    before = db.stats().misses
    assert 0 == db.query(SQL)[0][0]
    assert before == db.stats().misses


def test_what_it_computes_late_serves_nobody(db, foreign):
    """A result of an old snapshot takes no newer entry's place and is never given to a reader of the present."""
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET x = 1")
        found = []
        thread = threading.Thread(target=lambda: found.append(db.query(SQL)))
        thread.start()
        thread.join()
        assert (((1,),), ((0,),)) == (found[0], snap.query(SQL))
        assert ((0,),) == snap.query(SQL)
    assert ((1,),) == db.query(SQL)


def test_an_old_snapshot_does_not_mark_an_entry_as_present(db, foreign):
    """Revalidated in an old snapshot, an entry is still compared by the next reader of the present (hole 25)."""
    db.query(SQL)
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET x = 1 WHERE id = 1")
        for _ in range(3):
            assert 0 == snap.scalar(SQL)
        thread_found = []
        thread = threading.Thread(target=lambda: thread_found.append(db.query(SQL)))
        thread.start()
        thread.join()
        assert [((1,),)] == thread_found
        assert ((0,),) == snap.query(SQL)
    assert ((1,),) == db.query(SQL)


def test_it_does_not_write(db):
    """A snapshot has no writing calls, and a write passed to its reads is refused."""
    with db.snapshot() as snap:
        assert not hasattr(snap, "execute")
        with pytest.raises(errors.SQLError, match="only reads"):
            snap.query("DELETE FROM t")
    assert 3 == db.scalar("SELECT count(*) FROM t")


def test_a_write_beside_it(db):
    """`db.execute` inside the block commits by itself, and the snapshot goes on unmoved."""
    with db.snapshot() as snap:
        assert 3 == db.execute("UPDATE t SET x = 1").rowcount
        assert 0 == snap.scalar(SQL)
        with db.transaction() as tx:
            tx.execute("UPDATE t SET x = 2")
            assert 2 == tx.scalar(SQL) == db.scalar(SQL)
        assert 0 == snap.scalar(SQL) == db.scalar(SQL)
    assert 2 == db.scalar(SQL)


def test_a_snapshot_within_a_snapshot_is_that_one(db, foreign):
    """An inner `with` joins the outer snapshot, which is of one moment already, and does not end it."""
    with db.snapshot() as outer:
        foreign.execute("UPDATE t SET x = 1")
        with db.snapshot() as inner:
            assert (0, 0, 0) == (outer.scalar(SQL), inner.scalar(SQL), db.scalar(SQL))
        assert (0, 0) == (outer.scalar(SQL), db.scalar(SQL))
    assert 1 == db.scalar(SQL)


def test_a_snapshot_within_a_transaction_is_that_transaction(db):
    """It sees what the transaction has written."""
    with db.transaction():
        db.execute("UPDATE t SET x = 1")
        with db.snapshot() as snap:
            assert 1 == snap.scalar(SQL)
        db.execute("UPDATE t SET x = 2")
    assert 2 == db.scalar(SQL)


@pytest.mark.parametrize("problem", [None, ZeroDivisionError, KeyboardInterrupt])
def test_it_gives_its_reader_back(db, problem):
    """However the block ends, its reader is free and follows the present."""
    for _ in range(5):
        try:
            with db.snapshot() as snap:
                snap.query(SQL)
                if problem:
                    raise problem
        except (ZeroDivisionError, KeyboardInterrupt):
            pass
    db.execute("UPDATE t SET x = 9")
    assert 9 == db.scalar(SQL)


def test_a_failing_read_does_not_end_it(db, foreign):
    """After an error the snapshot still has its moment."""
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET x = 1")
        for sql in ("SELECT abs(-9223372036854775808)", "SELECT nothing FROM t", "SELECT ?"):
            with pytest.raises(errors.Error):
                snap.query(sql)
        assert 0 == snap.scalar(SQL)


@pytest.mark.parametrize("how", ["snap", "db"])
def test_an_open_iterator_does_not_outlive_it(db, how):
    """Half read and kept, it gives no row after the end, and no later read on its reader is stale."""
    with db.snapshot() as snap:
        rows = (snap if how == "snap" else db).iterate("SELECT id FROM t")
        next(rows)
    db.execute("UPDATE t SET x = 7")
    assert [7] * 3 == [db.scalar(SQL) for _ in range(3)]
    assert 7 == next(db.iterate(SQL))[0]
    with pytest.raises(errors.ClosedError):
        next(rows)


def test_an_iterator_that_is_forgotten_inside_it(db, foreign):
    """An iterator that is dropped leaves the snapshot where it was."""
    with db.snapshot() as snap:
        next(snap.iterate("SELECT id FROM t"))
        gc.collect()
        foreign.execute("UPDATE t SET x = 1")
        assert 0 == snap.scalar(SQL)
    assert 1 == db.scalar(SQL)


def test_another_thread_may_not_use_it(db):
    """A snapshot has one owner."""
    found = []

    def use(snap):
        try:
            snap.query(SQL)
        except errors.Error as error:
            found.append(type(error))

    with db.snapshot() as snap:
        thread = threading.Thread(target=use, args=(snap,))
        thread.start()
        thread.join()
    assert [errors.ClosedError] == found


def test_a_schema_change_beside_it(db, foreign):
    """DDL of another program is not seen in it, and afterwards is."""
    with db.snapshot() as snap:
        assert 2 == len(snap.first("SELECT * FROM t"))
        foreign.execute("ALTER TABLE t ADD COLUMN y DEFAULT 5")
        assert 2 == len(snap.first("SELECT * FROM t"))
        assert ("id", "x") == snap.first("SELECT * FROM t WHERE id = 2").keys()
    assert ("id", "x", "y") == db.first("SELECT * FROM t").keys()


def test_a_table_of_later(db, foreign):
    """A table made after its start is unknown in it, and known afterwards."""
    with db.snapshot() as snap:
        foreign.execute("CREATE TABLE n(x)")
        with pytest.raises(errors.SQLError, match="no such table"):
            snap.query("SELECT * FROM n")
    assert () == db.query("SELECT * FROM n")
