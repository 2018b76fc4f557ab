"""A file that a connection attaches is guarded as its own: cached reads of it are never older than what was committed (laws 1 and 7)."""

from __future__ import annotations

import pytest

import coeval
from coeval import dbapi


@pytest.fixture
def db(path):
    with coeval.open(path, durability="normal") as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, n, d BLOB); INSERT INTO t VALUES (1, 0, x'616161')")
        yield db


@pytest.fixture(params=["file", "memory"])
def connection(request, db, path, tmp_path):
    """A connection to another file, or to memory, with the database attached as ``o``."""
    connection = dbapi.connect(":memory:" if request.param == "memory" else tmp_path / "other.db")
    connection.execute("ATTACH ? AS o", (str(path),))
    yield connection
    connection.close()


def cached(db, sql="SELECT d FROM t"):
    """The value, read twice: now it is in the cache."""
    db.scalar(sql)
    hits = db.stats().hits
    value = db.scalar(sql)
    assert hits < db.stats().hits
    return value


@pytest.mark.parametrize("name", ["o", "O"])
def test_a_blob_write_is_seen(db, connection, name):
    """An incremental write into an attached file fires no trigger either, and is seen once the blob is closed."""
    assert b"aaa" == cached(db)
    with connection.blobopen("t", "d", 1, name=name) as blob:
        blob.write(b"xyz")
        assert b"aaa" == cached(db)
    assert b"xyz" == db.scalar("SELECT d FROM t")


def test_a_blob_write_in_a_transaction_is_seen_with_its_commit(db, connection):
    """The stamp is replaced in the same transaction, and lost with it."""
    for end, seen in (connection.rollback, b"aaa"), (connection.commit, b"xyz"):
        cached(db)
        connection.execute("BEGIN")
        with connection.blobopen("T", "d", 1, name="o") as blob:
            blob.write(b"xyz")
        end()
        assert seen == db.scalar("SELECT d FROM t")


def test_a_blob_in_memory_needs_no_stamp():
    """Nor one in a temporary table."""
    with dbapi.connect(":memory:") as connection:
        connection.executescript(
            "CREATE TABLE m(d); CREATE TEMP TABLE x(d); INSERT INTO m VALUES ('aaa'); INSERT INTO x SELECT * FROM m"
        )
        for table, name in ("m", "main"), ("x", "temp"):
            with connection.blobopen(table, "d", 1, name=name) as blob:
                blob.write(b"xyz")
            assert ("xyz",) == connection.execute(f"SELECT d FROM {table}").fetchone()
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE o._coeval_stamps SET stamp = 1",
        "DELETE FROM o._coeval_stamps",
        "INSERT INTO _COEVAL_STAMPS VALUES (99, 1)",
        "DROP TABLE o._coeval_tables",
        "ALTER TABLE o._coeval_stamps RENAME TO x",
        "CREATE TRIGGER o.x BEFORE UPDATE ON _coeval_stamps BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TEMP TRIGGER x BEFORE UPDATE ON _coeval_stamps BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TEMP TRIGGER _coeval_insert_1 AFTER INSERT ON t BEGIN DELETE FROM _coeval_stamps; END",
        "CREATE INDEX o.x ON _coeval_stamps(stamp)",
        "PRAGMA o.schema_version = 77",
        "PRAGMA o.journal_mode = DELETE",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA locking_mode = EXCLUSIVE",
    ],
)
def test_what_the_caches_rest_on_is_refused(db, connection, sql):
    """In words, whichever way it is asked for; and a write that is allowed is seen."""
    cached(db, "SELECT n FROM t")
    with pytest.raises(dbapi.DatabaseError, match=r"not authorized: .*[Cc]oeval"):
        connection.execute(sql)
    connection.rollback()
    connection.execute("UPDATE o.t SET n = 7")
    connection.commit()
    assert 7 == db.scalar("SELECT n FROM t")


def test_triggers_stay_on_while_a_file_is_attached(db, path):
    """They are not switched off under it, nor is it attached where they are off, also by a statement that was compiled before."""
    with dbapi.connect(":memory:") as connection:
        option = dbapi.SQLITE_DBCONFIG_ENABLE_TRIGGER
        attach = f"ATTACH '{path}' AS o"
        connection.execute(attach)
        with pytest.raises(dbapi.NotSupportedError, match="DETACH"):
            connection.setconfig(option, False)
        assert connection.getconfig(option)
        connection.execute("DETACH o")
        connection.setconfig(option, False)
        for sql, parameters in (attach, ()), ("ATTACH ? AS o", (str(path),)):
            with pytest.raises(dbapi.DatabaseError, match="not authorized: Triggers are switched off"):
                connection.execute(sql, parameters)
        connection.execute("VACUUM")
        connection.setconfig(option, True)
        connection.execute(attach)
        cached(db, "SELECT n FROM t")
        connection.execute("UPDATE o.t SET n = 8")
    assert 8 == db.scalar("SELECT n FROM t")
    connection.close()


def test_an_authorizer_cannot_switch_the_triggers_off(db, connection):
    """The user's authorizer is not asked about the stamps of an attached file."""
    connection.set_authorizer(
        lambda _, first, *_rest: dbapi.SQLITE_IGNORE if first == "_coeval_stamps" else dbapi.SQLITE_OK
    )
    cached(db, "SELECT n FROM t")
    connection.execute("UPDATE o.t SET n = 9")
    connection.commit()
    assert 9 == db.scalar("SELECT n FROM t")


def test_a_private_database_keeps_its_pragmas():
    """What concerns memory alone is the connection's own, also where a file is attached."""
    with dbapi.connect(":memory:") as connection:
        connection.execute("PRAGMA schema_version = 7")
        assert ("memory",) == connection.execute("PRAGMA journal_mode = MEMORY").fetchone()
        assert (7,) == connection.execute("PRAGMA main.schema_version").fetchone()
    connection.close()
