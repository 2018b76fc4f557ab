"""The file's contents are replaced: by a restore through us, or by another file under its name (hole 9)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import coeval
import coeval.housekeeper as housekeeper_module
from coeval.sqlite import guard
from coherence.asking import Pause, cached, keep, plain, truth
from coherence.neighbour import Neighbour

READ = "SELECT v FROM t ORDER BY v"
NOTICED = 1.0  #: seconds, as promised


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    return db


@pytest.fixture
def copy(path: Path) -> Path:
    """Where a copy goes."""
    return path.with_suffix(".copy")


def wait_for(db: coeval.Database, expected: tuple[tuple[object, ...], ...], read: str = READ) -> float:
    """Read until the answer is the new file's; seconds that it took. Reads between may be the old file's, and never fail."""
    begun = time.monotonic()
    while cached(db, read) != expected:
        assert time.monotonic() - begun < 10 * NOTICED, f"never noticed: {cached(db, read)}"
    return time.monotonic() - begun


def replace(copy: Path, path: Path) -> None:
    """Put the copy in the file's place as one must: with nothing left of the old one's WAL, and that of the new one untouched.

    Whoever has the file open may notice at once, and have a new WAL there already.
    """
    log = guard.identity_of(f"{path}-wal")
    os.replace(copy, path)
    guard.remove_orphans(str(path), log)


# -- through us ------------------------------------------------------------------------------------------------------


def test_an_older_copy_restored(db, copy, foreign, neighbour: Neighbour):
    """Entries from before the restore are gone, here and in the neighbour's memory, from the next read on."""
    foreign.execute(f"VACUUM INTO '{copy}'")
    for value in (5, 6):
        db.execute("UPDATE t SET v = ?", value)
        keep(db, READ)
        assert [[value]] == neighbour.query(READ)
        db.restore(copy)
        assert ((1,),) == cached(db, READ)
        assert [[1]] == neighbour.query(READ)
        foreign.execute("UPDATE t SET v = 2")
        assert ((2,),) == cached(db, READ)
        assert [[2]] == neighbour.query(READ)


def test_a_restore_by_the_neighbour(db, copy, foreign, neighbour: Neighbour):
    """The same the other way round."""
    foreign.execute(f"VACUUM INTO '{copy}'")
    db.execute("UPDATE t SET v = 5")
    keep(db, READ)
    neighbour.call("restore", str(copy))
    assert ((1,),) == cached(db, READ)
    neighbour.execute("UPDATE t SET v = 7")
    assert ((7,),) == cached(db, READ)


def test_a_copy_with_another_schema(db, copy, start_foreign):
    """The restored file has other tables, a view in a table's place, and no triggers of ours."""
    other = start_foreign(copy)
    other.script("CREATE TABLE base (v); INSERT INTO base VALUES (70); CREATE VIEW t AS SELECT v + 1 AS v FROM base")
    other.kill()
    keep(db, READ)
    db.restore(copy)
    assert ((71,),) == keep(db, READ)
    start_foreign().execute("UPDATE base SET v = 80")
    assert ((81,),) == cached(db, READ)


def test_a_restore_in_the_middle_of_a_read(db, copy, foreign):
    """A read that began before ends with the old rows, and nobody is served them afterwards."""
    pause = Pause()
    db.create_function("pause", pause, 1, deterministic=True)
    read = "SELECT pause(v) FROM t"
    foreign.execute(f"VACUUM INTO '{copy}'")
    db.execute("UPDATE t SET v = 5")
    load = pause.stop(lambda: cached(db, read))
    db.restore(copy)
    pause.go()
    assert ((5,),) == load.result()
    assert ((1,),) == cached(db, read)


def test_the_same_copy_twice_with_writes_between(db, copy, foreign):
    """Stamps of the copy come back with it; entries made of other contents do not."""
    foreign.execute(f"VACUUM INTO '{copy}'")
    for write in ("UPDATE t SET v = 2", "DELETE FROM t", "INSERT INTO t VALUES (9)"):
        foreign.execute(write)
        keep(db, READ)
        db.restore(copy)
        assert ((1,),) == keep(db, READ) == truth(db, READ)


