"""What careless programs do: the cure is named, nothing stands still, nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time

import apsw
import pytest

import coeval
from coeval import errors
from coeval.registry import registry


@pytest.fixture
def db(path):
    with coeval.open(path, timeout=2, readers=4) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        yield db


def test_abandoned_iterators_free_their_readers_at_once(db):
    """More of them than there are readers, without the garbage collector's help."""
    gc.disable()
    try:
        for _ in range(20):
            next(db.iterate("SELECT * FROM t"))
            for _row in db.iterate("SELECT * FROM t"):
                break
    finally:
        gc.enable()
    assert 3 == db.scalar("SELECT count(*) FROM t")


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (lambda c: c.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0), "triggers off"),
        (lambda c: c.execute("BEGIN"), "transaction or a statement open"),
        (lambda c: KEPT.append(next(c.execute("SELECT 1 FROM sqlite_schema UNION ALL SELECT 2"))), None),
        (lambda c: setattr(c, "row_trace", lambda _cursor, row: row[:1]), "row or execution trace"),
        (lambda c: c.execute("PRAGMA query_only = ON"), "query_only"),
    ],
    ids=["triggers", "transaction", "finished", "trace", "query only"],
)
def test_an_on_connect_that_would_break_a_promise(path, hook, said):
    """It is refused at open, naming on_connect, and nothing stays open."""
    if said is None:
        coeval.open(path, on_connect=hook).close()
    else:
        with pytest.raises(errors.ConfigError, match=said):
            coeval.open(path, on_connect=hook)
    coeval.open(path).close()


KEPT: list = []


def test_an_unfinished_statement_of_on_connect(path):
    """It would hold the connection's first snapshot for ever."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)")

    def hook(connection):
        cursor = connection.cursor()
        next(cursor.execute("SELECT * FROM t"))
        KEPT.append(cursor)

    with pytest.raises(errors.ConfigError, match="on_connect left"):
        coeval.open(path, on_connect=hook)
    KEPT.clear()


def test_a_write_from_inside_an_sql_function(db):
    """It would wait for the call that it is made from: refused at once."""
    db.create_function("again", lambda x: db.execute("INSERT INTO t(x) VALUES (?)", x).rowcount, 1)
    begun = time.monotonic()
    with pytest.raises(errors.ReentryError, match="called a function"):
        db.execute("UPDATE t SET x = again(x) WHERE id = 1")
    assert 1.9 > time.monotonic() - begun
    db.execute("UPDATE t SET x = 'still works' WHERE id = 1")


def test_a_write_that_would_stop_the_loop_that_has_to_end_it(db):
    """Another task of the same loop is inside a transaction: refused at once."""

    async def main():
        entered, done = asyncio.Event(), asyncio.Event()

        async def holder():
            with db.transaction() as tx:
                tx.execute("UPDATE t SET x = 'held' WHERE id = 1")
                entered.set()
                await done.wait()

        task = asyncio.create_task(holder())
        await entered.wait()
        try:
            with pytest.raises(errors.ReentryError, match="event loop"):
                db.execute("UPDATE t SET x = 'no' WHERE id = 1")
        finally:
            done.set()
            await task

    asyncio.run(main())
    assert "held" == db.scalar("SELECT x FROM t WHERE id = 1")


def test_text_that_is_not_utf_8(db):
    """SQLite does not look; the error says how to read it anyway."""
    with pytest.raises(errors.ConversionError, match="UTF-8") as caught:
        db.query("SELECT CAST(x'ff41' AS TEXT)")
    assert "AS BLOB" in caught.value.hint


def test_a_function_given_again_while_an_iterator_uses_it(db):
    """SQLite cannot replace it then: the cure is to end the iterator."""
    db.create_function("f", lambda x: x, 1, deterministic=True)
    with db.transaction() as tx:
        rows = tx.iterate("SELECT f(id) FROM t")
        next(rows)
        db.create_function("f", lambda x: -x, 1, deterministic=True)
        with pytest.raises(errors.StoreError, match="iterator") as caught:
            tx.query("SELECT f(1)")
        assert "close()" in caught.value.hint
        rows.close()
        assert -1 == tx.scalar("SELECT f(1)")


@pytest.mark.parametrize("made", ["CREATE TABLE _coeval_schema(a)", "CREATE VIEW _coeval_stamps AS SELECT 1 AS a"])
def test_a_table_of_the_user_with_our_name(path, foreign, made):
    """Refused at open by its name, and never dropped."""
    foreign.execute(made)
    with pytest.raises(errors.OpenError, match="_coeval_s"):
        coeval.open(path)
    assert [] == coeval.uninstall(path)
    assert 1 == len(foreign.execute("SELECT * FROM sqlite_schema"))


def test_a_snapshot_keeps_its_schema(db, foreign):
    """After another program dropped the table it is still there, in this snapshot."""
    with db.snapshot() as snap:
        foreign.execute("DROP TABLE t")
        foreign.execute("CREATE TABLE u(v)")
        assert [("a",), ("b",), ("c",)] == [tuple(row) for row in snap.query("SELECT x FROM t ORDER BY id")]
        assert 3 == len(list(snap.iterate("SELECT x FROM t")))
        with pytest.raises(errors.SQLError, match="no such table: u"):
            snap.query("SELECT * FROM u")
    with pytest.raises(errors.SQLError, match="no such table: t"):
        db.query("SELECT x FROM t")


def test_closing_does_not_hold_up_other_databases(db, tmp_path):
    """A close that waits for a long transaction, and an open of another file meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with db.transaction():
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    closer = threading.Thread(target=db.close)
    closer.start()
    try:
        begun = time.monotonic()
        coeval.open(tmp_path / "other.db").close()
        assert 1.5 > time.monotonic() - begun
    finally:
        leave.set()
        holder.join(30)
        closer.join(30)


