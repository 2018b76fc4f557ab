"""Cached reads of `coeval.open` are never older than what a dbapi connection has committed (law 1)."""

from __future__ import annotations

from contextlib import closing

import pytest

import coeval
from coeval import dbapi


@pytest.fixture
def db(path):
    with coeval.open(path, durability="normal") as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, n, data BLOB); INSERT INTO t VALUES (1, 0, zeroblob(4))")
        yield db


@pytest.fixture
def connection(db, path):
    connection = dbapi.connect(path)
    yield connection
    connection.close()


def cached(db, sql="SELECT n, data FROM t ORDER BY id"):
    """The rows, read twice: now they are in the cache."""
    db.query(sql)
    hits = db.statistics.hits if hasattr(db, "statistics") else db.stats().hits
    rows = db.query(sql)
    assert hits < (db.statistics.hits if hasattr(db, "statistics") else db.stats().hits)
    return [tuple(row) for row in rows]


def rows(db, sql="SELECT n, data FROM t ORDER BY id"):
    return [tuple(row) for row in db.query(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE t SET n = 1", [(1, bytes(4))]),
        ("INSERT INTO t(n) VALUES (2)", [(0, bytes(4)), (2, None)]),
        ("REPLACE INTO t(id, n) VALUES (1, 3)", [(3, None)]),
        ("DELETE FROM t", []),
        (
            "ALTER TABLE t RENAME COLUMN id TO other; ALTER TABLE t RENAME COLUMN other TO id; UPDATE t SET n = 4",
            [(4, bytes(4))],
        ),
        ("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, n, data)", []),
    ],
)
def test_a_cached_read_sees_a_write(db, connection, sql, expected):
    """Not before its commit, and at once after it."""
    before = cached(db)
    connection.execute("BEGIN")
    for one in sql.split(";"):
        connection.execute(one)
    assert before == rows(db)
    connection.commit()
    assert expected == rows(db)


def test_what_is_rolled_back_is_never_seen(db, connection):
    """Nor does it cost the cached result."""
    before = cached(db)
    connection.execute("UPDATE t SET n = 1")
    connection.rollback()
    assert before == rows(db)


def test_a_blob_write_is_seen(db, connection):
    """An incremental write fires no trigger, and still a cached read sees it once the blob is closed (hole 10)."""
    cached(db)
    with connection.blobopen("T", "data", 1) as blob:
        blob.write(b"ab")
        assert [(0, bytes(4))] == cached(db)
        blob[3] = ord("d")
    assert [(0, b"ab\0d")] == rows(db)


def test_a_blob_write_in_a_transaction_is_seen_with_its_commit(db, connection):
    """The stamp is replaced in the transaction that the write is in, and lost with it."""
    cached(db)
    connection.execute("BEGIN")
    with connection.blobopen("t", "data", 1) as blob:
        blob[0:4] = b"none"
    connection.rollback()
    assert [(0, bytes(4))] == cached(db)
    connection.execute("BEGIN")
    with connection.blobopen("t", "data", 1) as blob:
        blob[0:4] = b"some"
    connection.commit()
    assert [(0, b"some")] == rows(db)


def test_a_blob_that_is_only_read_has_no_turn(db, connection):
    """Reading is for everybody."""
    with connection.blobopen("t", "data", 1, readonly=True) as blob:
        assert bytes(4) == blob.read()
        db.execute("INSERT INTO t(n) VALUES (1)")


@pytest.mark.parametrize("size", [4096, 1024])
def test_a_backup_onto_the_file_is_seen(db, connection, size):
    """Whatever the other database is, cached results of the old contents are gone, and the file stays Coeval's."""
    cached(db)
    with dbapi.connect(":memory:") as source:
        source.execute(f"PRAGMA page_size = {size}")
        source.executescript(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, n, data); INSERT INTO t VALUES (1, 'copied', NULL)"
        )
        told = []
        source.backup(connection, pages=1, progress=lambda *numbers: told.append(numbers))
    assert [("copied", None)] == cached(db)
    assert dbapi.SQLITE_DONE == told[-1][0]
    assert "wal" == connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.execute("UPDATE t SET n = 'changed'")
    connection.commit()
    assert [("changed", None)] == rows(db)
    source.close()


def test_an_older_copy_of_the_file_is_seen(db, connection):
    """A backup and its way back: its own stamps vouch for nothing of ours."""
    copy = dbapi.connect(":memory:")
    connection.backup(copy)
    db.execute("UPDATE t SET n = 1")
    assert [(1, bytes(4))] == cached(db)
    copy.backup(connection)
    assert [(0, bytes(4))] == rows(db)
    copy.close()


