"""What goes wrong in a batch hits whom it concerns, and nobody waits for ever: a sick disk, time-outs, interrupts (laws 6 and 7)."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import coeval
from coeval import errors
from coeval.unit import current, joined
from store.behind import (
    PATIENCE,
    Caller,
    eventually,
    gate_of,
    held,
    interrupted_write_at,
    learn,
    outcome,
    queue_up,
    submitted,
    together,
)

from interrupting import Interrupt
from processes import HERE

INSERT = "INSERT INTO t(x) VALUES (?)"
BIG = "INSERT INTO big VALUES (zeroblob(?))"


def rows_of(db):
    return Counter(row["x"] for row in db.query("SELECT x FROM t"))


# -- no room ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("by", ["threads", "futures"])
def test_one_for_whom_there_is_no_room(path, place, by):
    """A giant among small ones, by SQLite's own limit of pages: it is told that there is no room, and they are written, once."""
    with coeval.open(path, on_connect=lambda c: c.execute("PRAGMA max_page_count = 60").fetchall()) as db:
        db.script("CREATE TABLE t(x); CREATE TABLE big(b)")
        learn(db, INSERT, BIG)
        writes = [(INSERT, (n,), False) for n in range(3)]
        writes.insert(place, (BIG, (1_000_000,), False))
        if by == "threads":
            found = together(db, [partial(db.execute, w[0], *w[1]) for w in writes])
        else:
            found = [outcome(future) for future in submitted(db, writes)]
        assert [errors.DiskFullError if n == place else coeval.Result for n in range(4)] == [type(one) for one in found]
        assert {0: 1, 1: 1, 2: 1} == rows_of(db)
        assert 0 == db.scalar("SELECT count(*) FROM big")
        assert gate_of(db).idle
        assert 1 == db.execute(BIG, 10).rowcount


SICK = """
    import json, sys, logging
    import apsw
    from faults import shim
    logging.disable()
    room, failing, small_cache = json.loads(sys.argv[2])
    full, broken = [None], [None]

    def look(kind, what, path, content, offset):
        error = None
        if kind == "wal" and what == "write" and full[0] is not None and offset + len(content) > full[0]:
            error = apsw.FullError("injected")
            error.extendedresult = apsw.SQLITE_FULL
        elif broken[0] == [kind, what]:
            broken[0] = None
            error = apsw.IOError("injected")
            error.extendedresult = apsw.SQLITE_IOERR_WRITE
        if error is not None:
            raise error

    keep = shim.watch(look)
    import coeval, os
    from store.behind import gate_of, learn, outcome, submitted
    db = coeval.open(sys.argv[1], **({"cache_size": 65536} if small_cache else {}))
    INSERT, BIG = "INSERT INTO t(x) VALUES (?)", "INSERT INTO big VALUES (zeroblob(?))"
    db.script("CREATE TABLE t(x); CREATE TABLE big(b); CREATE TABLE other(x)")
    db.checkpoint(truncate=True)
    db.execute("INSERT INTO other VALUES (0)")
    learn(db, INSERT, BIG, "DELETE FROM other")
    writes = [(INSERT, (0,), False), (INSERT, (1,), False), (BIG, (400_000,), False), (INSERT, (2,), False), (INSERT, (3,), False)]
    if room:
        full[0] = os.path.getsize(sys.argv[1] + "-wal") + room
    broken[0] = failing
    found = [outcome(future) for future in submitted(db, writes)]
    full[0] = broken[0] = None
    def say(one):
        return [type(one).__name__, one.message if isinstance(one, BaseException) else one.rowcount]
    again = say(outcome(submitted(db, [(INSERT, (4,), False)])[0]))
    print(json.dumps({
        "found": [say(one) for one in found], "again": again, "idle": gate_of(db).idle,
        "rows": [row[0] for row in db.query("SELECT x FROM t ORDER BY x")],
        "big": db.scalar("SELECT count(*) FROM big"), "ok": db.scalar("PRAGMA integrity_check"),
    }))
"""


