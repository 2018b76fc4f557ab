"""A write transaction: its turn, its own view, all of it or nothing, and who belongs to it."""

# ruff: noqa: PT012 - a block that is to be undone has several statements

from __future__ import annotations

import contextvars
import threading

import pytest

import coeval
from coeval import errors

COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def db(path):
    with coeval.open(path, timeout=0.5) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE); INSERT INTO t VALUES (1, 'one'), (2, 'two')")
        db.script("CREATE TABLE later(t REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)")
        yield db


def elsewhere(work, *arguments, context=None):
    """Run `work` in another thread to its end; what it returned or raised."""
    found = []

    def run():
        try:
            found.append(work(*arguments))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=(context or contextvars.Context()).run, args=(run,))
    thread.start()
    thread.join()
    return found[0]


def test_it_commits_at_the_end_of_its_block(db, foreign):
    """Nobody sees its writes before, everybody after; it is one write."""
    before = db.stats().writes
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 'three')")
        tx.execute("INSERT INTO t VALUES (4, 'four')")
        assert 4 == tx.scalar(COUNT)
        assert 2 == elsewhere(db.scalar, COUNT)
        assert [(2,)] == foreign.execute(COUNT)
    assert 4 == db.scalar(COUNT)
    assert [(4,)] == foreign.execute(COUNT)
    assert 1 == db.stats().writes - before


@pytest.mark.parametrize("problem", [ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_it_rolls_back_where_its_block_raises(db, problem):
    """Whatever comes out of the block undoes it and goes on its way; the next turn is free."""
    with pytest.raises(problem), db.transaction() as tx:
        tx.execute("DELETE FROM t")
        tx.execute("CREATE TABLE n(x)")
        raise problem
    assert 2 == db.scalar(COUNT)
    assert () == db.query("SELECT * FROM sqlite_schema WHERE name = 'n'")
    assert 1 == db.execute("INSERT INTO t VALUES (3, 3)").rowcount


def test_it_leaves_by_return_and_break_too(db):
    """A block that is left early commits."""

    def early():
        with db.transaction() as tx:
            tx.execute("INSERT INTO t VALUES (3, 3)")
            return tx.scalar(COUNT)

    assert 3 == early() == db.scalar(COUNT)


def test_all_calls(db):
    """A transaction reads and writes by the same names as the database."""
    with db.transaction() as tx:
        assert 1 == tx.execute("INSERT INTO t VALUES (3, 'three')").rowcount
        assert 2 == tx.executemany("INSERT INTO t VALUES (?, ?)", [(4, 4), (5, 5)]).rowcount
        tx.script("CREATE TABLE n(x); INSERT INTO n VALUES (1)")
        assert ((1,),) == tx.query("SELECT x FROM n")
        assert (3, "three") == tx.one("SELECT * FROM t WHERE id = 3")
        assert (1, "one") == tx.first("SELECT * FROM t ORDER BY id")
        assert None is tx.first("SELECT * FROM t WHERE id = 99")
        assert 5 == tx.scalar(COUNT) == len(list(tx.iterate("SELECT * FROM t")))
        assert ((3,),) == tx.execute("DELETE FROM t WHERE id = 3 RETURNING id").rows
    assert (4, 1) == (db.scalar(COUNT), db.scalar("SELECT count(*) FROM n"))


def test_its_reads_are_never_cached(db):
    """What it reads is its own and kept from everybody, even where it rolls back."""
    for call in ("query", "first"):
        getattr(db, call)("SELECT * FROM t ORDER BY id")
    entries = db.stats().entries
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("UPDATE t SET x = 'rolled back' WHERE id = 1")
        assert (1, "rolled back") == tx.first("SELECT * FROM t ORDER BY id")
        assert (1, "rolled back") == db.query("SELECT * FROM t ORDER BY id")[0]
        tx.query("SELECT x FROM t")
        raise ZeroDivisionError
    assert entries == db.stats().entries
    assert (1, "one") == db.first("SELECT * FROM t ORDER BY id") == db.query("SELECT * FROM t ORDER BY id")[0]
    assert (("one",), ("two",)) == db.query("SELECT x FROM t ORDER BY id")


def test_calls_on_the_database_join_it(db):
    """Inside the block `db` means the transaction, for reads and writes, and no call waits for its own caller."""
    with db.transaction():
        db.execute("INSERT INTO t VALUES (3, 'three')")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(4, 4)])
        db.script("INSERT INTO t VALUES (5, 5)")
        assert 5 == db.scalar(COUNT) == len(list(db.iterate("SELECT * FROM t")))
        assert (3, "three") == db.one("SELECT * FROM t WHERE id = 3")
        assert 2 == elsewhere(db.scalar, COUNT)
    assert 5 == db.scalar(COUNT)


def test_a_second_face_of_the_file_joins_as_well(db):
    """Two databases opened on one file are one."""
    with coeval.open(db.path) as other, db.transaction():
        db.execute("INSERT INTO t VALUES (3, 3)")
        assert 3 == other.scalar(COUNT)


