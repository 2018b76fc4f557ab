"""A dbapi connection to a file takes the turn before it writes, and gives it back when nothing is open any more (law 7)."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from contextlib import nullcontext

import pytest

import coeval
from coeval import dbapi
from coeval.dbapi.handle import FileHandle
from store.behind import eventually


@pytest.fixture
def db(path):
    with coeval.open(path, durability="normal", timeout=30) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, n, data BLOB); INSERT INTO t VALUES (1, 0, zeroblob(8))")
        yield db


@pytest.fixture
def connection(db, path):
    connection = dbapi.connect(path, timeout=30)
    yield connection
    connection.close()


def free(db):
    """Whether the turn is nobody's."""
    gate = db._engine.store().writer.gate
    turn = gate.try_enter("a test")
    if turn is not None:
        gate.leave()
    return turn is not None


def test_reading_takes_no_turn(db, connection):
    """A transaction that has only read lets others write."""
    connection.execute("BEGIN")
    assert [(0,)] == connection.execute("SELECT n FROM t").fetchall()
    assert free(db)


@pytest.mark.parametrize(
    "begin",
    [
        lambda c: c.execute("INSERT INTO t(n) VALUES (1)"),
        lambda c: c.execute("BEGIN IMMEDIATE"),
        lambda c: c.execute("BEGIN EXCLUSIVE"),
        lambda c: (c.execute("BEGIN"), c.execute("SELECT * FROM t").fetchall(), c.execute("UPDATE t SET n = 2")),
        lambda c: (c.execute("SAVEPOINT one"), c.execute("WITH x(n) AS (SELECT 1) INSERT INTO t(n) SELECT n FROM x")),
        lambda c: c.executemany("INSERT INTO t(n) VALUES (?)", [(1,), (2,)]),
        lambda c: c.executescript("BEGIN; CREATE TABLE u(a);"),
        lambda c: c.execute("INSERT INTO t(n) VALUES (1), (2) RETURNING n").fetchone(),
        lambda c: (c.execute("BEGIN"), c.execute("PRAGMA user_version = 5")),
    ],
)
@pytest.mark.parametrize("end", [lambda c: c.commit(), lambda c: c.rollback(), lambda c: c.close()])
def test_a_writing_transaction_has_the_turn_until_it_ends(db, path, begin, end):
    """However it began to write, the turn is its own until commit, rollback or close."""
    connection = dbapi.connect(path)
    begin(connection)
    assert not free(db)
    end(connection)
    assert free(db)
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t(n) VALUES (1)",
        "CREATE TABLE u(a)",
        "VACUUM",
        "PRAGMA user_version = 3",
        "PRAGMA wal_checkpoint",
        "INSERT INTO t(id) VALUES (1)",
        "INSERT INTO t(n) VALUES (1) RETURNING id",
    ],
)
def test_without_a_transaction_the_turn_ends_with_the_statement(db, path, sql):
    """In autocommit, well ended or refused, one statement leaves no turn behind; while it ran it had one."""
    connection = dbapi.connect(path, isolation_level=None)
    before = db._engine.store().writer.gate.counts.turns
    try:
        connection.execute(sql).fetchall()
    except dbapi.IntegrityError:
        assert "INSERT INTO t(id)" in sql
    assert before + 1 == db._engine.store().writer.gate.counts.turns
    assert free(db)
    connection.close()


def test_a_half_read_returning_keeps_the_turn(db, path):
    """Rows that are still to come hold the write open; the last one given ends it."""
    connection = dbapi.connect(path, isolation_level=None)
    cursor = connection.execute("INSERT INTO t(n) VALUES (1), (2) RETURNING n")
    assert not free(db)
    assert (1,) == cursor.fetchone()
    assert (2,) == cursor.fetchone()
    assert free(db)
    assert 3 == db.scalar("SELECT count(*) FROM t")
    connection.close()


