"""Inside a snapshot exactly its own moment, outside exactly the present, whatever is kept in between (holes 5 and 25)."""

from __future__ import annotations

import contextvars
from contextlib import closing

import pytest

import coeval
from coherence.asking import Started, cached, keep, plain, truth

READ = "SELECT v FROM t ORDER BY id"
BEFORE, AFTER = ((1,), (2,), (3,)), ((11,), (12,), (13,))


@pytest.fixture(params=["header", "data_version"])
def db(request, open_db):
    db = open_db(commit_clock=request.param)
    db.script(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); CREATE TABLE u (v)"
    )
    return db


def outside(call, *arguments):
    """Call it where no snapshot can be joined."""
    return contextvars.Context().run(call, *arguments)


def test_an_entry_revalidated_in_a_snapshot_is_not_valid_for_the_present(db, foreign):
    """Hole 25: the old entry equals the snapshot's stamps; that says nothing about the header of now."""
    keep(db, READ)
    foreign.execute("INSERT INTO u VALUES (1)")  # so that the entry must be looked at again
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET v = v + 10")
        for _ in range(3):
            assert BEFORE == plain(snap.query(READ))
            assert BEFORE == cached(db, READ)  # joins the snapshot
            assert AFTER == outside(cached, db, READ)
    assert AFTER == cached(db, READ)


def test_an_entry_of_the_present_is_not_valid_for_an_older_snapshot(db, foreign):
    """Hole 25 the other way: what others keep meanwhile is not served inside."""
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET v = v + 10")
        assert AFTER == outside(keep, db, READ)
        assert BEFORE == plain(snap.query(READ)) == plain(snap.iterate(READ))
        assert 6 == snap.scalar("SELECT sum(v) FROM t")
    assert AFTER == cached(db, READ)
    assert 36 == db.scalar("SELECT sum(v) FROM t")


def test_two_snapshots_of_two_moments(db, foreign):
    """Each has its own rows, in whatever order they are asked, and with entries of both in the cache."""
    apart = contextvars.Context()
    with db.snapshot() as first:
        assert BEFORE == plain(first.query(READ))
        foreign.execute("UPDATE t SET v = v + 10")
        second = apart.run(db.snapshot)  # in this context it would be the first
        entered = apart.run(second.__enter__)
        for _ in range(3):
            assert AFTER == plain(apart.run(entered.query, READ))
            assert BEFORE == plain(first.query(READ))
        foreign.execute("DELETE FROM t")
        assert () == outside(cached, db, READ)
        assert BEFORE == plain(first.query(READ))
        assert AFTER == plain(apart.run(entered.query, READ))
        apart.run(second.__exit__, None, None, None)
        assert BEFORE == plain(first.query(READ))
    assert () == cached(db, READ)


def test_by_the_clock_alone_in_a_snapshot(db, foreign):
    """Hole 25 for what has no stamps: a virtual table's old result stays inside."""
    db.script("CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('a')")
    read = "SELECT count(*) FROM f"
    keep(db, read)
    with db.snapshot() as snap:
        foreign.execute("INSERT INTO f VALUES ('b')")
        assert 1 == snap.scalar(read) == snap.query(read)[0][0]
        assert ((2,),) == outside(cached, db, read)
        assert 1 == snap.query(read)[0][0]
    assert 2 == db.scalar(read) == db.query(read)[0][0]


def test_the_schema_changes_while_a_snapshot_is_open(db, foreign):
    """Inside the old columns, outside the new, kept apart."""
    star = "SELECT * FROM t WHERE id = 1"
    keep(db, star)
    with db.snapshot() as snap:
        foreign.execute("ALTER TABLE t ADD COLUMN w DEFAULT 7")
        for _ in range(2):
            assert ((1, 1),) == plain(snap.query(star))
            assert ((1, 1, 7),) == outside(cached, db, star)
    assert ((1, 1, 7),) == cached(db, star)


@pytest.mark.parametrize("kept", [True, False], ids=["kept before", "not kept before"])
def test_an_iterator_that_outlives_its_snapshot(db, foreign, kept):
    """A statement that is not finished keeps its old snapshot for its connection: the next reads must not use it."""
    if kept:
        keep(db, READ)
    with db.snapshot() as snap:
        rows = snap.iterate(READ)
        assert 1 == next(rows)["v"]
        foreign.execute("UPDATE t SET v = v + 10")
    for _ in range(3):
        assert AFTER == cached(db, READ) == truth(db, READ)
    with pytest.raises(coeval.errors.ClosedError):
        list(rows)