def test_another_database_does_not_join(db, tmp_path):
    """A transaction is of one file; two files may have one each in the same block."""
    with coeval.open(tmp_path / "other.db") as other:
        other.script("CREATE TABLE t(x)")
        with pytest.raises(ZeroDivisionError), db.transaction():
            other.execute("INSERT INTO t VALUES (1)")
            with other.transaction():
                db.execute("INSERT INTO t VALUES (3, 3)")
                other.execute("INSERT INTO t VALUES (2)")
            raise ZeroDivisionError
        assert (2, 2) == (db.scalar(COUNT), other.scalar(COUNT))


def test_a_thread_that_copies_the_context_does_not_join(db):
    """A transaction has one owner: threads read what is committed, and their writes wait."""
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        context = contextvars.copy_context()
        assert 2 == elsewhere(db.scalar, COUNT, context=context)
        found = elsewhere(db.execute, "INSERT INTO t VALUES (4, 4)", context=contextvars.copy_context())
        assert errors.LockTimeoutError is type(found)
        found = elsewhere(tx.execute, "INSERT INTO t VALUES (5, 5)", context=contextvars.copy_context())
        assert errors.ClosedError is type(found)
        assert errors.ClosedError is type(elsewhere(tx.query, "SELECT 1", context=contextvars.copy_context()))
    assert 3 == db.scalar(COUNT)


def test_inside_another_it_is_a_savepoint(db):
    """An inner block that raises is undone alone; the outer one goes on and commits."""
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        with pytest.raises(ZeroDivisionError), db.transaction() as inner:
            inner.execute("INSERT INTO t VALUES (4, 4)")
            with db.transaction():
                db.execute("INSERT INTO t VALUES (5, 5)")
            assert 5 == db.scalar(COUNT)
            raise ZeroDivisionError
        with db.transaction():
            db.execute("INSERT INTO t VALUES (6, 6)")
        assert [(1,), (2,), (3,), (6,)] == [tuple(r) for r in db.query("SELECT id FROM t ORDER BY id")]
    assert 4 == db.scalar(COUNT)


def test_a_savepoint_goes_with_its_transaction(db):
    """An inner block that succeeded is undone with the outer one."""
    with pytest.raises(ZeroDivisionError), db.transaction():
        with db.transaction():
            db.execute("INSERT INTO t VALUES (3, 3)")
        raise ZeroDivisionError
    assert 2 == db.scalar(COUNT)


@pytest.mark.parametrize(
    "call",
    [
        lambda tx: tx.execute("INSERT INTO t VALUES (10, 10), (1, 1)"),
        lambda tx: tx.execute("INSERT OR FAIL INTO t VALUES (10, 10), (1, 1)"),
        lambda tx: tx.execute("UPDATE OR FAIL t SET x = 'same'"),
        lambda tx: tx.executemany("INSERT INTO t VALUES (?, ?)", [(10, 10), (11, 11), (1, 1)]),
        lambda tx: tx.executemany("INSERT INTO t VALUES (?, ?)", [(10, 10), (11,)]),
        lambda tx: tx.script("INSERT INTO t VALUES (10, 10); INSERT INTO t VALUES (1, 1)"),
        lambda tx: tx.script("CREATE TABLE n(x); INSERT INTO t VALUES (10, 10); garbage"),
    ],
)
def test_a_call_that_raises_leaves_nothing_and_the_transaction_goes_on(db, call):
    """Caught inside the block, a failed call has written nothing at all, and what came before and after it stays."""
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 'before')")
        with pytest.raises(errors.Error):
            call(tx)
        tx.execute("INSERT INTO t VALUES (4, 'after')")
    assert ((1, "one"), (2, "two"), (3, "before"), (4, "after")) == db.query("SELECT * FROM t ORDER BY id")
    assert () == db.query("SELECT * FROM sqlite_schema WHERE name = 'n'")


def test_a_statement_that_ends_the_transaction(db):
    """OR ROLLBACK undoes everything; going on as if nothing had happened is refused, at the next call and at the end."""
    with pytest.raises(errors.StoreError, match="rolled"), db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        with pytest.raises(errors.ConstraintError):
            tx.execute("INSERT OR ROLLBACK INTO t VALUES (1, 1)")
        with pytest.raises(errors.ClosedError, match="rolled"):
            tx.execute("INSERT INTO t VALUES (4, 4)")
        with pytest.raises(errors.ClosedError, match="rolled"):
            tx.query(COUNT)
    assert 2 == db.scalar(COUNT)
    assert 1 == db.execute("INSERT INTO t VALUES (3, 3)").rowcount


def test_a_statement_that_ends_the_transaction_and_lets_its_error_out(db):
    """Let out, the error is the statement's own."""
    with pytest.raises(errors.ConstraintError), db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        with db.transaction() as inner:
            inner.execute("INSERT OR ROLLBACK INTO t VALUES (1, 1)")
    assert 2 == db.scalar(COUNT)


