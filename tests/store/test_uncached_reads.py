"""Reads past the cache take a short way; every guarantee of the long one holds on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import coeval
from coeval import Database, errors

from processes import Foreign

ONE = "SELECT id, name, amount FROM t WHERE id = ?"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    """A database without a cache and with a single reader, so that one which is lost is missed."""
    with coeval.open(path, cache=None, readers=1, timeout=2.0) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"n{i}", i / 2) for i in range(1, 6)])
        yield db


def test_the_short_way_gives_rows_with_names(db: Database):
    """The second call, which takes the short way, equals the first, for plain values of every type."""
    for value in (3, 3.0, "3", b"3", None, True):
        assert db.query(ONE, value) == db.query(ONE, value)
    assert db.query(ONE, 3)[0].asdict() == {"id": 3, "name": "n3", "amount": 1.5}


def test_columns_follow_the_schema(db: Database, foreign: Foreign):
    """Names remembered for a statement are dropped when any program changes the schema, with rows and without."""
    star = "SELECT * FROM t WHERE id = ?"
    assert db.query(star, 1)[0].keys() == db.query(star, 1)[0].keys() == ("id", "name", "amount")
    foreign.execute("ALTER TABLE t RENAME COLUMN name TO title")
    assert db.query(star, 1)[0].keys() == ("id", "title", "amount")
    foreign.execute("ALTER TABLE t ADD COLUMN extra DATE")
    assert db.query(star, 99) == ()
    foreign.execute("UPDATE t SET extra = '2024-01-31'")
    assert db.query(star, 1)[0]["extra"].year == 2024
    assert db.one(star, 1)["extra"].year == 2024


@pytest.mark.parametrize("value", [2**63, "\udc80", float("nan"), [1], object()])
def test_unfit_values_are_refused(db: Database, value: object):
    """Values that SQLite cannot hold raise ParameterError on the short way as on the long one, and cost no reader."""
    for _ in range(3):
        with pytest.raises(errors.ParameterError):
            db.query(ONE, value)
        assert db.query(ONE, 1)[0]["name"] == "n1"


def test_wrong_calls_are_refused(db: Database):
    """A wrong number of values, a statement that writes, and one that is no text, also when known already."""
    for _ in range(2):
        with pytest.raises(errors.ParameterError):
            db.query(ONE)
        with pytest.raises(errors.ParameterError):
            db.query(ONE, 1, 2)
        with pytest.raises(errors.SQLError):
            db.query("DELETE FROM t WHERE id = ?", 1)
        with pytest.raises(errors.SQLError):
            db.query(1, 1)  # type: ignore[call-overload]
        assert len(db.query(ONE, 1)) == 1


def test_a_reader_comes_back_from_every_exception(db: Database):
    """Errors of SQL functions, interrupts among them, leave the only reader idle and clean."""

    def fail(kind: str) -> int:
        raise {"value": ValueError, "interrupt": KeyboardInterrupt, "exit": SystemExit}[kind]("no")

    db.create_function("fail", fail, 1)
    for kind, error in (("value", ValueError), ("interrupt", KeyboardInterrupt), ("exit", SystemExit)):
        for _ in range(3):
            with pytest.raises(error):
                db.query("SELECT id, fail(?) FROM t", kind)
            assert len(db.query(ONE, 1)) == 1


def test_some_rows_of_many_leave_no_snapshot_behind(db: Database, foreign: Foreign):
    """`first` and `one` end their statement: the next read of that connection sees the newest commit."""
    names = "SELECT name FROM t ORDER BY id"
    for number in range(5):
        foreign.execute("UPDATE t SET name = ? WHERE id = 1", f"new{number}")
        assert db.first(names) == (f"new{number}",)
        assert not db._engine.store().readers.idle[-1].reading
        with pytest.raises(errors.ManyRowsError):
            db.one(names)
        assert db.first("SELECT name FROM t WHERE id = ?", 1) == (f"new{number}",)
        assert db.scalar("SELECT name FROM t WHERE id = ?", 1) == f"new{number}"


def test_each_is_counted_and_told(db: Database):
    """Reads past the cache are `uncached` events, for the statistics and for listeners."""
    db.query(ONE, 1)
    before, heard = db.stats().uncached, []
    stop = db.listen(lambda name, _facts: heard.append(name))
    for _ in range(3):
        db.query(ONE, 1)
    stop()
    db.query(ONE, 1)
    assert db.stats().uncached - before == 4
    assert heard == ["uncached"] * 3


def test_a_closed_database_says_so(db: Database):
    """After close the short way is shut."""
    db.query(ONE, 1)
    db.close()
    with pytest.raises(errors.ClosedError):
        db.query(ONE, 1)


def test_inside_a_transaction_reads_see_its_writes(db: Database):
    """The short way is not taken inside a unit."""
    db.query(ONE, 1)
    with db.transaction():
        db.execute("UPDATE t SET name = 'mine' WHERE id = 1")
        assert db.query(ONE, 1)[0]["name"] == "mine"
    with db.snapshot():
        assert db.query(ONE, 1)[0]["name"] == "mine"
