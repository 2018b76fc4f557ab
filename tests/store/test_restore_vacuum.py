"""restore and vacuum: the contents are another's, or lie elsewhere, and no cached result is wrong for it."""

from __future__ import annotations

import threading

import pytest

import coeval
from coeval import errors

SQL = "SELECT x FROM t WHERE id = 1"


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 'old')")
        yield db


@pytest.fixture
def backup(db, path, tmp_path, foreign):
    """A copy of the file as it was, made by SQLite's own VACUUM INTO; afterwards the file has moved on."""
    copy = tmp_path / "backups" / "copy.db"
    copy.parent.mkdir()
    foreign.execute("VACUUM INTO ?", str(copy))
    db.execute("UPDATE t SET x = 'new'")
    return copy


def listing(folder):
    return {name.name: name.read_bytes() for name in folder.iterdir() if name.is_file()}


def test_the_old_contents_are_there_when_it_returns(db, backup, foreign):
    """Here and in other programs, cached or not, and durable."""
    assert "new" == db.scalar(SQL) == db.scalar(SQL)
    db.restore(backup)
    assert ["old"] * 3 == [db.scalar(SQL) for _ in range(3)]
    assert [("old",)] == foreign.execute(SQL)
    db.execute("UPDATE t SET x = 'newer'")
    assert ["newer"] * 3 == [db.scalar(SQL) for _ in range(3)]


def test_the_source_is_left_as_it_was(db, backup):
    """Byte for byte, with nothing left beside it, nor beside the database."""
    before = listing(backup.parent)
    names = {name.name for name in backup.parent.parent.iterdir()}
    db.restore(backup)
    assert before == listing(backup.parent)
    assert names == {name.name for name in backup.parent.parent.iterdir()}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_source_that_is_plain_sqlite(db, tmp_path, start_foreign, mode):
    """A file that never had anything of ours gets it on the way in, and itself stays as it is."""
    folder = tmp_path / "plain"
    folder.mkdir()
    plain = start_foreign(folder / "plain.db")
    plain.execute(f"PRAGMA journal_mode = {mode}")
    plain.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 'plain'); CREATE TABLE more(y)")
    plain.disconnect()
    before = listing(folder)
    assert "old" == db.scalar(SQL)
    db.restore(folder / "plain.db")
    assert before == listing(folder)
    assert ["plain"] * 3 == [db.scalar(SQL) for _ in range(3)]
    assert "stamps" == db.explain(SQL).validity == db.explain("SELECT * FROM more").validity
    assert "wal" == db.scalar("PRAGMA journal_mode")


@pytest.mark.parametrize("page_size", [512, 1024, 16384])
def test_a_source_of_another_page_size(db, tmp_path, start_foreign, page_size):
    """Pages of another size are converted."""
    plain = start_foreign(tmp_path / "plain.db")
    plain.execute(f"PRAGMA page_size = {page_size}")
    plain.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 'plain')")
    db.restore(tmp_path / "plain.db")
    assert ("plain", 4096, "ok") == (db.scalar(SQL), db.scalar("PRAGMA page_size"), db.scalar("PRAGMA integrity_check"))


def test_back_and_forth(db, backup, scaled):
    """Restored again and again, with writes between, no read is ever of the wrong side."""
    for n in range(scaled(200, 10)):
        db.execute("UPDATE t SET x = ?", n)
        assert [n, n] == [db.scalar(SQL), db.scalar(SQL)]
        db.restore(backup)
        assert ["old", "old"] == [db.scalar(SQL), db.scalar(SQL)]


def test_a_copy_that_moved_on_by_itself(db, backup, start_foreign):
    """A copy with the same number of changes and other contents is told apart (hole 4)."""
    copy = start_foreign(backup)
    copy.execute("UPDATE t SET x = 'elsewhere'")
    copy.disconnect()
    assert ["new"] * 2 == [db.scalar(SQL) for _ in range(2)]
    db.restore(backup)
    assert ["elsewhere"] * 2 == [db.scalar(SQL) for _ in range(2)]


