"""Readers that keep the write-ahead log from shrinking past its limit: named, and ours ended with a clear error."""

from __future__ import annotations

import os
import threading
import time

import pytest

import coeval
from coeval import errors
from coeval.sqlite import checkpoints
from coeval.sqlite.pins import Pin, Pins
from companion import Companion, CompanionError
from waiting import PATIENCE, wait_until

from scale import scaled

LIMIT = 2**20
LONG = "WITH RECURSIVE c(i) AS (SELECT x FROM t WHERE id = 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1e12) SELECT count(*) FROM c"


@pytest.fixture
def grace(monkeypatch):
    """Snapshots of ours may be ended soon."""
    monkeypatch.setattr(checkpoints, "GRACE", 0.05)


@pytest.fixture
def db(path):
    with coeval.open(path, durability="normal", wal_limit=LIMIT) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        db.execute("INSERT INTO t(x) VALUES (1), (2), (3)")
        yield db


@pytest.fixture
def heard(db):
    """What was reported."""
    reports = []
    db.listen(lambda name, facts: reports.append(facts) if name == "pinned" else None)
    return reports


def log_size(db):
    return os.stat(f"{db.path}-wal").st_size


def past_the_limit(db):
    for _ in range(2):
        db.executemany("INSERT INTO t(x) VALUES (zeroblob(1000) || ?)", [(i,) for i in range(600)])
    assert log_size(db) > LIMIT


def shrinks(db):
    """True when the log can be shortened again."""
    wait_until(lambda: log_size(db) <= LIMIT, "the log is short")


def test_a_snapshot_is_ended(grace, db, heard, caplog):
    """Its next read says why and what to do; leaving it is no error, and its place in the pool is free."""
    with db.snapshot() as snapshot:
        assert snapshot.scalar("SELECT count(*) FROM t") == 3
        past_the_limit(db)
        shrinks(db)
        for _ in range(2):
            with pytest.raises(errors.SnapshotEndedError) as caught:
                snapshot.query("SELECT max(x) FROM t")
        assert "SELECT count(*) FROM t" in str(caught.value)
        assert "wal_limit" in caught.value.hint
    assert db._engine._store.readers.lent() == []
    (report,) = heard
    assert (os.getpid(), "SELECT count(*) FROM t", True) == (report["pid"], report["statement"], report["ended"])
    assert report["age"] >= 0.05
    assert report["pages"] > LIMIT // 4120
    assert "SELECT count(*) FROM t" in caplog.text
    assert db.scalar("SELECT count(*) FROM t") == 1203


def test_one_that_is_not_used_again_ends_in_peace(grace, db):
    """Whoever only leaves it hears of nothing."""
    with db.snapshot() as snapshot:
        assert snapshot.scalar("SELECT count(*) FROM t") == 3
        past_the_limit(db)
        shrinks(db)


def test_an_iterator_is_ended(grace, db, heard):
    """In the middle of its rows."""
    db.executemany("INSERT INTO t(x) VALUES (?)", [(i,) for i in range(5000)])
    rows = db.iterate("SELECT id FROM t")
    assert next(rows)[0] == 1
    past_the_limit(db)
    shrinks(db)
    with pytest.raises(errors.SnapshotEndedError, match="SELECT id FROM t"):
        list(rows)
    rows.close()
    assert db._engine._store.readers.lent() == []


def test_a_long_query_is_ended(grace, db):
    """In the middle of running, in whatever thread."""
    met = []

    def run():
        try:
            db.query(LONG)
        except errors.Error as error:
            met.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    readers = db._engine._store.readers
    wait_until(lambda: any(connection.statement == LONG for connection in readers.lent()))
    past_the_limit(db)
    thread.join(30)
    assert [errors.SnapshotEndedError] == list(map(type, met))
    shrinks(db)
    assert readers.lent() == []