def sick(path, room=0, failing=None, small_cache=False):
    """Five writes together, the third of them giant, in a process whose log has so much room, or fails once at that operation."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}
    command = [sys.executable, "-P", "-c", textwrap.dedent(SICK), path, json.dumps([room, failing, small_cache])]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ, timeout=60)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("small_cache", [True, False], ids=["in the statement", "at COMMIT"])
def test_no_room_for_the_whole_batch(path, small_cache):
    """The log is too small for all together, in the giant's own statement or at the end: those for whom there is room are written."""
    said = sick(path, room=100_000, small_cache=small_cache)
    assert ["Result", "Result", "DiskFullError", "Result", "Result"] == [kind for kind, _ in said["found"]]
    assert ([0, 1, 2, 3, 4], 0, True, "ok") == (said["rows"], said["big"], said["idle"], said["ok"])


def test_no_room_for_anybody(path):
    """Nobody's write fits: each is told so, nothing is there, and the next one is written when there is room."""
    said = sick(path, room=100)
    assert ["DiskFullError"] * 5 == [kind for kind, _ in said["found"]]
    assert ([4], 0, True, "ok", ["Result", 1]) == (said["rows"], said["big"], said["idle"], said["ok"], said["again"])


@pytest.mark.parametrize("failing", [["wal", "write"], ["wal", "sync"]], ids=" ".join)
def test_a_disk_that_fails_at_commit(path, failing):
    """All are told, and that none of the five was written; none is."""
    said = sick(path, failing=failing)
    assert ["StorageError"] * 5 == [kind for kind, _ in said["found"]]
    assert all("none of the 5 writes" in message for _, message in said["found"])
    assert ([4], 0, True, "ok", ["Result", 1]) == (said["rows"], said["big"], said["idle"], said["ok"], said["again"])


def test_a_disk_that_fails_in_a_statement(path):
    """Those made before it are told that they were not written, and are not; those behind it are written."""
    said = sick(path, failing=["wal", "write"], small_cache=True)
    kinds = [kind for kind, _ in said["found"]]
    assert ["StorageError"] * 3 + ["Result"] * 2 == kinds
    assert all("none of the 3 writes" in message for _, message in said["found"][:3])
    assert ([2, 3, 4], 0, True, "ok") == (said["rows"], said["big"], said["idle"], said["ok"])


# -- time ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def db(path):
    with coeval.open(path, timeout=PATIENCE) as db:
        db.script("CREATE TABLE t(x); CREATE TABLE big(b)")
        learn(db, INSERT)
        yield db


@pytest.fixture
def hasty(path):
    """Waits for a fifth of a second, and has a hook in COMMIT that the test may fill."""
    hook = [lambda: None]

    def connect(connection):
        connection.set_commit_hook(lambda: bool(hook[0]()))

    with coeval.open(path, timeout=0.2, on_connect=connect) as db:
        db.script("CREATE TABLE t(x)")
        learn(db, INSERT)
        setattr(db, "hook", hook)  # noqa: B010 - the type has no such attribute
        yield db


@pytest.mark.parametrize(
    "call",
    [
        lambda db: db.execute(INSERT, 1),
        lambda db: db.executemany(INSERT, [(1,), (2,)]),
        lambda db: db.script("INSERT INTO t VALUES (1)"),
        lambda db: db.transaction().__enter__(),
        lambda db: db.write(lambda tx: tx.execute(INSERT, 1)),
    ],
)
def test_a_time_out_behind_a_transaction(hasty, call):
    """It names thread, process, what that runs and how long; the place is given up, and nothing is made later."""
    with held(hasty, name="the slow one") as leave:
        with pytest.raises(errors.LockTimeoutError) as caught:
            call(hasty)
        said = caught.value.message
        assert "the slow one" in said
        assert f"process {os.getpid()}" in said
        assert "with transaction()" in said
        assert "held for 0." in said
        assert 0 == gate_of(hasty).queue
        leave.set()
    eventually(lambda: gate_of(hasty).idle)
    assert {} == rows_of(hasty)
    assert 1 == hasty.execute(INSERT, 3).rowcount


def test_a_time_out_behind_a_statement(hasty):
    """The holder is one statement: it is in the message, shortened."""
    inside, leave = threading.Event(), threading.Event()

    def hook():
        inside.set()
        leave.wait(PATIENCE)

    hasty.hook[0] = hook
    holder = Caller(lambda: hasty.execute(INSERT, 1), name="the committing one")
    assert inside.wait(PATIENCE)
    with pytest.raises(errors.LockTimeoutError, match=r"by the committing one of process \d+.* with INSERT INTO t"):
        hasty.execute(INSERT, 2)
    leave.set()
    assert 1 == holder.ended().rowcount
    assert {1: 1} == rows_of(hasty)


