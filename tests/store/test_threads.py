"""Threads on one database: no error, no lost row, turns in order of arrival, and a time-out that names the holder."""

from __future__ import annotations

import contextlib
import contextvars
import os
import re
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

import coeval
from coeval import errors
from coeval.sqlite import gate as gates
from coeval.sqlite.gate import Gate

PATIENCE = 30.0


@pytest.fixture
def db(path):
    with coeval.open(path, durability="normal") as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, who, n); CREATE TABLE counter(n)")
        db.execute("INSERT INTO counter VALUES (0)")
        yield db


def elsewhere(work):
    """Do it in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def eventually(condition):
    """Wait until `condition` holds, which another thread brings about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.001)


def together(*work):
    """Run all of these at once, each in a thread; what they raised."""
    barrier = threading.Barrier(len(work))

    def run(one):
        barrier.wait(PATIENCE)
        one()

    with ThreadPoolExecutor(len(work)) as pool:
        return [error for error in (future.exception() for future in [pool.submit(run, one) for one in work]) if error]


def waiting(db):
    """How many writers wait for their turn."""
    return len(db._engine.store().writer.gate._waiting)


def test_many_threads_read_and_write(db, scaled):
    """Every acknowledged row is there once, and each thread's cached reads see its own last write."""
    rounds = scaled(1_000, 40)

    def work(who):
        def run():
            for n in range(rounds):
                db.execute("INSERT INTO t(who, n) VALUES (?, ?)", who, n)
                assert n + 1 == db.scalar("SELECT count(*) FROM t WHERE who = ?", who)
                db.query("SELECT max(n) FROM t")
                with db.transaction() as tx:
                    tx.execute("UPDATE counter SET n = ?", tx.scalar("SELECT n FROM counter") + 1)

        return run

    assert [] == together(*(work(who) for who in range(8)))
    assert 8 * rounds == db.scalar("SELECT count(*) FROM t") == db.scalar("SELECT n FROM counter")
    assert 8 * rounds == db.scalar("SELECT count(DISTINCT who || ' ' || n) FROM t")
    assert "ok" == db.scalar("PRAGMA integrity_check")


def test_no_reader_ever_goes_back(db, scaled):
    """A counter that only grows never shrinks in anybody's eyes, and never lags behind what was acknowledged before."""
    acknowledged = [0]
    done = threading.Event()

    def write():
        for n in range(1, scaled(3_000, 200)):
            db.execute("UPDATE counter SET n = ?", n)
            acknowledged[0] = n
        done.set()

    def read():
        while not done.is_set():
            known = acknowledged[0]
            assert known <= db.scalar("SELECT n FROM counter")
            known = acknowledged[0]
            with db.snapshot() as snap:
                first = snap.scalar("SELECT n FROM counter")
                assert known <= first == snap.scalar("SELECT max(n) FROM counter")

    assert [] == together(write, read, read, read)


def test_a_rolled_back_transaction_is_never_seen(db, scaled):
    """Threads that read while another writes and rolls back see nothing of it, cached or not."""
    done = threading.Event()

    def write():
        for _ in range(scaled(2_000, 150)):
            with contextlib.suppress(ZeroDivisionError), db.transaction() as tx:
                tx.execute("UPDATE counter SET n = -1")
                assert -1 == db.scalar("SELECT n FROM counter")
                raise ZeroDivisionError
        done.set()

    def read():
        while not done.is_set():
            assert 0 == db.scalar("SELECT n FROM counter")

    assert [] == together(write, read, read)


def test_threads_and_other_programs_write_together(db, start_foreign, scaled):
    """Threads here and two other programs write to one file, and no row is lost on either side."""
    rounds = scaled(500, 30)
    programs = [start_foreign(), start_foreign()]

    def ours(who):
        def run():
            for n in range(rounds):
                db.execute("INSERT INTO t(who, n) VALUES (?, ?)", who, n)

        return run

    def theirs(program, who):
        def run():
            for n in range(rounds):
                program.execute("INSERT INTO t(who, n) VALUES (?, ?)", who, n)

        return run

    assert [] == together(ours(0), ours(1), theirs(programs[0], 2), theirs(programs[1], 3))
    assert [rounds] * 4 == [row[0] for row in db.query("SELECT count(*) FROM t GROUP BY who ORDER BY who")]