# -- by renaming -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["header", "data_version"])
def test_a_file_renamed_over_is_noticed_within_a_second(path, copy, open_db, start_foreign, clock):
    """Reads go on, soon with the new file's rows; then its commits are seen by the next read."""
    db = open_db(commit_clock=clock)
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    first = start_foreign()
    first.execute(f"VACUUM INTO '{copy}'")
    first.kill()
    other = start_foreign(copy)
    other.execute("UPDATE t SET v = 77")
    other.kill()
    keep(db, READ)
    replace(copy, path)
    assert NOTICED > wait_for(db, ((77,),))
    assert 1 == db.stats().reopened
    again = start_foreign()
    for value in (78, 79):
        keep(db, READ)
        again.execute("UPDATE t SET v = ?", value)
        assert ((value,),) == cached(db, READ)
    db.execute("UPDATE t SET v = 80")
    assert [(80,)] == again.execute(READ)


def test_two_copies_that_reach_one_schema_version_renamed_over(db, path, copy, start_foreign):
    """Hole 4: the copy reached the original's schema_version by other DDL, its triggers are gone, and it takes the name."""
    first = start_foreign()
    first.execute(f"VACUUM INTO '{copy}'")
    db.script("CREATE TABLE n (v)")
    goal = first.execute("PRAGMA schema_version")[0][0]
    first.kill()
    other = start_foreign(copy)
    for event in ("insert", "update", "delete"):
        other.execute(f"DROP TRIGGER _coeval_{event}_1")
    while (version := other.execute("PRAGMA schema_version")[0][0]) < goal:
        other.execute(f"CREATE TABLE x{version} (v)")
    other.execute("UPDATE t SET v = 99")
    other.kill()
    keep(db, READ)
    replace(copy, path)
    wait_for(db, ((99,),))
    again = start_foreign()
    assert goal <= again.execute("PRAGMA schema_version")[0][0]
    for value in (100, 101):
        keep(db, READ)
        again.execute("UPDATE t SET v = ?", value)
        assert ((value,),) == cached(db, READ)


def test_an_older_copy_renamed_over_makes_only_true_entries_valid(db, path, copy, start_foreign):
    """The copy has the stamps of its time: entries of that time may be served, those of later times not."""
    foreign = start_foreign()
    keep(db, READ)
    foreign.execute(f"VACUUM INTO '{copy}'")
    foreign.execute("INSERT INTO t VALUES (2)")
    keep(db, READ)
    foreign.kill()
    replace(copy, path)
    wait_for(db, ((1,),))
    assert ((1,),) == keep(db, READ) == truth(db, READ)


def test_readers_and_a_snapshot_open_while_the_file_is_replaced(db, path, copy, start_foreign):
    """Threads that read all the time get the old rows or the new, in this order; an open snapshot keeps its own."""
    foreign = start_foreign()
    foreign.execute(f"VACUUM INTO '{copy}'")
    foreign.kill()
    other = start_foreign(copy)
    other.execute("UPDATE t SET v = 2")
    other.kill()
    seen: list[list[object]] = [[], []]
    ended = threading.Event()
    failed: list[BaseException] = []

    def read(into: list[object]) -> None:
        try:
            while not ended.is_set():
                value = db.query(READ)[0][0]
                if not into or into[-1] != value:
                    into.append(value)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=read, args=(into,)) for into in seen]
    with db.snapshot() as snap:
        for thread in threads:
            thread.start()
        replace(copy, path)
        begun = time.monotonic()
        while not all(into[-1:] == [2] for into in seen) and not failed and time.monotonic() - begun < 10:
            assert ((1,),) == plain(snap.query(READ))
    ended.set()
    for thread in threads:
        thread.join(30)
    assert [] == failed
    assert all(into in ([1, 2], [2]) for into in seen), seen
    assert ((2,),) == cached(db, READ)


