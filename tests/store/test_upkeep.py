"""check and checkpoint: what is wrong with the file, and its log moved by hand."""

from __future__ import annotations

import os
import threading

import pytest

import coeval
from coeval import errors
from waiting import wait_until

PAGE = 4096


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script(
            "CREATE TABLE p(id INTEGER PRIMARY KEY);"
            "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id), x);"
            "CREATE INDEX i ON c(x);"
            "INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 1, 'a'), (2, NULL, 'b')"
        )
        yield db


def test_a_sound_file_is_sound(db):
    """Nothing is found."""
    assert db.check() == db.check(quick=True) == coeval.Check((), ())
    assert db.check().ok


def test_a_foreign_key_that_leads_nowhere_is_found(db, foreign):
    """Made by a program that does not enforce them, which is SQLite's default."""
    foreign.execute("PRAGMA foreign_keys = OFF")
    foreign.execute("DELETE FROM p WHERE id = 1")
    found = db.check()
    assert not found.ok
    assert ((), (("c", 1, "p"),)) == (found.problems, found.foreign_keys)
    assert found.foreign_keys[0].table == "c"
    assert db.check(quick=True).foreign_keys == found.foreign_keys


def test_findings_are_bounded(db, foreign):
    """A hundred are enough to know."""
    foreign.execute("PRAGMA foreign_keys = OFF")
    foreign.execute(
        "INSERT INTO c(p) WITH RECURSIVE n(i) AS (VALUES(10) UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT i FROM n"
    )
    assert len(db.check().foreign_keys) == 100


def test_an_index_that_does_not_match_its_table_is_found(db, foreign):
    """By the full check alone."""
    foreign.execute("PRAGMA writable_schema = ON")
    foreign.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON c(p)' WHERE name = 'i'")
    foreign.execute("PRAGMA writable_schema = OFF")
    foreign.execute(f"PRAGMA schema_version = {foreign.execute('PRAGMA schema_version')[0][0] + 1}")
    found = db.check()
    assert not found.ok
    assert any("missing from index i" in line for line in found.problems)
    assert db.check(quick=True).ok


def test_damage_is_a_finding_and_not_an_error(db, path):
    """Where there is too much to go on, it says so."""
    db.execute("INSERT INTO c(x) VALUES (zeroblob(20000))")
    root = db.scalar("SELECT rootpage FROM sqlite_schema WHERE name = 'c'")
    db.close()
    with open(path, "r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xff" * PAGE)
    with coeval.open(path) as again:
        found = again.check()
        assert not found.ok
        assert found.problems != ()


def test_a_foreign_key_to_no_key_is_a_finding(db):
    """Its parent's column is not unique, so nothing can be told of the rows."""
    db.script("CREATE TABLE q(id); CREATE TABLE r(q REFERENCES q(id))")
    with coeval.open(db.path) as again:
        assert any("mismatch" in line for line in again.check().problems)


def test_check_is_of_what_is_committed_and_holds_nobody_up(db):
    """In the midst of a transaction, too."""
    with db.transaction() as tx:
        tx.execute("DELETE FROM c")
        assert db.check().ok
    db.close()
    with pytest.raises(errors.ClosedError):
        db.check()


def test_a_checkpoint_moves_the_log(db, path, monkeypatch):
    """All of it; what it was is told."""
    db.execute("INSERT INTO c(x) VALUES (zeroblob(100000))")
    pages = db.stats().wal_pages
    assert db.checkpoint() == coeval.Checkpoint(pages, pages, True)
    assert os.stat(f"{path}-wal").st_size > 0
    assert db.checkpoint(truncate=True) == coeval.Checkpoint(pages, pages, True)
    assert os.stat(f"{path}-wal").st_size == 0
    assert db.checkpoint() == coeval.Checkpoint(0, 0, True)


@pytest.mark.parametrize("truncate", [False, True])
def test_a_reader_in_the_way_is_not_waited_for(db, foreign, truncate):
    """What could be moved was; complete says that it was not all."""
    db.checkpoint(truncate=True)
    db.execute("INSERT INTO c(x) VALUES ('first')")
    foreign.execute("BEGIN")
    foreign.execute("SELECT count(*) FROM c")
    first = db.stats().wal_pages
    db.execute("INSERT INTO c(x) VALUES ('second')")
    done = db.checkpoint(truncate=truncate)
    assert (first, False) == (done.moved, done.complete)
    assert done.pages > first
    foreign.execute("COMMIT")
    assert db.checkpoint(truncate=truncate).complete


def test_a_checkpoint_takes_its_turn(db):
    """It waits for the transaction of another thread, and in one's own it would for itself."""
    with db.transaction(), pytest.raises(errors.ReentryError):
        db.checkpoint()
    with db.snapshot(), pytest.raises(errors.ReentryError):
        db.checkpoint()
    done = []
    with db.transaction():
        thread = threading.Thread(target=lambda: done.append(db.checkpoint()))
        thread.start()
        wait_until(lambda: db.stats().queue == 1)
        assert done == []
    thread.join()
    assert done[0].complete


def test_a_turn_that_does_not_come_is_an_error(path):
    """As for every other call."""
    with coeval.open(path, timeout=0.05) as db:
        db.execute("CREATE TABLE t(x)")
        met = []

        def ask():
            try:
                db.checkpoint()
            except errors.Error as error:
                met.append(error)

        with db.transaction():
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
        assert [errors.LockTimeoutError] == list(map(type, met))


def test_a_file_open_for_reading_has_no_checkpoint(path, foreign):
    """It says so."""
    foreign.execute("PRAGMA journal_mode = WAL")
    foreign.execute("CREATE TABLE t(x)")
    foreign.disconnect()
    os.chmod(path, 0o444)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write everything")
    with coeval.open(path, coherence="clock") as db, pytest.raises(errors.NotWritableError):
        db.checkpoint()