def test_a_long_query_past_the_cache_is_ended(grace, path):
    """As above, without a cache: it is a single statement and no snapshot."""
    with coeval.open(path, durability="normal", wal_limit=LIMIT, cache=None) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        db.execute("INSERT INTO t(x) VALUES (1)")
        test_a_long_query_is_ended(None, db)
        assert db.scalar("SELECT x FROM t WHERE id = 1") == 1


def test_a_blob_is_ended(grace, db):
    """In the middle of reading."""
    with db.blob("t", "x", db.execute("INSERT INTO t(x) VALUES (zeroblob(10000))").lastrowid) as blob:
        assert len(blob.read(100)) == 100
        past_the_limit(db)
        shrinks(db)
        for use in (blob.read, blob.tell, blob.readall):
            with pytest.raises(errors.SnapshotEndedError):
                use()
    assert db._engine._store.readers.lent() == []


def test_a_cursor_of_the_other_interface_is_reported(grace, db, heard, caplog):
    """It is this process that is in the way, and none of the readers of its databases."""
    from coeval import dbapi

    connection = dbapi.connect(db.path)
    try:
        cursor = connection.execute("SELECT id FROM t")
        cursor.fetchone()
        past_the_limit(db)
        wait_until(lambda: heard)
        assert (os.getpid(), None, False) == (heard[0]["pid"], heard[0]["statement"], heard[0]["ended"])
        assert "coeval.dbapi" in caplog.text
        cursor.close()
        shrinks(db)
    finally:
        connection.close()


def test_a_young_snapshot_is_let_be(db, heard, monkeypatch):
    """As long as it may last."""
    monkeypatch.setattr(checkpoints, "GRACE", 1000.0)
    attempts = db._engine._store.checkpoints
    with db.snapshot() as snapshot:
        assert snapshot.scalar("SELECT count(*) FROM t") == 3
        past_the_limit(db)
        wait_until(lambda: attempts._times >= 3, "three attempts")
        assert snapshot.scalar("SELECT count(*) + 0 FROM t") == 3
    shrinks(db)
    assert heard == []


def test_another_program_is_named(grace, db, heard, foreign, caplog):
    """By its process; we cannot end it, and go on when it is done."""
    foreign.execute("BEGIN")
    foreign.execute("SELECT count(*) FROM t")
    past_the_limit(db)
    wait_until(lambda: heard)
    report = heard[0]
    assert (foreign.pid, None, False) == (report["pid"], report["statement"], report["ended"])
    assert f"process {foreign.pid}" in caplog.text
    assert log_size(db) > LIMIT
    db.execute("INSERT INTO t(x) VALUES (1)")  # nobody waits for it
    attempts = db._engine._store.checkpoints
    times = attempts._times
    wait_until(lambda: attempts._times > times + 1)
    assert len(heard) == 1  # it is not told again and again
    foreign.execute("COMMIT")
    shrinks(db)


def test_another_process_of_ours_ends_its_own(db, heard, foreign):
    """Each does, though it does nothing else at the time."""
    other = Companion(db.path, durability="normal", wal_limit=LIMIT)
    try:
        other.ask("begin", "snapshot")
        assert other.ask("scalar", "SELECT count(*) FROM t") == 3
        past_the_limit(db)
        shrinks(db)
        with pytest.raises(CompanionError, match="SnapshotEndedError"):
            other.ask("scalar", "SELECT max(x) FROM t")
    finally:
        other.kill()


def test_one_that_is_stopped_is_named(db, heard):
    """It cannot end its own; when it goes on, it does."""
    other = Companion(db.path, durability="normal", wal_limit=LIMIT)
    try:
        other.ask("begin", "snapshot")
        other.ask("scalar", "SELECT count(*) FROM t")
        other.pause()
        past_the_limit(db)
        wait_until(lambda: heard)
        assert other.pid == heard[0]["pid"]
        assert log_size(db) > LIMIT
        other.resume()
        shrinks(db)
    finally:
        other.resume()
        other.kill()


