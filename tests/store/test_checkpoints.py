"""Checkpoints: made in the background, with the turn, by size and by age; never by a caller, and never where another does it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval import errors
from coeval.sqlite import checkpoint_policy, checkpoints, optimizing
from coeval.sqlite.checkpoint_policy import Step
from companion import Companion
from waiting import wait_until

from scale import scaled

FRAME = 4096 + 24
INSERT = "INSERT INTO t(x) VALUES (?)"


@pytest.fixture
def db(path):
    with coeval.open(path, durability="normal") as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        yield db


@pytest.fixture
def companion(path):
    started = []

    def start(**settings):
        started.append(Companion(path, **{"durability": "normal", **settings}))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def log_of(path: Path) -> int:
    """Pages for which the log's file has room; asked by name alone, which opens nothing."""
    try:
        return os.stat(f"{path}-wal").st_size // FRAME
    except FileNotFoundError:
        return 0


def store_of(db):
    return db._engine._store


def frames(db):
    return store_of(db).clock.frames()


def all_moved(db):
    return frames(db).moved == frames(db).pages


def much(db, rows=30_000):
    """One transaction of some 750 pages, of which a checkpoint is due at once, or as much as asked for."""
    db.executemany("INSERT INTO t(x) VALUES (zeroblob(100) || ?)", [(i,) for i in range(rows)])


def test_the_log_stays_under_a_thousand_pages(db, path):
    """While threads write as fast as they can."""
    longest = []

    def write():
        for i in range(scaled(100_000, 2_500)):
            db.execute(INSERT, i)
            if i % 10 == 0:
                longest.append(log_of(path))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 100 < max(longest) < 1000, [one for one in longest if one > 850]
    assert db.stats().checkpoints > 1