def test_one_that_has_begun_is_waited_for(hasty):
    """A follower whose time is up while the leader commits its row gets its answer, not an error."""
    inside, leave = threading.Event(), threading.Event()

    def hook():
        inside.set()
        leave.wait(PATIENCE)

    gate = gate_of(hasty)
    gate.enter("the holder", 1)
    callers = queue_up(hasty, [lambda: hasty.execute(INSERT, 1), lambda: hasty.execute(INSERT, 2)])
    hasty.hook[0] = hook
    gate.leave()
    assert inside.wait(PATIENCE)
    callers[1].join(0.5)  # more than its time-out
    assert callers[1].is_alive()
    leave.set()
    assert [1, 1] == [caller.ended().rowcount for caller in callers]
    assert {1: 1, 2: 1} == rows_of(hasty)


def test_a_foreign_lock_fails_all_who_waited_too_long(hasty, foreign):
    """Another program keeps SQLite's lock: every member is told whom it waited for, within its own time, and none is made later."""
    foreign.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    callers = [Caller(partial(hasty.execute, INSERT, n)) for n in range(5)]
    for caller in callers:
        found = caller.ended()
        assert isinstance(found, errors.LockTimeoutError), found
        assert f"process {foreign.pid}" in found.message
    assert time.monotonic() - began < PATIENCE / 2
    foreign.execute("COMMIT")
    assert gate_of(hasty).idle
    assert {} == rows_of(hasty)


def test_a_full_queue(db, monkeypatch):
    """The next one is refused at once, whichever way it asks, and told so; those who wait are served (law 10)."""
    monkeypatch.setattr("coeval.sqlite.gate.LONGEST_QUEUE", 3)
    store = db._engine.store()
    statement = store.statements.sharable(INSERT)
    with held(db) as leave:
        callers = queue_up(db, [partial(db.execute, INSERT, n) for n in range(3)])
        for ask in (
            lambda: db.execute(INSERT, 9),
            lambda: db.transaction().__enter__(),
            lambda: store.batches.submit(known(statement), (9,)),
            lambda: store.writer.gate.ask("asked"),
            lambda: db.write(lambda tx: tx.execute(INSERT, 9)),
        ):
            with pytest.raises(errors.LockTimeoutError, match="3 writes are waiting already"):
                ask()
        leave.set()
        assert [1] * 3 == [caller.ended().rowcount for caller in callers]
    assert {0: 1, 1: 1, 2: 1} == rows_of(db)


def test_a_cancelled_write_is_dropped_or_made(db):
    """Before it has begun, cancelling drops it; afterwards it is refused, and the write is made."""
    gate = gate_of(db)
    store = db._engine.store()
    statement = store.statements.sharable(INSERT)
    gate.enter("the holder", 1)
    futures = [store.batches.submit(known(statement), (n,)) for n in range(6)]
    assert [True] * 3 == [future.cancel() for future in futures[::2]]
    gate.leave()
    assert [1] * 3 == [outcome(future).rowcount for future in futures[1::2]]
    assert [False] * 3 == [future.cancel() for future in futures[1::2]]
    assert {1: 1, 3: 1, 5: 1} == rows_of(db)


def test_cancelling_all_frees_the_turn(db):
    """Where everybody gave up, the turn is nobody's, and the next one has it."""
    gate = gate_of(db)
    store = db._engine.store()
    gate.enter("the holder", 1)
    futures = [store.batches.submit(store.statements.sharable(INSERT), (n,)) for n in range(3)]
    futures.append(gate.ask("asked"))
    assert all(future.cancel() for future in futures)
    gate.leave()
    eventually(lambda: gate.idle)
    assert 1 == db.execute(INSERT, 9).rowcount


def test_those_who_gave_up_take_no_place(db, monkeypatch):
    """As many as the queue holds came and cancelled behind one long turn: the next one finds room."""
    monkeypatch.setattr("coeval.sqlite.gate.LONGEST_QUEUE", 3)
    gate = gate_of(db)
    store = db._engine.store()
    with held(db) as leave:
        for n in range(6):
            future = gate.ask("asked") if n % 2 else store.batches.submit(store.statements.sharable(INSERT), (n,))
            assert future.cancel()
        future = store.batches.submit(store.statements.sharable(INSERT), (7,))
        assert gate.queue <= 3
        leave.set()
        assert 1 == outcome(future).rowcount


