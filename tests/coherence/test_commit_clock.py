"""The commit clock proves what it says, or says nothing (holes 8 and 26)."""

from __future__ import annotations

import contextlib
import os
import threading

import apsw
import pytest

import coeval
from coeval.sqlite.commit_clock import HeaderClock, Unavailable, VersionClock
from coherence.asking import cached, keep

from processes import ForeignError

READ = "SELECT v FROM t"


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (0)")
    return db


@pytest.mark.parametrize("clock", ["header", "data_version"])
def test_checkpoints_of_every_kind_hide_no_commit(open_db, start_foreign, clock):
    """Hole 8: a checkpoint moves the header or starts the WAL anew; the commit after it is seen all the same."""
    db = open_db(commit_clock=clock)
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (0)")
    foreign = start_foreign()
    value = 0
    for _ in range(3):
        for kind in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
            keep(db, READ)
            foreign.execute(f"PRAGMA wal_checkpoint({kind})")
            assert ((value,),) == keep(db, READ)
            value += 1
            foreign.execute("UPDATE t SET v = ?", value)
            assert ((value,),) == cached(db, READ)
            foreign.execute(f"PRAGMA wal_checkpoint({kind})")
            assert ((value,),) == cached(db, READ)


@pytest.mark.parametrize("clock", ["header", "data_version"])
def test_a_program_that_only_reads_gets_hits_by_the_clock(path, open_db, start_foreign, clock):
    """Hole 26: after a clean close the salts are zero; an opened file gives hits all the same, and stays right."""
    with coeval.open(path) as first:
        first.script("CREATE TABLE t (v); INSERT INTO t VALUES (0)")
    assert not os.path.exists(f"{path}-wal")
    db = open_db(commit_clock=clock)
    assert ((0,),) == keep(db, READ)
    start_foreign().execute("UPDATE t SET v = 1")
    assert ((1,),) == cached(db, READ)


def test_a_header_with_zero_salts_proves_nothing(path, start_foreign):
    """Hole 8: such a header can repeat; the clock says None for it, which equals no mark, and bytes from the first commit on."""
    foreign = start_foreign()
    foreign.script("PRAGMA journal_mode = WAL; CREATE TABLE t (v)")
    foreign.disconnect()
    connection = apsw.Connection(os.fspath(path))
    connection.execute("SELECT count(*) FROM t").fetchall()
    clock = HeaderClock(connection)
    assert clock.read() is None
    foreign.execute("INSERT INTO t VALUES (1)")
    first = clock.read()
    assert first is not None
    foreign.execute("INSERT INTO t VALUES (1)")
    assert clock.read() not in {None, first}
    clock.close()


@pytest.mark.parametrize("mode", ["DELETE", "MEMORY", "exclusive"])
def test_where_there_is_no_header(path, mode):
    """Hole 8: in rollback mode and with exclusive locking there is none to be had, and it is said."""
    connection = apsw.Connection(os.fspath(path))
    if mode == "exclusive":
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.execute(f"PRAGMA journal_mode = {'WAL' if mode == 'exclusive' else mode}").fetchall()
    connection.execute("CREATE TABLE t (v)")
    with pytest.raises(Unavailable):
        HeaderClock(connection)
    connection.close()


@pytest.mark.parametrize("kind", [HeaderClock, VersionClock])
def test_a_closed_clock_raises_and_does_not_crash(path, start_foreign, kind):
    """Hole 8: readers in other threads meet ValueError when it is closed under them, never a fault."""
    foreign = start_foreign()
    foreign.script("PRAGMA journal_mode = WAL; CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    connection = apsw.Connection(os.fspath(path))
    connection.execute("SELECT count(*) FROM t").fetchall()
    clock = kind(connection)
    started = threading.Barrier(4)
    met: list[BaseException] = []

    def read() -> None:
        started.wait(30)
        try:
            while True:
                clock.raw()
        except ValueError as error:
            met.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait(30)
    clock.close()
    for thread in threads:
        thread.join(30)
    assert 3 == len(met)


def test_the_journal_mode_is_not_ours_to_change(db):
    """Hole 8: it would take the mapping away; refused in every spelling, by every call."""
    for sql in ("PRAGMA journal_mode = DELETE", "pragma main.Journal_Mode(memory)", "PRAGMA locking_mode = EXCLUSIVE"):
        for call in (db.query, db.execute, db.script):
            with pytest.raises(coeval.errors.SQLError):
                call(sql)
    assert ((0,),) == keep(db, READ)


def test_another_program_cannot_change_it_while_we_are_there(db, foreign):
    """Hole 8: the pinned connection holds the file in its mode."""
    keep(db, READ)
    with contextlib.suppress(ForeignError):  # some versions refuse, others answer with the mode that stays
        assert [("wal",)] == foreign.execute("PRAGMA journal_mode = DELETE")
    assert [("wal",)] == foreign.execute("PRAGMA journal_mode")
    foreign.execute("UPDATE t SET v = 1")
    assert ((1,),) == cached(db, READ)


def test_a_closed_database_finds_nothing(db):
    """A hit needs an open clock: after close the cached result is not served."""
    keep(db, READ)
    db.close()
    with pytest.raises(coeval.errors.ClosedError):
        db.query(READ)


def test_closing_and_opening_again_keeps_no_old_result(path, foreign):
    """The engine ends with its last face; the next one starts empty and right."""
    for value in range(1, 6):
        with coeval.open(path) as db:
            db.script("CREATE TABLE IF NOT EXISTS t (v); DELETE FROM t; INSERT INTO t VALUES (0)")
            keep(db, READ)
        foreign.execute("UPDATE t SET v = ?", value)
        foreign.disconnect()
        with coeval.open(path) as db:
            assert ((value,),) == cached(db, READ)
        foreign.disconnect()


def test_the_standard_module_is_refused_the_file_in_this_process(db, path):
    """Hole 19: a second SQLite here would drop our locks when it closes."""
    import sqlite3

    with pytest.raises(coeval.errors.SecondLibraryError):
        sqlite3.connect(path)
    assert ((0,),) == keep(db, READ)