def test_a_copy_with_forged_stamps_is_seen(db, connection):
    """A copy that was changed with triggers off has our stamps and other rows: it is not believed."""
    cached(db)
    copy = dbapi.connect(":memory:")
    connection.backup(copy)
    copy.setconfig(dbapi.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
    copy.execute("UPDATE t SET n = 'forged'")
    copy.commit()
    copy.backup(connection)
    assert [("forged", bytes(4))] == rows(db)
    copy.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE _coeval_stamps SET stamp = 1",
        "INSERT INTO _COEVAL_STAMPS VALUES (99, 1)",
        "DELETE FROM _coeval_tables",
        "UPDATE _coeval_schema SET version = 0",
        "DROP TABLE _coeval_stamps",
        "CREATE TRIGGER x AFTER UPDATE ON t BEGIN UPDATE _coeval_stamps SET stamp = 1; END; UPDATE t SET n = 1",
        "CREATE TRIGGER x BEFORE UPDATE ON _coeval_stamps BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TEMP TRIGGER x BEFORE UPDATE ON _coeval_stamps BEGIN SELECT RAISE(IGNORE); END",
        "CREATE INDEX x ON _coeval_stamps(stamp)",
        "ALTER TABLE _coeval_stamps RENAME TO x",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA main.journal_mode(DELETE)",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA schema_version = 7",
    ],
)
def test_what_the_caches_rest_on_is_refused(db, connection, sql):
    """Forged stamps and another journal are refused in words, whichever way they are asked for."""
    with pytest.raises(dbapi.DatabaseError, match=r"not authorized: .*[Cc]oeval"):
        connection.executescript(sql)
    connection.rollback()
    with pytest.raises(dbapi.DatabaseError, match=r"not authorized: .*[Cc]oeval"):
        connection.execute("UPDATE t SET n = 2" if sql.endswith("n = 1") else sql)


def test_an_own_statement_leaves_no_way_in(db, connection):
    """The text that Coeval itself stamps with is refused to others, also right after it ran."""
    with connection.blobopen("t", "data", 1) as blob:
        blob.write(b"x")
    with pytest.raises(dbapi.DatabaseError, match="not authorized"):
        connection.execute("UPDATE main._coeval_stamps SET stamp = random() WHERE id = ?", (1,))


def test_an_authorizer_cannot_switch_the_triggers_off(db, connection):
    """The user's authorizer is asked about the user's statements, and not about the stamps."""
    asked = []

    def authorize(action, first, *rest):
        asked.append(first)
        return dbapi.SQLITE_IGNORE if first == "_coeval_stamps" else dbapi.SQLITE_OK

    connection.set_authorizer(authorize)
    cached(db)
    connection.execute("UPDATE t SET n = 6")
    connection.commit()
    assert "t" in asked
    assert "_coeval_stamps" not in asked
    assert [(6, bytes(4))] == rows(db)


def test_triggers_stay_on(db, connection):
    """The option that would switch them off is refused; others are the connection's own."""
    with pytest.raises(dbapi.NotSupportedError, match="Triggers"):
        connection.setconfig(dbapi.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
    connection.setconfig(dbapi.SQLITE_DBCONFIG_ENABLE_FKEY, True)
    assert (1,) == connection.execute("PRAGMA foreign_keys").fetchone()


def test_a_dump_leaves_out_what_is_ours(db, connection):
    """It can be loaded anywhere, into a file of Coeval's too."""
    text = "\n".join(connection.iterdump())
    assert "_coeval" not in text
    assert "INSERT INTO \"t\" VALUES(1,0,X'00000000');" in text


def test_a_file_cannot_be_swapped_for_memory(db, connection):
    """deserialize() would leave the file behind."""
    with pytest.raises(dbapi.NotSupportedError, match="deserialize"):
        connection.deserialize(connection.serialize())


def test_what_the_triggers_call_cannot_be_replaced(db, connection):
    """Here the stamps would be others than all else reads."""
    for replace in (connection.create_function, connection.create_aggregate, connection.create_window_function):
        with pytest.raises(dbapi.NotSupportedError, match="triggers call"):
            replace("Unicode", 1, None)


def test_what_the_triggers_of_an_attached_file_call_cannot_be_replaced(db, path):
    """Neither while it is attached, nor before."""
    with closing(dbapi.connect(":memory:")) as one, closing(dbapi.connect(":memory:")) as other:
        one.execute("ATTACH ? AS file", (str(path),))
        with pytest.raises(dbapi.NotSupportedError, match="triggers call"):
            one.create_function("random", 0, lambda: 4)
        other.create_function("random", 0, lambda: 4)
        with pytest.raises(dbapi.DatabaseError, match="replaced here"):
            other.execute("ATTACH ? AS file", (str(path),))


def test_temp_triggers_are_refused(db, connection, path):
    """One that fails or is passed over AFTER INSERT would keep ours from running; made in memory first, it keeps the file away."""
    sql = "CREATE TEMP TRIGGER mine AFTER INSERT ON t BEGIN SELECT RAISE(IGNORE); END"
    with pytest.raises(dbapi.DatabaseError, match="keep Coeval's from running"):
        connection.execute(sql)
    with closing(dbapi.connect(":memory:")) as one, closing(dbapi.connect(":memory:")) as other:
        one.execute("ATTACH ? AS file", (str(path),))
        with pytest.raises(dbapi.DatabaseError, match="keep Coeval's from running"):
            one.execute(sql)
        other.executescript(f"CREATE TABLE t (a); {sql}")
        with pytest.raises(dbapi.DatabaseError, match="attached file"):
            other.execute("ATTACH ? AS file", (str(path),))