def test_one_that_is_killed_pins_nothing(db, heard):
    """Its locks are gone with it."""
    other = Companion(db.path, durability="normal", wal_limit=LIMIT)
    other.ask("begin", "snapshot")
    other.ask("scalar", "SELECT count(*) FROM t")
    other.pause()
    past_the_limit(db)
    wait_until(lambda: heard)
    other.kill()
    shrinks(db)


def test_many_commits_beside_an_idle_reader(path):
    """The log grows past its limit while the reader is young, and is within it when that was ended."""
    with coeval.open(path, durability="normal", wal_limit=LIMIT) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        with db.snapshot() as snapshot:
            snapshot.scalar("SELECT count(*) FROM t")
            for i in range(scaled(100_000, 4_000)):
                db.execute("INSERT INTO t(x) VALUES (zeroblob(500) || ?)", i)
            shrinks(db)
            with pytest.raises(errors.SnapshotEndedError):
                snapshot.scalar("SELECT max(id) FROM t")
        for i in range(1000):
            db.execute("INSERT INTO t(x) VALUES (?)", i)
        shrinks(db)


def test_a_statement_that_ended_before_it_was_interrupted_is_acquitted(db):
    """Its connection is as good as any other, and an error on it is what it is."""
    store = db._engine._store
    pins = Pins(store.path, store.readers)
    connection = store.readers.take()
    connection.rows("SELECT 1", ())
    (pin,) = pins.look()
    assert (True, "SELECT 1") == (pin.own, pin.statement)
    assert pins.end(Pin(pin.pid, 2.0, pin.statement, connection), 1.0)
    assert connection.ended is not None
    store.readers.give_back(connection)
    assert not any(pin.own for pin in pins.look())
    assert connection.ended is None
    assert db.scalar("SELECT count(*) FROM t") == 3


def test_one_who_reads_again_and_again_is_never_old(db):
    """Each statement has an age of its own."""
    store = db._engine._store
    pins = Pins(store.path, store.readers)
    connection = store.readers.take()
    connection.rows("SELECT 1", ())
    (pin,) = pins.look()
    connection.rows("SELECT 1", ())
    assert not pins.end(Pin(pin.pid, 2.0, pin.statement, connection), 1.0)
    assert connection.ended is None
    store.readers.give_back(connection)


def test_readers_come_and_go_while_they_are_ended(db, monkeypatch):
    """Whoever is hit at whatever moment hears that error and no other, and no connection is lost."""
    monkeypatch.setattr(checkpoints, "GRACE", 0.0)
    monkeypatch.setattr(
        checkpoints.Checkpoints, "_plan", lambda *_args, **_options: checkpoints.Plan(checkpoints.Step.TRUNCATE)
    )
    monkeypatch.setattr(checkpoints.Checkpoints, "wal", lambda _self: checkpoints.Wal(20_000, 0, 1 << 30, 4096))
    done = threading.Event()
    ended, other = [], []

    def read(kind):
        while not done.is_set():
            try:
                if kind == "snapshot":
                    with db.snapshot() as snapshot:
                        for n in range(20):
                            snapshot.query("SELECT count(*) FROM t WHERE id > ?", n)
                elif kind == "iterate":
                    for _row in db.iterate("SELECT a.id FROM t AS a, t AS b, t AS c"):
                        pass
                else:
                    db.query("SELECT count(*) FROM t AS a, t AS b WHERE random() > ?", 0)
            except errors.SnapshotEndedError as error:
                ended.append(error)
            except BaseException as error:
                other.append(error)
                raise

    threads = [threading.Thread(target=read, args=(kind,)) for kind in ("snapshot", "iterate", "query") * 2]
    for thread in threads:
        thread.start()
    try:
        i = 0
        end = time.monotonic() + PATIENCE
        while len(ended) < scaled(2_000, 60) and not other and time.monotonic() < end:
            i += 1
            db.execute("INSERT INTO t(x) VALUES (?)", i) if i < 30 else db.execute("UPDATE t SET x = ? WHERE id = 1", i)
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert other == []
    assert len(ended) > 50
    assert db._engine._store.readers.lent() == []
    assert db.scalar("SELECT count(*) FROM t") > 3
