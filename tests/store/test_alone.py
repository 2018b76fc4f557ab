"""A write that is alone goes without BEGIN and COMMIT, and leaves all or nothing all the same (hole 29)."""

from __future__ import annotations

import pytest

import coeval
from coeval import errors
from coeval.sqlite.connection import Connection
from store.behind import held, queue_up

INSERT = "INSERT INTO t(x) SELECT value FROM json_each(?)"
INTO = "INSERT INTO t(x) VALUES (?)"
ROWS = "SELECT x FROM t ORDER BY x"


@pytest.fixture
def ran(monkeypatch):
    """The statements of ours that are run, such as BEGIN."""
    seen = []
    real = Connection.run

    def run(self, sql):
        seen.append(sql)
        real(self, sql)

    monkeypatch.setattr(Connection, "run", run)
    return seen


def values(db):
    return [x for (x,) in db.query(ROWS)]


def test_it_is_one_statement(path, ran):
    """From the second time on: the first compiles it, and what is known of it has to hold for what was compiled."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x UNIQUE)")
        for n in range(3):
            db.execute("INSERT INTO t(x) VALUES (?)", n)
        ran.clear()
        for n in range(3, 6):
            assert (1, n + 1) == (db.execute("INSERT INTO t(x) VALUES (?)", n).rowcount, n + 1)
        assert [] == ran
        with pytest.raises(errors.ConstraintError):
            db.execute("INSERT INTO t(x) VALUES (?)", 5)
        assert list(range(6)) == values(db)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE t; CREATE TABLE t(x UNIQUE ON CONFLICT FAIL); INSERT INTO t VALUES (3)",
        "CREATE TRIGGER f AFTER INSERT ON t WHEN NEW.x = 3 BEGIN SELECT RAISE(FAIL, 'three'); END",
    ],
)
def test_another_process_makes_it_fail_half_done(path, foreign, change):
    """The schema changes under a process that only writes: the failing statement still leaves nothing."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x UNIQUE)")
        for _ in range(3):
            db.execute(INSERT, "[]")
        foreign.script(change)
        for _ in range(3):
            before = foreign.execute(ROWS)
            with pytest.raises(errors.ConstraintError):
                db.execute(INSERT, "[1, 2, 3, 4]")
            assert before == foreign.execute(ROWS)


@pytest.mark.parametrize("statement", [f"INSERT OR FAIL{INSERT[6:]}", INSERT])
def test_fail_leaves_nothing(path, statement):
    """Whether the statement says it or the table."""
    with coeval.open(path) as db:
        unique = "UNIQUE" if "FAIL" in statement else "UNIQUE ON CONFLICT FAIL"
        db.script(f"CREATE TABLE t(x {unique}); INSERT INTO t VALUES (3)")
        for _ in range(3):
            with pytest.raises(errors.ConstraintError):
                db.execute(statement, "[1, 2, 3, 4]")
            assert [3] == values(db)


def test_a_foreign_lock_is_named(path, foreign):
    """Without BEGIN it is the statement that waits; the error is the same."""
    with coeval.open(path, timeout=0.1) as db:
        db.script("CREATE TABLE t(x UNIQUE)")
        for n in range(3):
            db.execute("INSERT INTO t(x) VALUES (?)", n)
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.LockTimeoutError, match=f"process {foreign.pid}"):
            db.execute("INSERT INTO t(x) VALUES (?)", 9)
        foreign.execute("ROLLBACK")
        db.execute("INSERT INTO t(x) VALUES (?)", 9)
        assert [0, 1, 2, 9] == values(db)


def test_our_stamps_change(path):
    """The triggers run as ever: the next read sees it."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x UNIQUE)")
        for n in range(5):
            db.execute("INSERT INTO t(x) VALUES (?)", n)
            assert list(range(n + 1)) == values(db)


def test_after_one_that_waited_all_the_time_is_there_again(path):
    """Whoever waited has the rest of the time-out left for SQLite's lock; the next one who did not has all of it."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        db.execute(INTO, 1)
        writer = db._engine.store().writer
        with held(db) as leave:
            (caller,) = queue_up(db, [lambda: db.execute(INTO, 2)])
            leave.set()
        assert 1 == caller.ended().rowcount
        assert writer._patience < writer.timeout
        db.execute(INTO, 3)
        assert writer._patience == writer.timeout