# -- interrupts ---------------------------------------------------------------------------------------------------------------


def file_is_free(db):
    """Whether another process could have its turn now."""
    descriptor = os.open(f"{db.path}-gate", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def comes_free(db, seconds=5.0):
    """Whether the turn is nobody's, here and for others, now or soon: the checkpointer may have it, and a lock is kept for a while."""
    end = time.monotonic() + seconds
    while not (gate_of(db).idle and file_is_free(db)):
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def _whole(db):
    with db.transaction() as tx:
        tx.execute(INSERT, -1)


def known(statement):
    assert statement is not None
    return statement


WRITES = {
    "execute": lambda db: db.execute(INSERT, -1),
    "executemany": lambda db: db.executemany(INSERT, [(-1,), (-2,)]),
    "execute alone": lambda db: db.execute("PRAGMA user_version = 3"),
    "script": lambda db: db.script("INSERT INTO t VALUES (-1); INSERT INTO t VALUES (-2)"),
    "transaction": _whole,
    "write": lambda db: db.write(lambda tx: tx.execute(INSERT, tx.scalar("SELECT -count(*) FROM t") - 1)),
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", WRITES)
def test_a_write_interrupted_write_at_each_step(path, kind):
    """Wherever the exception of a signal handler comes out, the turn is free afterwards, in this process and for others."""
    with coeval.open(path, timeout=2, durability="normal") as db:
        db.script("CREATE TABLE t(x)")
        gate = gate_of(db)
        WRITES[kind](db)
        wrong: list[str] = []
        number, going = 0, True
        while going and number < 600 and len(wrong) < 2:
            number += 1
            going = interrupted_write_at(number, lambda: WRITES[kind](db))
            if not comes_free(db):
                wrong.append(f"step {number}: idle {gate.idle}, the file is free: {file_is_free(db)}")
                _mend(db)
            try:
                assert None is joined(db._engine), "still in a unit"
                db.execute(INSERT, number)
                assert {number: 1} == {x: n for x, n in rows_of(db).items() if x == number}
            except (errors.Error, AssertionError) as error:
                wrong.append(f"step {number}: {error!r}")
                _mend(db)
        current.set(None)  # a unit that has ended may still be named there
        assert [] == wrong
        assert number > 20
        assert [] == [x for x, count in rows_of(db).items() if count > 1 and x > 0]
        for _ in range(db.settings.readers + 1):  # no reader is lost
            with db.snapshot() as snap:
                snap.scalar("SELECT 1")


def _mend(db):
    """So that the test can go on, and tell all that is wrong."""
    writer = db._engine.store().writer
    current.set(None)
    with suppress(Exception):
        writer._connection.raw.execute("ROLLBACK")
    with suppress(Exception):
        writer.gate.leave()


@pytest.mark.parametrize("interrupted", ["the leader", "a follower"])
@pytest.mark.parametrize("kind", ["good", "with a replay"])
def test_a_batch_interrupted_write_at_each_step(path, interrupted, kind):
    """Nobody waits for ever, nobody's row is there twice, whoever was answered has its row, and the turn is free."""
    replaying = "INSERT OR ROLLBACK INTO once VALUES (1)"
    with coeval.open(path, timeout=PATIENCE, durability="normal") as db:
        db.script("CREATE TABLE t(x); CREATE TABLE once(x UNIQUE); INSERT INTO once VALUES (1)")
        learn(db, INSERT, replaying)
        store = db._engine.store()
        gate, statement = store.writer.gate, store.statements.sharable(INSERT)
        wrong: list[str] = []
        number, going = 0, True
        while going and number < 600 and len(wrong) < 2:
            number += 1
            key = 10 * number
            gate.enter("the holder", PATIENCE)
            hit: list[Any] = []

            def call(key=key, number=number, hit=hit):
                hit.append(interrupted_write_at(number, lambda: db.execute(INSERT, key)))

            def plain(key=key):
                return db.execute(INSERT, key + 5)

            try:
                calls = [call, plain] if interrupted == "the leader" else [plain, call]
                callers = queue_up(db, calls)
                futures = [store.batches.submit(known(statement), (key + n,)) for n in (1, 2)]
                if kind != "good":
                    futures.append(store.batches.submit(known(store.statements.sharable(replaying)), ()))
                futures.append(store.batches.submit(known(statement), (key + 3,)))
            finally:
                gate.leave()
            _, untold = wait(futures, 3)
            assert not untold, f"step {number}: {len(untold)} were never told"
            told = [callers[calls.index(plain)].ended(), *map(outcome, (*futures[:2], futures[-1]))]
            assert not [one for one in told if isinstance(one, BaseException)], (number, told)
            callers[calls.index(call)].ended()
            going = hit[0]
            free = comes_free(db)
            expected = {key + n: 1 for n in (1, 2, 3, 5)}
            rows = {x: count for x, count in rows_of(db).items() if key <= x < key + 10}
            own = rows.pop(key, 0)
            if rows != expected or own not in ((0, 1) if going else (1,)) or not free:
                wrong.append(f"step {number}: {rows}, its own {own}, the turn is free: {free}")
        assert [] == wrong
        assert number > 20


@pytest.fixture
def handler():
    """A set: while something is in it, SIGUSR1 raises Interrupt in the main thread, once."""
    armed = {"once"}

    def stop(number, frame):
        if armed:
            armed.clear()
            raise Interrupt

    before = signal.signal(signal.SIGUSR1, stop)
    yield armed
    armed.clear()
    signal.signal(signal.SIGUSR1, before)


def interrupt_main(seen: threading.Event) -> None:
    """Send the signal until it has come out. One that comes just before the thread goes to sleep is noticed when that wakes."""
    end = time.monotonic() + PATIENCE
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    while not seen.wait(0.02):
        assert time.monotonic() < end
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def test_a_follower_interrupted_while_it_waits(db, handler):
    """By a signal, in its sleep: it is dropped, its place is given up, and nothing of it is made later."""
    with held(db) as leave:
        gate = gate_of(db)

        def send():
            eventually(lambda: gate.queue == 1)
            time.sleep(0.01)  # it is about to sleep, or does
            interrupt_main(seen)

        seen = threading.Event()
        sender = Caller(send)
        with pytest.raises(Interrupt):
            db.execute(INSERT, 1)
        seen.set()
        sender.ended()
        assert 0 == gate.queue
        leave.set()
    assert {} == rows_of(db)
    assert 1 == db.execute(INSERT, 2).rowcount


def test_a_follower_interrupted_while_it_is_made(hasty, handler):
    """It has begun: the interrupt comes out after the commit, and the row is there."""
    inside, leave = threading.Event(), threading.Event()

    def hook():
        inside.set()
        leave.wait(PATIENCE)

    gate = gate_of(hasty)
    Caller(lambda: gate.enter("the holder", 1)).ended()
    (leader,) = queue_up(hasty, [lambda: hasty.execute(INSERT, 1)])

    def go():
        eventually(lambda: gate.queue == 2)
        hasty.hook[0] = hook
        gate.leave()
        assert inside.wait(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        threading.Timer(0.05, leave.set).start()

    helper = Caller(go)
    with pytest.raises(Interrupt):
        hasty.execute(INSERT, 2)
    assert None is helper.ended()
    assert 1 == leader.ended().rowcount
    eventually(lambda: gate.idle)
    assert {1: 1, 2: 1} == rows_of(hasty)


def test_a_follower_interrupted_and_then_put_back(db, handler):
    """Its leader had begun with it, and then could not: it is nobody's any more, and the turn does not go to it and stay there."""
    gate = gate_of(db)

    def lead():
        gate.enter("the leader", 1)
        ready.set()
        eventually(lambda: gate.queue == 1)
        mates = gate.mates(10, 100, [])
        interrupt_main(interrupted)
        gate.put_back(mates)
        gate.leave()

    ready, interrupted = threading.Event(), threading.Event()
    leader = Caller(lead)
    assert ready.wait(PATIENCE)
    with pytest.raises(Interrupt):
        db.execute(INSERT, 1)
    interrupted.set()
    assert None is leader.ended()
    eventually(lambda: gate.idle)
    assert 1 == db.execute(INSERT, 2).rowcount
    assert rows_of(db)[1] <= 1