def test_a_commit_that_fails(db):
    """A foreign key that is still missing at the end fails the commit, by name, and undoes everything."""
    before = db.stats().writes
    with pytest.raises(errors.ConstraintError, match="FOREIGN KEY"), db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        tx.execute("INSERT INTO later VALUES (99)")
    assert (2, before) == (db.scalar(COUNT), db.stats().writes)
    with db.transaction() as tx:
        tx.execute("INSERT INTO later VALUES (99)")
        tx.execute("INSERT INTO t VALUES (99, 99)")
    assert 3 == db.scalar(COUNT)


def test_ddl_in_a_transaction(db):
    """A table made in a transaction is known in it at once, and tracked for caching when it commits."""
    with db.transaction() as tx:
        tx.execute("CREATE TABLE n(x)")
        tx.execute("INSERT INTO n VALUES (1)")
        assert ((1,),) == tx.query("SELECT * FROM n")
        tx.execute("ALTER TABLE n ADD COLUMN y DEFAULT 5")
        assert ((1, 5),) == tx.query("SELECT * FROM n")
    assert [((1, 5),)] * 3 == [db.query("SELECT * FROM n") for _ in range(3)]
    assert "stamps" == db.explain("SELECT * FROM n").validity
    db.execute("UPDATE n SET x = 2")
    assert ((2, 5),) == db.query("SELECT * FROM n")


def test_a_table_that_is_rolled_back_is_forgotten(db):
    """What the transaction made is unknown again afterwards."""
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("CREATE TABLE n(x)")
        assert () == tx.query("SELECT * FROM n")
        raise ZeroDivisionError
    with pytest.raises(errors.SQLError, match="no such table: n"):
        db.query("SELECT * FROM n")


def test_a_temporary_table_lives_in_one_transaction(db):
    """It is made, used, and gone afterwards, so that it hides nothing from anybody."""
    with db.transaction() as tx:
        tx.execute("CREATE TEMP TABLE scratch(x)")
        tx.execute("INSERT INTO scratch SELECT id FROM t")
        assert 2 == tx.scalar("SELECT count(*) FROM scratch")
    with db.transaction() as tx, pytest.raises(errors.SQLError, match="no such table"):
        tx.query("SELECT * FROM scratch")
    with pytest.raises(errors.SQLError, match="temporary"):
        db.execute("CREATE TEMP TABLE scratch(x)")


def test_it_can_be_entered_again(db):
    """The object opens a new transaction at each `with`."""
    transaction = db.transaction()
    for number in (3, 4):
        with transaction as tx:
            tx.execute("INSERT INTO t VALUES (?, ?)", number, number)
    assert 4 == db.scalar(COUNT)


def test_before_its_block_it_does_nothing(db):
    """Made and not entered, it takes no turn and answers no call."""
    tx = db.transaction()
    with pytest.raises(errors.ClosedError):
        tx.execute("INSERT INTO t VALUES (3, 3)")
    assert 1 == db.execute("INSERT INTO t VALUES (3, 3)").rowcount


def test_what_would_wait_for_itself_is_refused(db, tmp_path):
    """VACUUM, restore and close inside the block would wait for the block."""
    with db.transaction():
        for call in (db.vacuum, db.close, lambda: db.restore(tmp_path / "x.db")):
            with pytest.raises(errors.ReentryError):
                call()
    assert 2 == db.scalar(COUNT)


@pytest.mark.parametrize("start", [0, 1])
def test_an_iterator_ends_with_its_transaction(db, start):
    """Read into or not, it gives no row after the end, and does not hold the writer back."""
    with db.transaction() as tx:
        rows = tx.iterate("SELECT id FROM t")
        for _ in range(start):
            next(rows)
    with pytest.raises(errors.ClosedError):
        next(rows)
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        with pytest.raises(errors.ClosedError):
            next(rows)
    assert 3 == db.scalar(COUNT)


def test_writing_while_an_iterator_is_open(db):
    """Its own statements may write while rows of an earlier one are still to come; the block commits."""
    with db.transaction() as tx:
        seen = []
        for row in tx.iterate("SELECT id FROM t WHERE id < 10 ORDER BY id"):
            tx.execute("INSERT INTO t VALUES (?, ?)", row["id"] + 100, row["id"] + 100)
            seen.append(row["id"])
    assert [1, 2] == seen
    assert 4 == db.scalar(COUNT)


def test_a_rollback_while_an_iterator_is_open(db):
    """An open iterator does not keep a rollback from undoing everything."""
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (3, 3)")
        rows = tx.iterate("SELECT id FROM t")
        next(rows)
        raise ZeroDivisionError
    assert 2 == db.scalar(COUNT)
    assert 1 == db.execute("INSERT INTO t VALUES (3, 3)").rowcount


def test_its_end_is_durable_and_seen_by_the_next_cached_read(db):
    """The first read after the block, cached before it, has the new rows."""
    for number in range(3, 30):
        db.query("SELECT id FROM t")
        with db.transaction() as tx:
            tx.execute("INSERT INTO t VALUES (?, ?)", number, number)
        assert number == len(db.query("SELECT id FROM t"))