def test_writers_queue_in_order_of_arrival(db):
    """Whoever came first writes first."""
    count = 20
    threads = []
    with db.transaction():
        for n in range(count):
            thread = threading.Thread(target=db.execute, args=("INSERT INTO t(n) VALUES (?)", n))
            thread.start()
            threads.append(thread)
            eventually(lambda n=n: waiting(db) == n + 1)
    for thread in threads:
        thread.join()
    assert list(range(count)) == [row["n"] for row in db.query("SELECT n FROM t ORDER BY id")]


def test_a_time_out_names_the_holder(path):
    """Thread, process, what it runs and since when: enough to find it."""
    with coeval.open(path, timeout=0.1) as db:
        db.script("CREATE TABLE t(x)")
        entered, leave = threading.Event(), threading.Event()

        def hold():
            with db.transaction():
                entered.set()
                leave.wait(PATIENCE)

        holder = threading.Thread(target=hold, name="the slow one")
        holder.start()
        entered.wait(PATIENCE)
        try:
            with pytest.raises(errors.LockTimeoutError) as caught:
                db.execute("INSERT INTO t VALUES (1)")
        finally:
            leave.set()
            holder.join()
        said = caught.value.message
        assert "the slow one" in said
        assert f"process {os.getpid()}" in said
        assert "transaction()" in said
        assert re.search(r"held for \d+\.\d s", said)
        assert "timeout" in caught.value.hint
        assert isinstance(caught.value, TimeoutError)
        assert 1 == db.execute("INSERT INTO t VALUES (1)").rowcount


def test_a_time_out_gives_up_its_place(db):
    """One who stopped waiting is not given the turn, and those behind him move up."""
    gate = db._engine.store().writer.gate
    elsewhere(lambda: gate.enter("holder", 1))
    with pytest.raises(errors.LockTimeoutError):
        gate.enter("impatient", 0.01)
    with ThreadPoolExecutor(1) as pool:
        behind = pool.submit(gate.enter, "behind", PATIENCE)
        eventually(lambda: waiting(db) == 1)
        gate.leave()
        assert "behind" == behind.result(PATIENCE).what
        gate.leave()
    assert 1 == db.execute("INSERT INTO t(n) VALUES (1)").rowcount


def test_a_time_out_at_the_very_moment_the_turn_is_passed_on(monkeypatch):
    """The turn is passed to a waiter whose time is just up: it takes it or refuses it, and the turn is never lost."""
    passing, gave_up = threading.Event(), threading.Event()

    class Slow(Future):
        """A place in the queue whose waiter hears late that the turn is his."""

        def set_result(self, result):
            passing.set()
            gave_up.wait(PATIENCE)
            super().set_result(result)

        def result(self, timeout=None):
            passing.wait(PATIENCE)
            try:
                return super().result(0.01)
            except TimeoutError:
                gave_up.set()
                raise

    monkeypatch.setattr(gates, "Future", Slow)
    gate = Gate()
    elsewhere(lambda: gate.enter("first", 1))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(gate.enter, "second", 0.01)
        eventually(lambda: len(gate._waiting) == 1)
        gate.leave()
        found = second.exception(PATIENCE)
        assert found is None or isinstance(found, errors.LockTimeoutError), repr(found)
    if found is None:
        gate.leave()
    monkeypatch.setattr(gates, "Future", Future)
    assert "third" == gate.enter("third", 0.5).what


def test_the_queue_is_bounded(monkeypatch):
    """When too many wait, the next one is refused at once and told so (law 10)."""
    monkeypatch.setattr(gates, "LONGEST_QUEUE", 3)
    gate = Gate()
    elsewhere(lambda: gate.enter("holder", 1))
    with ThreadPoolExecutor(3) as pool:
        for n in range(3):
            pool.submit(gate.enter, f"waiter {n}", 0.5)
            eventually(lambda n=n: len(gate._waiting) == n + 1)
        with pytest.raises(errors.LockTimeoutError, match="3 writes are waiting"):
            gate.enter("one too many", PATIENCE)


