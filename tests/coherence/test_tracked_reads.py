"""Whatever a tracked call reads is noted, or keeps its value from being kept; whatever would write raises (laws 2 and 3)."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import coeval
from coeval import dbapi, errors
from coeval.coherence.proof import Witness
from coeval.coherence.stamps import Seen

SUM = "SELECT sum(v) FROM t"


@pytest.fixture
def db(db):
    """Numbers, and a blob."""
    db.script(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2);"
        "CREATE TABLE u (x); CREATE TABLE b (id INTEGER PRIMARY KEY, data); INSERT INTO b VALUES (1, x'01')"
    )
    return db


def within_snapshot(db):
    """By a snapshot's own calls."""
    with db.snapshot() as snap:
        return snap.scalar(SUM)


def streamed(db):
    """Row by row."""
    with db.iterate("SELECT v FROM t") as rows:
        return sum(v for (v,) in rows)


def streamed_within_snapshot(db):
    """Row by row, of one moment."""
    with db.snapshot() as snap, snap.iterate("SELECT v FROM t") as rows:
        return sum(v for (v,) in rows)


async def _streamed(db):
    return sum([v async for (v,) in db.aio.iterate("SELECT v FROM t")])


async def _within_snapshot(db):
    async with db.aio.snapshot() as snap:
        return await snap.scalar(SUM) + 0 * sum([v async for (v,) in snap.iterate("SELECT v FROM t")])


async def _gathered(db):
    a, b = await asyncio.gather(
        db.aio.scalar("SELECT v FROM t WHERE id = 1"), db.aio.scalar("SELECT sum(v) FROM t WHERE id > 1")
    )
    return a + b


async def _elsewhere(db):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, db.scalar, SUM)


async def _sent_to_another_loop(db):
    return await asyncio.to_thread(lambda: asyncio.run(db.aio.scalar(SUM)))


NOTED = {
    "one": lambda db: db.one(SUM)[0],
    "first": lambda db: db.first(SUM)[0],
    "execute of a read": lambda db: db.execute(SUM).rows[0][0],
    "snapshot": within_snapshot,
    "iterate": streamed,
    "iterate in a snapshot": streamed_within_snapshot,
    "aio scalar": lambda db: asyncio.run(db.aio.scalar(SUM)),
    "aio iterate": lambda db: asyncio.run(_streamed(db)),
    "aio snapshot": lambda db: asyncio.run(_within_snapshot(db)),
    "aio execute of a read": lambda db: asyncio.run(db.aio.execute(SUM)).rows[0][0],
    "gather": lambda db: asyncio.run(_gathered(db)),
    "run_in_executor": lambda db: asyncio.run(_elsewhere(db)),
    "to_thread, another loop": lambda db: asyncio.run(_sent_to_another_loop(db)),
}


@pytest.mark.parametrize("way", NOTED)
def test_reads_are_noted(db, way):
    """The value is kept, and gone when its table is written."""
    runs: list[int] = []

    @db.cached
    def total():
        runs.append(1)
        return NOTED[way](db)

    assert [3, 3] == [total(), total()]
    assert len(runs) == 1
    db.execute("INSERT INTO t VALUES (3, 3)")
    assert [6, 6] == [total(), total()]
    assert len(runs) == 2


def by_dbapi(db):
    """Through the sqlite3-shaped module."""
    connection = dbapi.connect(db.path)
    try:
        return connection.execute(SUM).fetchone()[0]
    finally:
        connection.close()


def by_blob(db):
    """In pieces."""
    with db.blob("b", "data", 1) as blob:
        return blob.read()


async def _by_blob(db):
    async with db.aio.blob("b", "data", 1) as blob:
        return await blob.read()