def test_a_writable_blob_has_the_turn_until_it_is_closed(db, connection):
    """One that only reads has none."""
    with connection.blobopen("t", "data", 1, readonly=True) as blob:
        assert bytes(8) == blob.read()
        assert free(db)
    with connection.blobopen("t", "data", 1) as blob:
        assert not free(db)
        blob.write(b"x")
    assert free(db)
    with pytest.raises(dbapi.OperationalError, match="no such"):
        connection.blobopen("t", "none", 1)
    assert free(db)


def test_an_implicit_begin_immediate_waits_for_the_turn(db, path):
    """It is not begun without the turn, so a time-out leaves no transaction, and no lock that others stand before."""
    connection = dbapi.connect(path, timeout=0.05, isolation_level="immediate")
    gate = db._engine.store().writer.gate
    gate.enter("a test", 1)
    with pytest.raises(dbapi.OperationalError, match="with a test"):
        connection.execute("UPDATE t SET n = 1")
    assert not connection.in_transaction
    gate.leave()
    connection.close()


def test_a_backup_onto_the_file_takes_the_turn(db, path):
    """Like any other write."""
    connection = dbapi.connect(path, timeout=0.05)
    source = dbapi.connect(":memory:")
    with db.transaction() as tx:
        tx.execute("UPDATE t SET n = 1")
        with pytest.raises(dbapi.OperationalError, match="database is locked: The turn"):
            source.backup(connection)
    source.backup(connection)
    assert free(db)
    assert [] == connection.execute("SELECT name FROM sqlite_schema WHERE name = 't'").fetchall()
    connection.close()
    source.close()


def test_without_legacy_transactions_the_turn_comes_with_the_first_write(db, path):
    """With autocommit=False a transaction is always open, and only writing takes the turn."""
    connection = dbapi.connect(path, autocommit=False)
    assert connection.in_transaction
    connection.execute("SELECT * FROM t").fetchall()
    assert free(db)
    connection.execute("UPDATE t SET n = 1")
    assert not free(db)
    connection.commit()
    assert connection.in_transaction
    assert free(db)
    connection.close()


def test_a_time_out_names_the_holder(db, connection, path):
    """The error is sqlite3's, with its code, and says who has the turn with what."""
    connection.execute("UPDATE t SET n = 1")
    late = dbapi.connect(path, timeout=0.05)
    with pytest.raises(dbapi.OperationalError, match=r"(?s)^database is locked.*UPDATE t SET n = 1") as raised:
        late.execute("UPDATE t SET n = 2")
    assert (dbapi.SQLITE_BUSY, "SQLITE_BUSY") == (raised.value.sqlite_errorcode, raised.value.sqlite_errorname)
    connection.commit()
    late.execute("UPDATE t SET n = 2")
    late.commit()
    assert 2 == db.scalar("SELECT n FROM t")
    late.close()


def test_a_transaction_of_the_database_and_a_connection_exclude_each_other(db, path):
    """One gate for both faces: who stands inside one cannot write through the other, and is told."""
    late = dbapi.connect(path, timeout=0.05)
    with db.transaction() as tx:
        tx.execute("UPDATE t SET n = 1")
        with pytest.raises(dbapi.OperationalError, match="database is locked"):
            late.execute("UPDATE t SET n = 2")
    late.close()


def test_a_thread_that_would_wait_for_itself_is_told_at_once(db, connection, path):
    """Another connection of it has the turn, or its transaction: sqlite3's error and code, with the cure, and no waiting."""
    late = dbapi.connect(path, timeout=1_000)  # whoever waited would not be done in time

    def refused():
        for sql in "UPDATE t SET n = 2", "BEGIN IMMEDIATE":
            with pytest.raises(
                dbapi.OperationalError, match=r"(?s)^database is locked: .*End that transaction"
            ) as raised:
                late.execute(sql)
            assert (dbapi.SQLITE_BUSY, "SQLITE_BUSY") == (raised.value.sqlite_errorcode, raised.value.sqlite_errorname)
            late.rollback()

    connection.execute("UPDATE t SET n = 1")
    refused()
    connection.commit()
    with db.transaction() as tx:
        tx.execute("UPDATE t SET n = 1")
        refused()
    late.execute("UPDATE t SET n = 2")
    late.commit()
    assert 2 == db.scalar("SELECT n FROM t")
    late.close()