def test_the_whole_wait_is_within_the_time_out(path, foreign):
    """Waiting for one's turn here and then for another program's lock are one wait, of one time-out."""
    with coeval.open(path, timeout=1.0) as db:
        db.script("CREATE TABLE t(x)")
        foreign.execute("BEGIN IMMEDIATE")
        gate = db._engine.store().writer.gate
        elsewhere(lambda: gate.enter("holder", 1))
        failures = []

        def write():
            began = time.monotonic()
            try:
                db.execute("INSERT INTO t VALUES (1)")
            except errors.LockTimeoutError:
                failures.append(time.monotonic() - began)

        thread = threading.Thread(target=write)
        thread.start()
        eventually(lambda: len(gate._waiting) == 1)
        thread.join(0.8)  # most of its time-out passes in the queue
        gate.leave()
        thread.join()
        assert 1 == len(failures)
        assert failures[0] < 1.5


def test_a_close_while_others_read_and_write(path, scaled):
    """They get their answer or a ClosedError, and nothing else ever."""
    for _ in range(scaled(200, 15)):
        db = coeval.open(path, durability="normal")
        db.script("CREATE TABLE IF NOT EXISTS t(x)")
        started = threading.Barrier(5)

        def use(db=db, started=started):
            started.wait(PATIENCE)
            with contextlib.suppress(errors.ClosedError):
                for n in range(100_000):
                    db.query("SELECT count(*) FROM t")
                    db.query("SELECT ?", n)
                    db.execute("INSERT INTO t VALUES (1)")
                    with db.snapshot() as snap:
                        snap.query("SELECT count(*) FROM t")
                    list(db.iterate("SELECT 1"))

        def close(db=db, started=started):
            started.wait(PATIENCE)
            for _ in range(20):
                db.query("SELECT 1")
            db.close()

        with ThreadPoolExecutor(5) as pool:
            futures = [pool.submit(use) for _ in range(4)] + [pool.submit(close)]
        assert [] == [repr(error) for error in (future.exception() for future in futures) if error]


def test_a_replaced_file_costs_nobody_an_error(path, tmp_path, scaled):
    """While the file is renamed over, again and again, readers and writers go on, with the old file or the new.

    In the moment when the file is new and its WAL is not there yet SQLite itself may meet an I/O error: that is told as a StoreError.
    """
    copies = scaled(40, 4)
    sources = []
    for number in range(copies):
        sources.append(tmp_path / f"copy{number}.db")
        with coeval.open(sources[-1]) as new:
            new.script("CREATE TABLE t(x); CREATE TABLE v(n)")
            new.execute("INSERT INTO v VALUES (?)", number)
    with coeval.open(path, durability="normal") as db:
        db.script("CREATE TABLE t(x); CREATE TABLE v(n); INSERT INTO v VALUES (-1)")
        done = threading.Event()

        def use():
            try:
                while not done.is_set():
                    with contextlib.suppress(errors.StoreError):
                        assert -1 <= db.scalar("SELECT n FROM v") < copies
                        db.scalar("SELECT count(*) FROM t")
                        db.query("SELECT ?", time.monotonic())
                        db.execute("INSERT INTO t VALUES (1)")
                        with db.snapshot() as snap:
                            snap.query("SELECT count(*) FROM t")
            finally:
                done.set()

        def replace():
            try:
                for number, source in enumerate(sources):
                    for end in ("-wal", "-shm"):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(f"{path}{end}")
                    source.rename(path)
                    eventually(lambda number=number: done.is_set() or db.stats().reopened > number)
            finally:
                done.set()

        found = together(use, use, use, replace)
        assert [] == [repr(error) for error in found]
        assert copies - 1 == db.scalar("SELECT n FROM v")


def test_a_thread_that_would_wait_for_itself(path):
    """It has the turn already, in another context or by another face: an error at once, and no time-out."""
    again = pytest.raises(errors.ReentryError, match="the thread that asks for it again")
    with coeval.open(path, timeout=30) as db, db.transaction(), again:
        contextvars.Context().run(db.script, "CREATE TABLE t(x)")