UNNOTED = {
    "dbapi": by_dbapi,
    "blob": by_blob,
    "aio blob": lambda db: asyncio.run(_by_blob(db)),
    "check": lambda db: db.check().ok,
    "aio check": lambda db: asyncio.run(db.aio.check()).ok,
    "stats": lambda db: db.stats().writes,
    "aio stats": lambda db: asyncio.run(db.aio.stats()).writes,
    "explain": lambda db: db.explain(SUM).plan,
    "aio explain": lambda db: asyncio.run(db.aio.explain(SUM)).plan,
    "random": lambda db: db.scalar("SELECT random()"),
}


@pytest.mark.parametrize("way", UNNOTED)
def test_what_is_not_noted_is_not_kept(db, way):
    """Though the function has read a table, too; nor is that of a cached function around it."""
    runs: list[str] = []

    @db.cached
    def inner():
        runs.append("inner")
        return str(UNNOTED[way](db)), db.scalar(SUM)

    @db.cached
    def outer():
        runs.append("outer")
        return inner(), db.scalar(SUM)

    for _ in range(2):
        inner()
        outer()
    assert 2 == runs.count("outer")
    assert 4 == runs.count("inner")


def test_a_cursor_a_stream_and_a_blob_of_before(db):
    """They give their rows inside, so the call is not kept."""
    connection = dbapi.connect(db.path)
    cursors, streams, runs = (
        [connection.execute("SELECT v FROM t") for _ in range(2)],
        [db.iterate("SELECT v FROM t")],
        [],
    )

    @db.cached
    def total():
        runs.append(1)
        return db.scalar(SUM), cursors.pop().fetchone() if cursors else None, list(streams.pop()) if streams else None

    for _ in range(4):
        total()
    assert 3 == len(runs)  # the last found nothing to take, and is kept
    connection.close()
    with db.blob("b", "data", 1) as blob:

        @db.cached
        def piece():
            runs.append(1)
            blob.seek(0)
            return db.scalar(SUM), blob.read()

        piece()
        piece()
    assert 5 == len(runs)


def test_what_another_databases_transaction_says(db, tmp_path):
    """A call inside a transaction of another file would be kept with what nobody else can see."""
    with coeval.open(tmp_path / "other.db") as other:
        other.script("CREATE TABLE o (v); INSERT INTO o VALUES (1)")
        inner = other.cached(lambda: other.scalar("SELECT v FROM o"))
        read = db.cached(lambda: (db.scalar(SUM), other.scalar("SELECT v FROM o")))
        nested = db.cached(lambda: (db.scalar(SUM), inner()))
        with other.transaction() as tx:
            tx.execute("UPDATE o SET v = 2")
            assert [(3, 2), (3, 2)] == [read(), nested()]
        with other.transaction() as tx:
            tx.execute("UPDATE o SET v = 3")
            assert [(3, 3), (3, 3)] == [read(), nested()]


def test_what_is_read_after_the_call_that_began_it(db):
    """A thread that outlives the inner call tells the outer one, which uses what it reads."""
    runs: list[str] = []

    @db.cached
    def inner():
        db.scalar("SELECT count(*) FROM u")
        found: list[Any] = []

        def read():
            assert go.wait(10)
            found.append(db.scalar(SUM))

        thread = threading.Thread(target=read)
        thread.start()
        handed.append((thread, found))
        return 1

    @db.cached
    def outer():
        runs.append("outer")
        inner.refresh()
        go.set()
        thread, found = handed.pop()
        thread.join()
        return found[0]

    go, handed = threading.Event(), []
    assert [3, 3] == [outer(), outer()]
    assert runs == ["outer"]
    go.clear()
    db.execute("INSERT INTO t VALUES (3, 3)")
    assert [6, 6] == [outer(), outer()]


def test_a_read_that_ends_after_the_call_is_the_outer_ones():
    """It began inside; what it brings is told to the innermost call that still runs."""
    outer = Witness("engine")
    inner = Witness("engine", outer)
    for one in (outer, inner):
        one.begin((), Seen(1, (), b"mark"))
    assert inner.close() is not None
    inner.saw("engine", (7,), Seen(1, (8,), b"later"))
    inner.expire(5.0)
    proof = outer.close()
    assert proof is not None
    assert ((7,), (8,), None, 5.0) == (proof.scopes, proof.stamps, proof.mark, outer.expires)
    outermost = Witness("engine")
    late = Witness("engine", outermost)
    late.close()
    late.refuse("no proof")
    assert ["no proof"] == list(outermost.reasons)