def test_a_file_that_is_gone_and_comes_back(db, path, copy, start_foreign):
    """While there is no file reads fail with the reason; when it is back they go on."""
    foreign = start_foreign()
    foreign.execute(f"VACUUM INTO '{copy}'")
    foreign.kill()
    keep(db, READ)
    for suffix in ("", "-wal", "-shm"):
        os.unlink(f"{path}{suffix}")
    begun = time.monotonic()
    failed: coeval.Error | None = None
    while failed is None and time.monotonic() - begun < 10 * NOTICED:
        try:
            cached(db, READ)
        except coeval.Error as error:
            failed = error
    assert isinstance(failed, coeval.errors.OpenError)
    assert "gone" in str(failed)
    assert time.monotonic() - begun < NOTICED
    os.replace(copy, path)
    assert ((1,),) == cached(db, READ)


def test_a_plain_rename_that_leaves_the_old_log_behind(path, tmp_path):
    """As `mv` does it: the new file's contents are served, written, and still there after everything was closed."""
    new = tmp_path / "new.db"
    with coeval.open(new) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (0)")
        assert 0 == db.scalar("SELECT v FROM t") == db.scalar("SELECT v FROM t")
        os.rename(new, path)
        assert Path(f"{path}-wal").exists()
        assert (
            1 == db.execute("UPDATE t SET v = v + 10").rowcount
        )  # notices at once: a write to the old file would be lost
        assert 11 == db.scalar("SELECT v FROM t")
        db.execute("INSERT INTO t VALUES (2)")
    program = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT v FROM t ORDER BY v').fetchall())"
    )
    said = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
    assert "[(2,), (11,)]" == said.strip()


def test_a_plain_rename_is_noticed_within_a_second(path, tmp_path):
    """By a program that only reads, without the old log being removed by hand."""
    new = tmp_path / "new.db"
    with coeval.open(new) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (0)")
        assert 0 == db.scalar("SELECT v FROM t") == db.scalar("SELECT v FROM t")
        os.rename(new, path)
        end = time.monotonic() + 1
        while db.scalar("SELECT v FROM t") == 0 and time.monotonic() < end:
            pass
        assert 1 == db.scalar("SELECT v FROM t")


def test_a_new_reader_before_the_rename_is_noticed(path, tmp_path, monkeypatch):
    """It would find the old file's log beside the new file, and apply it; instead it notices."""
    monkeypatch.setattr(housekeeper_module, "INTERVAL", 3600.0)
    new = tmp_path / "new.db"
    with coeval.open(new) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES ('new')")
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v)")
        db.executemany("INSERT INTO t VALUES (?)", [(f"old {n}",) for n in range(50)])
        first = db.iterate("SELECT v FROM t")
        assert "old 0" == next(first)[0]
        os.rename(new, path)
        assert ("new",) == tuple(next(db.iterate("SELECT v FROM t")))
        first.close()
        assert ["new"] == [v for (v,) in db.query("SELECT v FROM t")]
    program = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT v FROM t').fetchall())"
    said = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
    assert "[('new',)]" == said.strip()


def test_the_old_file_s_last_connection_leaves_the_new_log_alone(path, tmp_path):
    """SQLite deletes a -wal by its name when the last connection closes; by then the name is the new file's."""
    new = tmp_path / "new.db"
    with coeval.open(new) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (0)")
        old = db.iterate("SELECT v FROM t")
        assert 0 == next(old)[0]  # keeps a connection to the old file open
        os.rename(new, path)
        db.execute("INSERT INTO t VALUES (2)")  # into the new file's log
        log = os.stat(f"{path}-wal").st_ino
        old.close()
        end = time.monotonic() + 10
        while db._engine._retired and time.monotonic() < end:
            time.sleep(0.01)
        assert [] == db._engine._retired
        assert log == os.stat(f"{path}-wal").st_ino
        program = (
            "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT v FROM t ORDER BY v').fetchall())"
        )
        said = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
        assert "[(1,), (2,)]" == said.strip()