def test_an_iterator_that_outlives_its_transaction(db, foreign):
    """The same on the writer: later transactions begin, see everything, and write."""
    with db.transaction() as tx:
        rows = tx.iterate(READ)
        next(rows)
    foreign.execute("UPDATE t SET v = v + 10")
    with db.transaction() as tx:
        assert AFTER == plain(tx.query(READ))
        tx.execute("UPDATE t SET v = v + 1")
    assert ((12,), (13,), (14,)) == cached(db, READ)
    with pytest.raises(coeval.errors.ClosedError):
        list(rows)


def test_an_iterator_of_the_database_keeps_its_own_moment_and_no_other_s(db, foreign):
    """While it is open other reads see every commit; when it is closed early its reader is fit for use."""
    with closing(db.iterate(READ)) as rows:
        assert 1 == next(rows)["v"]
        foreign.execute("UPDATE t SET v = v + 10")
        assert AFTER == keep(db, READ)
        assert 2 == next(rows)["v"]
    foreign.execute("UPDATE t SET v = 0")
    assert ((0,), (0,), (0,)) == cached(db, READ)


def test_first_leaves_no_unfinished_statement(db, foreign):
    """A read of one row of many is finished when it returns."""
    for expected in range(20, 30):
        assert db.first(READ) is not None
        foreign.execute("UPDATE t SET v = ?", expected)
        assert expected == db.first(READ)[0]
        assert ((expected,),) * 3 == cached(db, READ)


def test_a_statement_that_raises_in_the_middle_leaves_its_reader_fit(db, foreign):
    """A function that raises after some rows, and a conversion that fails: the next read is not of the old snapshot."""

    def fussy(value):
        if value % 10 == 3:
            raise ZeroDivisionError
        return value

    db.create_function("fussy", fussy, 1, deterministic=True)
    for _ in range(3):
        keep(db, READ)
        with pytest.raises(ZeroDivisionError):
            db.query("SELECT fussy(v) FROM t")
        foreign.execute("UPDATE t SET v = v + 10")
        assert truth(db, READ) == cached(db, READ)


def test_a_function_given_while_a_snapshot_is_open(db):
    """The snapshot's connection may go on with the old one; what it computes so is nobody else's."""
    db.create_function("f", lambda x: x + 1, 1, deterministic=True)
    sql = "SELECT f(v) FROM t WHERE id = 1"
    with db.snapshot() as snap:
        db.create_function("f", lambda x: x + 100, 1, deterministic=True)
        snap.query(sql)
        snap.scalar(sql)
    assert ((101,),) == cached(db, sql) == truth(db, sql)
    assert 101 == db.scalar(sql)


def test_a_thread_started_inside_reads_the_present(db, foreign):
    """A snapshot belongs to the thread that opened it."""
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET v = v + 10")
        context = contextvars.copy_context()
        assert AFTER == Started(lambda: context.run(cached, db, READ)).result()
        assert BEFORE == plain(snap.query(READ))


def test_a_commit_between_the_clock_and_the_first_read(db, foreign, monkeypatch):
    """The snapshot's header is read before and after its first read: a commit between them leaves it without a mark."""
    from coeval.sqlite.connection import Connection

    stamps = Connection._stamps
    due = ["UPDATE t SET v = v + 10"]

    def late(self, *arguments):
        seen = stamps(self, *arguments)
        if due:
            foreign.execute(due.pop())
        return seen

    keep(db, READ)
    foreign.execute("INSERT INTO u VALUES (1)")
    monkeypatch.setattr(Connection, "_stamps", late)
    assert BEFORE == cached(db, READ)  # true when the call began
    assert AFTER == cached(db, READ)


def test_a_commit_between_the_clock_and_the_stamps_marks_nothing_for_an_older_snapshot(db, foreign, monkeypatch):
    """What is newer than the first reading of the clock must not be marked with it: an older snapshot would take it."""
    from coeval.sqlite.connection import Connection

    stamps = Connection._stamps
    due: list[str] = []

    def early(self, *arguments):
        if due:
            foreign.execute(due.pop())
        return stamps(self, *arguments)

    monkeypatch.setattr(Connection, "_stamps", early)
    read = "SELECT v FROM t WHERE id >= ? ORDER BY id"
    db.query(read, 0)  # so that the statement is known, and its next result is not
    with db.snapshot() as snap:
        due.append("UPDATE t SET v = v + 10")
        assert AFTER == outside(cached, db, read, 1)
        assert [] == due
        assert BEFORE == plain(snap.query(read, 1))
    assert AFTER == cached(db, read, 1)