def test_readers_and_writers_beside_it(db, backup, scaled):
    """Threads that read meanwhile see the one or the other, whole."""
    done = threading.Event()
    failures = []

    def read():
        try:
            while not done.is_set():
                assert db.scalar(SQL) in {"old", "new"}
                with db.snapshot() as snap:
                    assert snap.scalar(SQL) == snap.scalar("SELECT max(x) FROM t")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(scaled(100, 8)):
            db.restore(backup)
            db.execute("UPDATE t SET x = 'new'")
            db.vacuum()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert [] == failures


def test_a_damaged_source(db, backup):
    """It is refused before anything is touched."""
    content = bytearray(backup.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    backup.write_bytes(content)
    with pytest.raises(errors.DamagedError, match="copy") as caught:
        db.restore(backup)
    assert caught.value.hint
    assert "new" == db.scalar(SQL)
    assert content == backup.read_bytes()


def test_it_is_refused_in_a_unit(db, backup):
    """Inside a transaction or snapshot it would wait for itself."""
    for unit in (db.transaction, db.snapshot):
        with unit(), pytest.raises(errors.ReentryError):
            db.restore(backup)
        with unit(), pytest.raises(errors.ReentryError):
            db.vacuum()
    assert "new" == db.scalar(SQL)


def test_vacuum_makes_the_file_smaller(db, path):
    """Free pages go, rows stay, and the next reads are right."""
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, "x" * 1000) for i in range(2, 2000)])
    db.execute("DELETE FROM t WHERE id > 1")
    before = db.scalar("PRAGMA page_count")
    assert "old" == db.scalar(SQL)
    db.vacuum()
    assert before / 10 > db.scalar("PRAGMA page_count")
    assert ["old", "old"] == [db.scalar(SQL), db.scalar(SQL)]
    assert "ok" == db.scalar("PRAGMA integrity_check")


def test_vacuum_renumbers_implicit_rowids(path):
    """A cached result with implicit rowids is made anew after VACUUM (hole 16)."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES ('a'), ('b'), ('c'); DELETE FROM t WHERE x = 'a'")
        sql = "SELECT rowid, x FROM t ORDER BY x"
        assert ((2, "b"), (3, "c")) == db.query(sql) == db.query(sql)
        db.vacuum()
        assert tuple(db.iterate(sql)) == db.query(sql) == db.query(sql)


@pytest.mark.parametrize("call", ["vacuum", "restore"])
def test_they_wait_for_another_programs_lock(db, backup, foreign, call):
    """A lock that another program holds is waited for as long as any write waits, also after DDL was noticed."""
    foreign.execute("CREATE TABLE noticed(x)")
    db.query("SELECT * FROM noticed")
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("INSERT INTO noticed VALUES (1)")
    failures = []

    def work():
        try:
            db.vacuum() if call == "vacuum" else db.restore(backup)
        except errors.Error as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive(), failures
    foreign.execute("COMMIT")
    thread.join()
    assert [] == failures
    assert ("new" if call == "vacuum" else "old") == db.scalar(SQL)


def test_vacuum_as_a_statement_is_refused(db, tmp_path):
    """It names the call that does it, and VACUUM INTO writes no file behind the library's back."""
    with pytest.raises(errors.SQLError, match="VACUUM") as caught:
        db.execute("VACUUM")
    assert "vacuum()" in caught.value.hint
    with pytest.raises(errors.SQLError):
        db.execute("VACUUM INTO ?", str(tmp_path / "copy.db"))
    assert not (tmp_path / "copy.db").exists()


def test_vacuum_waits_for_a_lock_after_a_verification_that_did_not(db, foreign):
    """Verifying the triggers waits for nobody, and leaves the writer's patience as it found it."""
    foreign.execute("CREATE TABLE u(x)")
    assert "old" == db.scalar(SQL)  # verifies, without waiting
    assert 2 <= db.stats().verifications
    foreign.execute("BEGIN IMMEDIATE")
    failed = []

    def vacuum():
        try:
            db.vacuum()
        except errors.Error as error:
            failed.append(error)

    thread = threading.Thread(target=vacuum)
    thread.start()
    while db._engine._store.writer.gate._holder is None and thread.is_alive():
        pass
    thread.join(0.05)
    foreign.execute("COMMIT")
    thread.join(30)
    assert [] == failed