def by_cursor(db, sql="INSERT INTO u VALUES (1)"):
    """Through the sqlite3-shaped module."""
    connection = dbapi.connect(db.path, isolation_level=None)
    try:
        connection.execute(sql)
    finally:
        connection.close()


def by_dbapi_blob(db):
    """In place."""
    connection = dbapi.connect(db.path)
    try:
        connection.blobopen("b", "data", 1).write(b"2")
    finally:
        connection.close()


def in_thread(db):
    """By a thread that is started inside."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(db.execute, "INSERT INTO u VALUES (1)").result()


def in_blob(db):
    """A writable blob is a transaction."""
    with db.blob("b", "data", 1, writable=True) as blob:
        blob.write(b"2")


async def _in_transaction(db):
    async with db.aio.transaction() as tx:
        await tx.execute("INSERT INTO u VALUES (1)")


async def _by_write(db):
    async def add(tx):
        await tx.execute("INSERT INTO u VALUES (1)")

    await db.aio.write(add)


async def _in_task(db):
    await asyncio.create_task(db.aio.execute("INSERT INTO u VALUES (1)"))


WRITES = {
    "write": lambda db: db.write(lambda tx: tx.execute("INSERT INTO u VALUES (1)")),
    "write that only reads": lambda db: db.write(lambda tx: tx.scalar(SUM)),
    "schema": lambda db: db.execute("CREATE TABLE more (x)"),
    "blob": in_blob,
    "thread": in_thread,
    "vacuum": lambda db: db.vacuum(),
    "invalidate": lambda db: db.invalidate("tag"),
    "apply": lambda db: db.apply(b""),
    "dbapi": by_cursor,
    "dbapi BEGIN IMMEDIATE": lambda db: by_cursor(db, "BEGIN IMMEDIATE"),
    "dbapi script": lambda db: dbapi.connect(db.path).executescript("INSERT INTO u VALUES (1)"),
    "dbapi blob": by_dbapi_blob,
    "aio": lambda db: asyncio.run(db.aio.execute("INSERT INTO u VALUES (1)")),
    "aio schema": lambda db: asyncio.run(db.aio.execute("CREATE TABLE more (x)")),
    "aio many": lambda db: asyncio.run(db.aio.executemany("INSERT INTO u VALUES (?)", [(1,)])),
    "aio script": lambda db: asyncio.run(db.aio.script("INSERT INTO u VALUES (1)")),
    "aio load": lambda db: asyncio.run(db.aio.load("u", [(1,)])),
    "aio transaction": lambda db: asyncio.run(_in_transaction(db)),
    "aio write": lambda db: asyncio.run(_by_write(db)),
    "aio task": lambda db: asyncio.run(_in_task(db)),
    "aio invalidate": lambda db: asyncio.run(db.aio.invalidate("tag")),
    "aio vacuum": lambda db: asyncio.run(db.aio.vacuum()),
    "aio apply": lambda db: asyncio.run(db.aio.apply(b"")),
}


@pytest.mark.parametrize("way", WRITES)
@pytest.mark.filterwarnings("ignore:unclosed database")
def test_writes_raise(db, way):
    """In the function itself, and in what it starts; nothing is written, and afterwards everybody writes as before."""

    @db.cached
    def bad():
        db.scalar(SUM)
        WRITES[way](db)

    schema = "SELECT count(*) FROM sqlite_schema"
    before = db.scalar(schema)
    with pytest.raises(errors.TrackedWriteError, match=r"@db\.cached"):
        bad()
    assert [0, b"\x01", before] == [
        db.scalar("SELECT count(*) FROM u"), db.scalar("SELECT data FROM b"), db.scalar(schema)
    ]  # fmt: skip
    db.execute("INSERT INTO u VALUES (1)")


def test_what_was_opened_for_writing_before(db):
    """A blob, on either face, and a transaction."""
    connection = dbapi.connect(db.path)
    theirs = connection.blobopen("b", "data", 1)
    with pytest.raises(errors.TrackedWriteError):
        db.cached(lambda: theirs.write(b"2"))()
    theirs.close()
    connection.close()
    with db.blob("b", "data", 1, writable=True) as ours, pytest.raises(errors.TrackedWriteError):
        db.cached(lambda: ours.write(b"2"))()
    with db.transaction() as tx, pytest.raises(errors.TrackedWriteError):
        db.cached(lambda: tx.execute("INSERT INTO u VALUES (1)"))()
    assert [0, b"\x01"] == [db.scalar("SELECT count(*) FROM u"), db.scalar("SELECT data FROM b")]


def test_restore_raises_before_anything_is_replaced(db, tmp_path):
    """On both faces."""
    with coeval.open(tmp_path / "other.db") as other:
        other.script("CREATE TABLE t (v); INSERT INTO t VALUES (100)")
    blocking = db.cached(lambda: db.restore(tmp_path / "other.db"))
    asynchronous = db.cached(lambda: asyncio.run(db.aio.restore(tmp_path / "other.db")))
    for function in (blocking, asynchronous):
        with pytest.raises(errors.TrackedWriteError):
            function()
    assert 3 == db.scalar(SUM)


def test_a_transaction_inside_a_transaction(db):
    """What would raise outside raises there, too."""

    @db.cached
    def bad():
        with db.transaction():
            return 1

    with pytest.raises(errors.TrackedWriteError):
        bad()
    with db.transaction(), pytest.raises(errors.TrackedWriteError):
        bad()


def test_tags_are_first_invalidated_in_a_transaction(db):
    """Their stamps are made in it, where they were not there before; on either face."""
    with db.transaction():
        db.invalidate("a")

    async def within():
        async with db.aio.transaction():
            await db.aio.invalidate("b")

    asyncio.run(within())
    tagged = db.cached(tags=["a"])(lambda: object)
    assert tagged() is tagged()


def test_a_read_that_fails_is_noted(db):
    """What is answered then depends on the data that made it fail."""
    db.script("CREATE TABLE j (v); INSERT INTO j VALUES ('{bad'); CREATE TABLE beside (v)")
    sql = "SELECT v->>'$.x' FROM j"

    def in_a_snapshot():
        with db.snapshot() as moment:
            return moment.scalar(sql)

    def tolerant(read):
        def answer():
            db.scalar("SELECT count(*) FROM beside")
            try:
                return read()
            except coeval.Error:
                return "bad"

        return db.cached(answer)

    calls = [tolerant(lambda: db.scalar(sql)), tolerant(lambda: next(db.iterate(sql))[0]), tolerant(in_a_snapshot)]
    assert ["bad"] * 3 == [call() for call in calls]
    db.execute("UPDATE j SET v = ?", '{"x": 1}')
    assert [1] * 3 == [call() for call in calls]


def test_what_is_made_of_a_read_that_could_not_be_had(path, monkeypatch):
    """A reader that did not come in time says nothing of the data: what the function makes of that is not kept."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE TABLE u (v)")
        readers = db._engine.store().readers

        def nobody():
            raise errors.PoolTimeoutError("All readers are in use", hint="Wait.")

        @db.cached
        def answer(busy):
            db.scalar("SELECT count(*) FROM u")
            with monkeypatch.context() as patch:
                if busy:
                    for name in ("take", "hold"):
                        patch.setattr(readers, name, nobody)
                try:
                    return db.scalar("SELECT v FROM t WHERE v > ?", -len(busy))
                except errors.PoolTimeoutError:
                    busy.clear()
                    return "none"

        assert "none" == answer.__wrapped__(["busy"])
        assert [("none", 1), ("none", 1)] == [(answer(["busy"]), answer([])) for _ in range(2)]
        assert (1, 3) == answer.cache_info()[:2]