def test_read_then_write_on_an_old_snapshot_is_refused(db, connection):
    """Where somebody has committed between the read and the write, sqlite3's own error comes, and no turn stays."""
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM t").fetchall()
    db.execute("UPDATE t SET n = 5")
    with pytest.raises(dbapi.OperationalError, match="database is locked") as raised:
        connection.execute("UPDATE t SET n = n + 1")
    assert dbapi.SQLITE_BUSY_SNAPSHOT == raised.value.sqlite_errorcode
    assert free(db)
    connection.rollback()


def forget_one_that_writes(path):
    """Leave garbage in the middle of a transaction."""
    connection = dbapi.connect(path)
    connection.execute("UPDATE t SET n = 7")
    with pytest.warns(ResourceWarning) if sys.version_info >= (3, 13) else nullcontext():
        del connection
        gc.collect()


@pytest.fixture
def closing_late(db, monkeypatch):
    """What was forgotten is closed when somebody waits for its turn."""
    gate = db._engine.store().writer.gate
    close = FileHandle.close

    def close_when_somebody_waits(handle):
        eventually(lambda: gate.queue)
        close(handle)

    monkeypatch.setattr(FileHandle, "close", close_when_somebody_waits)


@pytest.mark.usefixtures("closing_late")
def test_a_forgotten_connection_gives_the_turn_back(db, path):
    """Garbage in the middle of a transaction is rolled back, and the next writer waits for that, if it is the same thread, too."""
    forget_one_that_writes(path)
    db.execute("INSERT INTO t(n) VALUES (8)")
    assert [(1, 0), (2, 8)] == [tuple(row) for row in db.query("SELECT id, n FROM t")]


@pytest.mark.usefixtures("closing_late")
def test_a_loop_waits_for_one_that_was_forgotten_on_it(db, path):
    """It is not taken for another task's transaction, which a blocking write would stop."""

    async def write():
        forget_one_that_writes(path)
        db.execute("INSERT INTO t(n) VALUES (8)")

    asyncio.run(write())
    assert [(1, 0), (2, 8)] == [tuple(row) for row in db.query("SELECT id, n FROM t")]


def test_another_thread_may_end_what_one_began(db, path):
    """With check_same_thread=False the turn belongs to the connection, not to a thread."""
    connection = dbapi.connect(path, check_same_thread=False)
    connection.execute("UPDATE t SET n = 9")
    thread = threading.Thread(target=connection.commit)
    thread.start()
    thread.join()
    assert free(db)
    assert 9 == db.scalar("SELECT n FROM t")
    connection.close()


COUNT = """
import sys, threading
from coeval import dbapi

def work():
    connection = dbapi.connect(sys.argv[1], timeout=60, isolation_level="IMMEDIATE")
    for _ in range(int(sys.argv[2])):
        with connection:
            connection.execute("UPDATE t SET n = n + 1")
    connection.close()

threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_threads_and_processes_take_turns(db, path, scaled):
    """Two threads in each of three processes, one of them ours, lose no increment and never meet `locked`."""
    each = scaled(2_000, 100)
    command = [sys.executable, "-W", "error", "-c", COUNT, str(path), str(each)]
    others = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    failed = []

    def work():
        try:
            connection = dbapi.connect(path, timeout=60)
            for _ in range(each):
                with connection:
                    connection.execute("UPDATE t SET n = n + 1")
            connection.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        assert b"" == other.communicate()[1]
    assert [] == failed
    assert 6 * each == db.scalar("SELECT n FROM t WHERE id = 1")
