"""Changesets carry the user's rows and never our stamps (hole 17)."""

from __future__ import annotations

import apsw
import pytest

import coeval
from coeval import errors

SCHEMA = """
    CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id) ON DELETE CASCADE, note TEXT);
    INSERT INTO parent VALUES (1, 'one'), (2, 'two');
    INSERT INTO child VALUES (10, 1, 'first'), (20, 2, 'second');
"""
STAMPS = "SELECT t.name, s.stamp FROM _coeval_stamps AS s JOIN _coeval_tables AS t ON s.id = t.id << 20 ORDER BY 1"
NAMES = "SELECT name FROM parent ORDER BY id"


@pytest.fixture
def two(tmp_path):
    """A database and an exact copy of it, both open, with equal stamps."""
    original, copy = tmp_path / "original.db", tmp_path / "copy.db"
    with coeval.open(original) as db:
        db.script(SCHEMA)
        db.checkpoint(truncate=True)
    copy.write_bytes(original.read_bytes())
    with coeval.open(original) as a, coeval.open(copy) as b:
        assert a.query(STAMPS) == b.query(STAMPS)
        yield a, b


def recorded(db, *statements, tables=()):
    with db.transaction() as tx:
        with tx.record(*tables) as recording:
            for statement in statements:
                db.execute(statement)
        with pytest.raises(errors.ClosedError):
            assert tx.record().changeset
    return recording.changeset


def tables_in(changeset):
    return {change.name for change in apsw.Changeset.iter(changeset)}


def test_our_tables_are_in_no_changeset(two):
    """Whatever was written, only the user's tables are in it."""
    a, _ = two
    changeset = recorded(a, "UPDATE parent SET name = 'x' WHERE id = 1", "DELETE FROM parent WHERE id = 2")
    assert {"parent", "child"} == tables_in(changeset)
    assert {"child"} == tables_in(recorded(a, "UPDATE child SET note = 'y'", tables=("child",)))
    assert b"" == recorded(a, "SELECT 1")


def test_applying_is_seen_and_gives_new_stamps(two):
    """A cached answer of the other file is not served; the stamps there equal neither the old ones nor those of the source."""
    a, b = two
    before = dict(b.query(STAMPS))
    assert [("one",), ("two",)] == [tuple(row) for row in b.query(NAMES)]
    changeset = recorded(a, "UPDATE parent SET name = 'changed' WHERE id = 1")
    applied = b.apply(changeset)
    assert (("parent",), 0) == (applied.tables, applied.conflicts)
    assert [("changed",), ("two",)] == [tuple(row) for row in b.query(NAMES)]
    after, source = dict(b.query(STAMPS)), dict(a.query(STAMPS))
    assert after["parent"] not in (before["parent"], source["parent"])
    assert after["child"] == before["child"]


def test_a_foreign_changeset_with_our_stamps(two):
    """One that another program recorded, stamps and all: they are left out, or a copy would vouch for other rows."""
    a, b = two
    path = a.path
    a.close()
    connection = apsw.Connection(path)
    session = apsw.Session(connection, "main")
    session.attach()
    connection.execute("UPDATE parent SET name = 'foreign' WHERE id = 1")
    changeset = session.changeset()
    stamp = connection.execute(STAMPS).fetchall()
    session.close()
    connection.close()
    assert "_coeval_stamps" in tables_in(changeset)
    b.apply(changeset)
    assert "foreign" == b.scalar("SELECT name FROM parent WHERE id = 1")
    assert ("parent", dict(b.query(STAMPS))["parent"]) not in stamp


@pytest.mark.parametrize(("conflict", "name", "conflicts"), [("omit", "theirs", 1), ("replace", "mine", 1)])
def test_conflicts(two, conflict, name, conflicts):
    """Left out, or prevailing, and counted."""
    a, b = two
    changeset = recorded(a, "UPDATE parent SET name = 'mine' WHERE id = 1")
    b.execute("UPDATE parent SET name = 'theirs' WHERE id = 1")
    assert conflicts == b.apply(changeset, conflict=conflict).conflicts
    assert name == b.scalar("SELECT name FROM parent WHERE id = 1")


def test_a_conflict_that_aborts_applies_nothing(two):
    """The default: an error that says what does not fit, and nothing of it is there; the transaction around it goes on."""
    a, b = two
    changeset = recorded(
        a, "UPDATE child SET note = 'new' WHERE id = 10", "UPDATE parent SET name = 'mine' WHERE id = 1"
    )
    b.execute("UPDATE parent SET name = 'theirs' WHERE id = 1")
    with b.transaction():
        b.execute("INSERT INTO parent VALUES (3, 'three')")
        with pytest.raises(errors.ConstraintError, match="parent"):
            b.apply(changeset)
    assert "first" == b.scalar("SELECT note FROM child WHERE id = 10")
    assert ["theirs", "two", "three"] == [name for (name,) in b.query(NAMES)]


def test_rubbish(two):
    """No bytes, no changeset: nothing happens."""
    _, b = two
    for given in ("text", None, b"rubbish that is no changeset"):
        with pytest.raises(errors.ParameterError):
            b.apply(given)
    with pytest.raises(errors.ParameterError):
        b.apply(b"", conflict="perhaps")
    with b.transaction() as tx, pytest.raises(errors.ParameterError):
        tx.record("_coeval_stamps")
    assert ["one", "two"] == [name for (name,) in b.query(NAMES)]