def test_a_face_that_was_not_closed(path):
    """The file stays open in this process; an open with other settings says how to go on."""
    coeval.open(path, timeout=3).script("CREATE TABLE t(x)")
    with pytest.raises(errors.ConfigError, match="timeout") as caught:
        coeval.open(path, timeout=4)
    assert "close()" in caught.value.hint
    with coeval.open(path) as again:  # the same engine; it goes with the process
        assert 3 == again.settings.timeout
        assert [] == list(coeval.open(path).iterate("SELECT * FROM t"))


def test_close_from_inside_an_sql_function(path):
    """It does not wait for the call that it is made from, and everything is closed when that has ended."""
    db = coeval.open(path)
    db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")

    def close_now(value):
        db.close()
        return value

    db.create_function("close_now", close_now, 1)
    db.execute("UPDATE t SET x = close_now(x)")
    assert db.closed
    store = next(iter(registry.closing), None)
    end = time.monotonic() + 5
    while store is not None and registry.closing and time.monotonic() < end:
        time.sleep(0)
    assert set() == registry.closing


def test_rowid_zero(db):
    """It is a rowid like any other; no row inserted is None."""
    assert 0 == db.execute("INSERT INTO t(id) VALUES (0)").lastrowid
    assert db.execute("INSERT OR IGNORE INTO t(id) VALUES (0)").lastrowid is None


@pytest.mark.parametrize("call", ["query", "first", "execute", "iterate", "explain"])
def test_a_statement_that_is_no_text(db, call):
    """It is told, whatever it is."""
    with pytest.raises(errors.SQLError, match="A statement is text"):
        getattr(db, call)([1])


def test_rows_that_are_no_rows(db):
    """executemany names what it got."""
    with pytest.raises(errors.ParameterError, match="int"):
        db.executemany("INSERT INTO t(x) VALUES (?)", 5)
    with pytest.raises(errors.ParameterError, match=":a"):
        db.explain("SELECT :a", {"b": 1})


def _rest(store):
    """What of it is still open."""
    gate, readers = store.writer.gate, store.readers
    return {
        "readers": (len(readers._members), len(readers.idle), readers._opening),
        "writer": (store.writer._connection, gate._holder and gate._holder.what, gate.queue, gate._coming),
        "file": gate._file and (gate._file.kept, gate._file._past, gate._watching),
    }


def test_a_retired_store_leaves_nothing_open(path, tmp_path):
    """Writers wait for their turn while the file is renamed over: the old file's connections are all closed in the end."""
    news = []
    for number in range(4):
        news.append(tmp_path / f"new{number}.db")
        with coeval.open(news[-1]) as new:
            new.script("CREATE TABLE t(x)")
    done = threading.Event()
    with coeval.open(path, durability="normal") as db:
        db.script("CREATE TABLE t(x)")

        def write():
            while not done.is_set():
                with contextlib.suppress(errors.StoreError):
                    db.execute("INSERT INTO t VALUES (1)")

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        for new in news:
            seen = db.stats().reopened
            new.rename(path)
            end = time.monotonic() + 30
            while db.stats().reopened == seen and time.monotonic() < end:
                time.sleep(0)
        done.set()
        for thread in threads:
            thread.join(30)
        end = time.monotonic() + 30
        while db._engine._retired and time.monotonic() < end:
            time.sleep(0)
        assert [] == [_rest(store) for store in db._engine._retired]
    assert 0 == len([name for name in open_files() if name.endswith("(deleted)") and str(path) in name])


def open_files():
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found