def test_no_commit_meets_a_checkpoint(db, companion, monkeypatch):
    """While a checkpoint is made the log's header stays as it is, though two processes commit as fast as they can."""
    make = checkpoints.Checkpoints.make
    before_and_after = []

    def watched(self, connection, step, **options):
        clock = store_of(db).clock
        before, pages = clock.raw(), clock.frames().pages
        made = make(self, connection, step, **options)
        if step is Step.PASSIVE:
            before_and_after.append((before, clock.raw(), pages))
        return made

    monkeypatch.setattr(checkpoints.Checkpoints, "make", watched)
    other = companion()
    seconds = scaled(600, 15) / 10
    other.send("write_for", INSERT, seconds)
    done = threading.Event()

    def write():
        while not done.is_set():
            db.execute(INSERT, 1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        written = other.receive(seconds + 30)
    finally:
        done.set()
        thread.join()
    assert written > 10
    assert len([pages for *_, pages in before_and_after if pages]) > 2
    assert [pages for before, after, pages in before_and_after if before != after] == []


def test_a_checkpoint_waits_for_another_process_s_turn(db, companion):
    """One is due here, and another process of ours has the turn: nothing is moved until it has passed it on."""
    other = companion(checkpoint="litestream")  # it makes none itself
    db.checkpoint(truncate=True)
    with db.transaction():
        other.send("many", "INSERT INTO t(x) VALUES (zeroblob(100) || ?)", 30_000)
    other.receive()
    other.ask("begin", "transaction")
    if frames(db).moved:  # ours was quicker between the two
        pytest.skip("the first turn was ours")
    ours = store_of(db).checkpoints
    ours.look()
    wait_until(lambda: store_of(db).writer.gate.queue == 1)
    assert frames(db).pages > 400
    assert [0] * 50 == [frames(db).moved for _ in range(50)]
    ours.look()
    assert frames(db).moved == 0
    other.ask("end")
    wait_until(lambda: all_moved(db))


def test_a_checkpoint_waits_for_the_turn_in_its_own_process(db):
    """As above, where a thread has it."""
    store = store_of(db)
    connection = store.writer.alone("a test")
    try:
        connection.raw.execute(
            "INSERT INTO t(x) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 30000) SELECT zeroblob(100) FROM c"
        )
        wait_until(lambda: store.writer.gate.queue == 1)
        assert frames(db).pages > 400
        assert [0] * 50 == [frames(db).moved for _ in range(50)]
    finally:
        store.writer.rollback()
    wait_until(lambda: all_moved(db))


def test_no_caller_makes_one(db, monkeypatch):
    """Each runs in a thread of Coeval's; commits have SQLite's own switched off."""
    makers = []
    make = checkpoints.Checkpoints.make

    def watched(self, *args, **options):
        makers.append(threading.current_thread().name)
        return make(self, *args, **options)

    monkeypatch.setattr(checkpoints.Checkpoints, "make", watched)
    assert db.scalar("PRAGMA wal_autocheckpoint") == 0
    with db.transaction() as tx:
        assert tx.scalar("PRAGMA wal_autocheckpoint") == 0
        much(db)
        assert frames(db).moved == 0
    wait_until(lambda: all_moved(db))
    assert {"coeval-checkpoints"} == set(makers)


def test_a_few_pages_are_moved_when_nobody_writes(db, monkeypatch):
    """By age, so that a file at rest is whole by itself."""
    much(db, 10)
    assert not all_moved(db)
    monkeypatch.setattr(checkpoint_policy, "QUIET", 0.05)
    wait_until(lambda: all_moved(db))


def test_a_log_that_was_long_is_shortened_when_nobody_writes(db, path, monkeypatch):
    """Its room is given back, though all in it was moved long ago."""
    much(db, 60_000)
    assert log_of(path) > 1000
    monkeypatch.setattr(checkpoint_policy, "QUIET", 0.05)
    wait_until(lambda: log_of(path) == 0)


def test_past_the_limit_the_log_is_shortened_at_once(path):
    """Without waiting until nobody writes."""
    with coeval.open(path, durability="normal", wal_limit="1MiB") as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        shorter = threading.Event()

        def write():
            while not shorter.is_set():
                db.execute(INSERT, 1)

        much(db)
        assert log_of(path) > 400
        thread = threading.Thread(target=write)
        thread.start()
        try:
            wait_until(lambda: 0 < log_of(path) < 400)
        finally:
            shorter.set()
            thread.join()


def test_readers_that_always_overlap_do_not_keep_it_from_starting_over(db):
    """There is a reader at every moment, though none for longer than some milliseconds."""
    readers = store_of(db).readers
    done, reading = threading.Event(), threading.Event()

    def read():
        last: Any = None
        while not done.is_set():
            connection = readers.hold()
            connection.run("BEGIN")
            connection.rows("SELECT count(*) FROM t WHERE id < 50", ())
            reading.set()
            done.wait(0.001)
            for one in (last,) if last is not None else ():
                one.run("COMMIT")
                readers.let_go(one)
            last = connection
        readers.discard(last)

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(30)
    starts = pages = i = 0
    try:
        while starts < scaled(100, 3) and pages < 15_000:  # past the limit it would be truncated
            i += 1
            db.execute(INSERT, i)
            starts += frames(db).pages < pages
            pages = frames(db).pages
    finally:
        done.set()
        reader.join()
    assert pages < 15_000


def test_an_attempt_that_fails_is_repeated(db, monkeypatch, caplog):
    """It is logged, and no caller hears of it."""
    make = checkpoints.Checkpoints.make
    fails = iter([True])

    def failing(self, *args, **options):
        if next(fails, False):
            raise errors.StorageError("the disk is sick")
        return make(self, *args, **options)

    monkeypatch.setattr(checkpoints.Checkpoints, "make", failing)
    much(db)
    wait_until(lambda: all_moved(db))
    assert "the disk is sick" in caplog.text


def test_a_slow_disk_holds_up_no_other_file(db, tmp_path, monkeypatch):
    """Each file has a thread of its own for it."""
    make = checkpoints.Checkpoints.make
    slow, go_on = threading.Event(), threading.Event()

    def stuck(self, *args, **options):
        if self is store_of(db).checkpoints:
            slow.set()
            assert go_on.wait(30)
        return make(self, *args, **options)

    monkeypatch.setattr(checkpoints.Checkpoints, "make", stuck)
    with coeval.open(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        try:
            much(db)
            assert slow.wait(30)
            much(other)
            wait_until(lambda: all_moved(other))
            assert not all_moved(db)
        finally:
            go_on.set()


def test_no_thread_is_left(path):
    """When a database is closed."""
    with coeval.open(path, durability="normal") as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        much(db)
        wait_until(lambda: all_moved(db))
        thread = store_of(db).checkpoints._thread
        assert thread is not None
    wait_until(lambda: not thread.is_alive())


def test_litestream_has_the_log_to_itself(path, monkeypatch, caplog):
    """Nothing is moved, by size, by age, past the limit or by closing; nobody is ended for it."""
    monkeypatch.setattr(checkpoint_policy, "QUIET", 0.0)
    with coeval.open(path, durability="normal", checkpoint="litestream", wal_limit="1MiB") as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        with db.snapshot():
            for _ in range(3):
                much(db)
                store_of(db).checkpoints.look()
        assert store_of(db).checkpoints._thread is None
        assert frames(db).moved == 0
        length = os.stat(f"{path}-wal").st_size
        assert length > 1000 * FRAME
    assert os.stat(f"{path}-wal").st_size == length
    assert caplog.text == ""


def test_litestream_truncates_alone(path):
    """Asked to, we refuse, and say why; without it the pages can be moved by hand."""
    with coeval.open(path, checkpoint="litestream") as db:
        db.execute("CREATE TABLE t(x)")
        with pytest.raises(errors.ConfigError, match="Litestream") as caught:
            db.checkpoint(truncate=True)
        assert "checkpoint=" in caught.value.hint
        assert db.checkpoint().complete


def test_a_file_that_is_not_ours_to_change_has_none(path, foreign):
    """Another's file in another mode stays in it."""
    foreign.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    with coeval.open(path, coherence="clock") as db:
        much(db)
        store_of(db).checkpoints.look()
        assert store_of(db).checkpoints._thread is None
        assert db.checkpoint() == coeval.Checkpoint(0, 0, True)
        assert not os.path.exists(f"{path}-wal")
    assert foreign.execute("PRAGMA journal_mode") == [("delete",)]


def test_without_the_header_it_goes_by_what_commits_tell(path):
    """As where the VFS gives no shared memory."""
    with coeval.open(path, durability="normal", commit_clock="data_version") as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        much(db)
        before = db.stats().wal_pages
        assert before > 400
        wait_until(lambda: db.stats().checkpoints)


# -- PRAGMA optimize ------------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(optimizing, "FIRST", 0.0)


def test_tables_are_counted_in_the_background(soon, path, foreign):
    """Once there is something to count; and everything is cached after it as before."""
    with coeval.open(path) as db:
        heard = []
        db.listen(lambda name, _: heard.append(name))
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t(x)")
        much(db, 1000)
        store_of(db).checkpoints._optimizing._next = 0.0  # it may have looked before there was anything
        wait_until(lambda: "optimized" in heard)
        assert [("t", "i")] == foreign.execute("SELECT tbl, idx FROM sqlite_stat1 WHERE tbl = 't'")
        sql = "SELECT count(*) FROM t"
        assert [1000] * 3 == [db.scalar(sql) for _ in range(3)]
        hits = db.stats().hits
        db.scalar(sql)
        assert db.stats().hits == hits + 1
        assert "verified" not in heard[heard.index("optimized") :]  # that was done with it
        foreign.execute("DELETE FROM t")
        assert db.scalar(sql) == 0


def test_where_nothing_is_to_count_nothing_is_written(path):
    """It is looked on a reader whether there is; nobody waits for a turn of its."""
    with coeval.open(path) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        much(db, 10)
        assert store_of(db).checkpoints._optimizing.run() is True
        turns = db.stats().turns
        assert store_of(db).checkpoints._optimizing.run() is False
        assert db.stats().turns == turns
        assert (("t",),) == db.query("SELECT tbl FROM sqlite_stat1")  # and nothing of ours


def test_a_program_that_writes_keeps_it_from_counting_and_not_the_other_way_round(path, foreign, caplog):
    """Where the lock is another's it gives up at once, and the turn is free again."""
    with coeval.open(path, timeout=1000) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t(x)")
        much(db, 1000)
        foreign.execute("BEGIN IMMEDIATE")
        assert store_of(db).checkpoints._optimizing.run() is False
        foreign.execute("COMMIT")
        db.execute(INSERT, 1)
        assert store_of(db).checkpoints._optimizing.run() is True


def test_short_programs_are_spared(path):
    """It is not due in the first seconds."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t(x)")
        much(db, 1000)
        assert not store_of(db).checkpoints._optimizing.due(time.monotonic() + 1)
        assert db.query("SELECT name FROM sqlite_schema WHERE name = 'sqlite_stat1'") == ()
