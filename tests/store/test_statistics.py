"""stats: every number is true, and costs nothing to ask for."""

from __future__ import annotations

import os
import threading

import pytest

import coeval
from store.behind import learn
from waiting import wait_until

from scale import scaled


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        yield db


def test_the_sizes_are_those_of_the_file(db, path, foreign):
    """As SQLite and the file system tell them to another program."""
    db.execute("INSERT INTO t(x) VALUES (zeroblob(100000))")
    db.execute("INSERT INTO t(x) VALUES (zeroblob(50000))")
    db.execute("DELETE FROM t WHERE id = 1")
    db.checkpoint()
    db.execute("UPDATE t SET x = 1")
    now = db.stats()
    for name in ("page_size", "page_count", "freelist_count"):
        foreign.execute(f"PRAGMA {name}")
    told = [foreign.execute(f"PRAGMA {name}")[0][0] for name in ("page_size", "page_count", "freelist_count")]
    assert told == [now.page_size, now.pages, now.free_pages]
    assert now.free_pages > 20
    assert os.stat(path).st_size == now.file_size
    assert os.stat(f"{path}-wal").st_size == now.wal_size
    assert 0 < now.wal_pages < now.wal_size // 4096
    db.vacuum()
    assert db.stats().free_pages == 0


def test_the_pages_of_the_log_are_counted(db):
    """Those in use; moving them does not change that, the commit after it does."""
    db.checkpoint(truncate=True)
    assert (0, 0) == (db.stats().wal_pages, db.stats().wal_size)
    db.execute("INSERT INTO t(x) VALUES (1)")
    pages = db.stats().wal_pages
    assert db.stats().wal_size == 32 + pages * (4096 + 24)
    db.checkpoint()
    assert db.stats().wal_pages == pages


def test_checkpoints_are_counted(db):
    """Those that moved all."""
    before = db.stats().checkpoints
    db.checkpoint()
    assert db.stats().checkpoints == before + 1


def test_turns_and_who_waits_for_them(db):
    """One for each write outside a transaction; who waits is in the queue, and its time is no one's hold."""
    before = db.stats()
    db.execute("INSERT INTO t(x) VALUES (1)")
    assert (before.turns + 1, 0) == (db.stats().turns, db.stats().queue)

    def insert():
        db.execute("INSERT INTO t(x) VALUES (2)")

    waiters = [threading.Thread(target=insert) for _ in range(3)]
    with db.transaction() as tx:
        tx.execute("INSERT INTO t(x) VALUES (3)")
        for waiter in waiters:
            waiter.start()
        wait_until(lambda: db.stats().queue == 3)
        during = db.stats()
    for waiter in waiters:
        waiter.join()
    after = db.stats()
    assert after.queue == 0
    assert during.waited == before.waited
    assert after.waited > 0 < after.longest_wait <= after.waited
    assert after.held > before.held
    assert 0 < after.longest_hold <= after.held


def test_batches_and_their_members_are_counted(db):
    """Those who waited together were made together."""
    learn(db, "INSERT INTO t(x) VALUES (2)")
    threads = [threading.Thread(target=lambda: db.execute("INSERT INTO t(x) VALUES (2)")) for _ in range(8)]
    before = db.stats()
    with db.transaction():
        for thread in threads:
            thread.start()
        wait_until(lambda: db.stats().queue == 8)
    for thread in threads:
        thread.join()
    after = db.stats()
    batches, members = after.batches - before.batches, after.members - before.members
    assert batches >= 1
    assert 2 * batches <= members <= 8
    assert after.turns - before.turns == 1 + batches + (8 - members)  # a batch is one turn


def test_it_answers_during_writes(db):
    """In the midst of a transaction of one's own, and while another thread writes."""
    done = threading.Event()

    def write():
        while not done.is_set():
            db.execute("INSERT INTO t(x) VALUES (1)")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = [db.stats().turns for _ in range(scaled(20_000, 200))]
        wait_until(lambda: db.stats().turns > seen[0])
    finally:
        done.set()
        thread.join()
    assert seen == sorted(seen)
    with db.transaction() as tx:
        tx.execute("DELETE FROM t")
        assert db.stats().pages > 0


def test_where_every_reader_is_in_use_nobody_is_waited_for(path):
    """What only a connection could tell is left open."""
    with coeval.open(path, readers=1, timeout=60) as db:
        db.execute("CREATE TABLE t(x)")
        with db.snapshot():
            now = db.stats()
            assert (None, None, None) == (now.page_size, now.pages, now.free_pages)
            assert now.file_size + now.wal_size > 0
        assert db.stats().page_size == 4096


def test_when_closed_the_counts_stay(db, path):
    """And what is asked of no connection."""
    db.execute("INSERT INTO t(x) VALUES (1)")
    writes = db.stats().writes
    db.close()
    now = db.stats()
    assert (writes, os.stat(path).st_size, None, 0) == (now.writes, now.file_size, now.pages, now.queue)
