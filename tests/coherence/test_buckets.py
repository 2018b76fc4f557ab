"""Results that depend on some values of a column: valid while others write elsewhere in the table, never one commit longer (laws 1 and 3).

Every write is by a program with the standard sqlite3 module and recursive_triggers off, unless it says otherwise (holes 2, 11, 21 to
23, 27).
"""

from __future__ import annotations

import contextlib
from typing import Any

import apsw
import pytest

import coeval.dbapi
from coeval.sqlite.target import find
from coherence.asking import cached, keep, truth

from processes import ForeignError

BY = "SELECT * FROM t WHERE c = ? ORDER BY 1, 2"
BY_TEXT = "SELECT * FROM t WHERE s = ? ORDER BY 1, 2"
BY_ID = "SELECT * FROM t WHERE id = ?"

NUMBERS = (1, 2, 3, 5, 7, 0, -1, -(2**63), 2**63 - 1)
TEXTS = ("a", "b", "A", "", "1", "1.0", "ä", "long text of many words", "dflt")

#: Every kind of unique key, the columns tracked: c is in none, s in one that needs another collation.
TABLE = """
CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER NOT NULL DEFAULT 7, s TEXT, k TEXT UNIQUE COLLATE NOCASE, m NOT NULL DEFAULT 'm',
                n INTEGER UNIQUE, v, UNIQUE (m, v));
CREATE UNIQUE INDEX by_s ON t (s COLLATE RTRIM, n);
INSERT INTO t VALUES (1, 1, 'a', 'one', 'x', 11, 1), (2, 2, 'b', 'two', 'm', 12, 2),
    (3, 3, NULL, 'three', 'x', 13, 3), (4, 1, 'A', NULL, 'y', 14, 4);
"""


@pytest.fixture
def db(db):
    db.script(TABLE)
    db.track("t", by=["id", "c", "s"])
    return db


def reads() -> list[tuple[str, Any]]:
    return [
        *((BY, value) for value in NUMBERS),
        *((BY_ID, value) for value in NUMBERS),
        *((BY_TEXT, value) for value in TEXTS),
    ]


def check_all(db: coeval.Database, write: Any) -> int:
    """Every narrowed read, kept before ``write`` and compared after it; how many of them were computed again."""
    for sql, value in reads():
        keep(db, sql, value)
    write()
    before = db.stats().misses
    for sql, value in reads():
        assert truth(db, sql, value) == cached(db, sql, value), (sql, value)
    return db.stats().misses - before


WRITES = {
    "insert": "INSERT INTO t(c, s) VALUES (5, 'long text of many words')",
    "insert with an automatic id": "INSERT INTO t(c) VALUES (9)",
    "insert of a default": "INSERT INTO t(s) VALUES ('b ')",
    "insert of NULL": "INSERT INTO t(c, s) VALUES (0, NULL)",
    "insert of the smallest": "INSERT INTO t(id, c) VALUES (-9223372036854775808, -9223372036854775808)",
    "insert of the largest": "INSERT INTO t(id, c) VALUES (9223372036854775807, 9223372036854775807)",
    "insert of a real": "INSERT INTO t(c, s) VALUES (1.0, 1.0)",
    "insert of the smallest as a real": "INSERT INTO t(c) VALUES (-9223372036854775808.0)",
    "insert of a text": "INSERT INTO t(c, s) VALUES ('1', 1)",
    "insert of a blob": "INSERT INTO t(c, s) VALUES (x'31', x'61')",
    "update that moves": "UPDATE t SET c = 5, s = 'ä' WHERE id = 1",
    "update that moves all": "UPDATE t SET c = c + 1, s = s || ''",
    "update to NULL": "UPDATE t SET s = NULL WHERE id = 1",
    "update from NULL": "UPDATE t SET s = '' WHERE id = 3",
    "update elsewhere": "UPDATE t SET v = 100 WHERE id = 1",
    "update of the id": "UPDATE t SET id = 7 WHERE id = 1",
    "update of the rowid": "UPDATE t SET rowid = 7 WHERE id = 1",
    "update from another table": "UPDATE t SET c = other.c FROM (SELECT 5 AS c) AS other WHERE id = 2",
    "delete": "DELETE FROM t WHERE id = 1",
    "delete all": "DELETE FROM t",
    "replace by id": "REPLACE INTO t(id, c) VALUES (1, 2)",
    "replace by rowid": "REPLACE INTO t(rowid, c) VALUES (1, 2)",
    "replace by k": "REPLACE INTO t(c, k) VALUES (5, 'ONE')",
    "replace by m and v": "REPLACE INTO t(c, m, v) VALUES (5, 'x', 1)",
    "replace by a default of m": "REPLACE INTO t(c, m, v) VALUES (5, NULL, 2)",
    "replace by n": "REPLACE INTO t(c, n) VALUES (5, 11)",
    "replace by n as text": "REPLACE INTO t(c, n) VALUES (5, '11')",
    "replace by s": "REPLACE INTO t(c, s, n) VALUES (5, 'a   ', 11)",
    "replace of three rows": "REPLACE INTO t(id, c, k, n) VALUES (1, 5, 'TWO', 13)",
    "replace with a default": "REPLACE INTO t(id, c) VALUES (1, NULL)",
    "replace rows of the same statement": "REPLACE INTO t(c, n) VALUES (5, 20), (2, 20), (3, 20)",
    "update or replace by id": "UPDATE OR REPLACE t SET id = 2 WHERE id = 1",
    "update or replace by rowid": "UPDATE OR REPLACE t SET _rowid_ = 2 WHERE id = 1",
    "update or replace by oid": "UPDATE OR REPLACE t SET OID = 2 WHERE id = 1",
    "update or replace by k": "UPDATE OR REPLACE t SET k = 'TWO' WHERE id = 1",
    "update or replace by n": "UPDATE OR REPLACE t SET n = 12 WHERE id = 1",
    "update or replace by m and v": "UPDATE OR REPLACE t SET m = NULL, v = 2 WHERE id = 1",
    "update or replace by s": "UPDATE OR REPLACE t SET s = 'b ', n = 12 WHERE id = 1",
    "update or replace with a default": "UPDATE OR REPLACE t SET c = NULL WHERE id = 1",
    "update or replace one after the other": "UPDATE OR REPLACE t SET n = 12",
    "insert or ignore": "INSERT OR IGNORE INTO t(id, c) VALUES (1, 5), (9, 5)",
    "insert or fail": "INSERT OR FAIL INTO t(id, c) VALUES (9, 5), (1, 5)",
    "upsert": "INSERT INTO t(id, c) VALUES (1, 3) ON CONFLICT (id) DO UPDATE SET c = 5, s = 'b'",
    "upsert by another key": "INSERT INTO t(c, n) VALUES (3, 11) ON CONFLICT (n) DO UPDATE SET c = excluded.c, id = 5",
    "upsert or replace": "INSERT OR REPLACE INTO t(id, c, k) VALUES (1, 5, 'two') ON CONFLICT (id) DO UPDATE SET c = 7",
    "upsert that does nothing": "INSERT INTO t(id, c) VALUES (1, 3) ON CONFLICT DO NOTHING",
}


@pytest.mark.parametrize("write", WRITES)
def test_after_every_kind_of_write(db, foreign, write):
    """No narrowed read is older than the write; and some are not touched by it."""

    def change() -> None:
        with contextlib.suppress(ForeignError):  # OR FAIL, which keeps what was done before
            foreign.execute(WRITES[write])

    assert check_all(db, change) < len(reads())


@pytest.mark.parametrize("write", WRITES)
def test_after_every_kind_of_write_where_triggers_of_the_user_fail_late(path, open_db, foreign, write):
    """An AFTER trigger that fails by OR FAIL leaves the row of its statement, and keeps other AFTER triggers from running."""
    db = open_db()
    db.script(f"{TABLE} CREATE TABLE log (x UNIQUE); INSERT INTO log VALUES (1)")
    for event in ("INSERT", "UPDATE", "DELETE"):
        foreign.execute(f"CREATE TRIGGER late_{event} AFTER {event} ON t BEGIN INSERT INTO log VALUES (1); END")
    db.track("t", by=["c", "s"])
    for event in ("INSERT", "UPDATE", "DELETE"):  # whether made before ours or after them
        foreign.execute(f"CREATE TRIGGER later_{event} AFTER {event} ON t BEGIN SELECT RAISE(FAIL, 'no'); END")
    db.query("SELECT 1")  # verified again

    def change() -> None:
        for failing in ("OR FAIL", ""):
            with contextlib.suppress(ForeignError):
                sql = WRITES[write]
                for verb in ("INSERT INTO", "UPDATE t"):
                    sql = sql.replace(verb, f"{verb.split()[0]} {failing} {verb.split()[1]}") if failing else sql
                foreign.execute(sql)

    check_all(db, change)
    with pytest.raises(coeval.errors.ConfigError, match="automatic id"):
        db.track("t", by=["id"])


def test_a_write_elsewhere_leaves_an_entry_valid(db, foreign):
    """What it is all for: another value's rows come, change, move and go, and nothing is computed again."""
    kept = keep(db, BY, 1), keep(db, BY_TEXT, "a"), keep(db, BY_ID, 3)
    before = db.stats()
    for write in (
        "INSERT INTO t(c, s) VALUES (2, 'b')",
        "UPDATE t SET c = 5, s = 'zz' WHERE id = 2",
        "UPDATE t SET v = 9 WHERE id = 2",
        "DELETE FROM t WHERE id = 2",
    ):
        foreign.execute(write)
        assert kept == (cached(db, BY, 1), cached(db, BY_TEXT, "a"), cached(db, BY_ID, 3))
    after = db.stats()
    assert (before.misses, before.revalidated + 12) == (after.misses, after.revalidated)


def test_an_empty_answer_for_an_id_to_come(db, foreign):
    """Hole 21: the id is not known before the row is there."""
    for expected in (5, 6, 7):
        assert () == keep(db, BY_ID, expected)
        assert () == keep(db, "SELECT c FROM t WHERE id IN (?, ?)", expected, expected + 1)
        foreign.execute("INSERT INTO t(c) VALUES (1)")
        assert truth(db, BY_ID, expected) == cached(db, BY_ID, expected) != ()
        assert ((1,),) == cached(db, "SELECT c FROM t WHERE id IN (?, ?)", expected, expected + 1)


def test_in_a_transaction_that_is_rolled_back_nothing_happens(db, foreign):
    """Stamps come and go with the rows."""
    kept = keep(db, BY, 1)
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("UPDATE t SET c = 9")
    foreign.execute("SAVEPOINT s")
    foreign.execute("DELETE FROM t")
    foreign.execute("ROLLBACK TO s")
    assert kept == cached(db, BY, 1)
    foreign.execute("ROLLBACK")
    misses = db.stats().misses
    assert kept == cached(db, BY, 1) == truth(db, BY, 1)
    assert misses == db.stats().misses


def test_rows_changed_by_foreign_keys(open_db, foreign):
    """Cascades fire the triggers of the tables that they reach."""
    db = open_db()
    db.script(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3);"
        "CREATE TABLE gone (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);"
        "CREATE TABLE freed (id INTEGER PRIMARY KEY, p INTEGER DEFAULT 3 REFERENCES p ON DELETE SET NULL ON UPDATE SET DEFAULT);"
        "INSERT INTO gone SELECT id, id FROM p; INSERT INTO freed SELECT id, id FROM p"
    )
    db.track("gone", by="p")
    db.track("freed", by=["p"])
    foreign.execute("PRAGMA foreign_keys = ON")
    questions = [
        (f"SELECT id FROM {table} WHERE p = ?", value) for table in ("gone", "freed") for value in (1, 2, 3, 9)
    ]
    for write in (
        "UPDATE p SET id = 9 WHERE id = 1",
        "DELETE FROM p WHERE id = 9",
        "DELETE FROM p WHERE id = 2",
        "REPLACE INTO p VALUES (3)",
    ):
        for question in questions:
            keep(db, *question)
        foreign.execute(write)
        for question in questions:
            assert truth(db, *question) == cached(db, *question), (write, question)


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE t (a INTEGER, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE t (a INTEGER, b TEXT, PRIMARY KEY (b COLLATE NOCASE)) WITHOUT ROWID",
        "CREATE TABLE t (a INTEGER PRIMARY KEY DESC, b TEXT)",
        "CREATE TABLE t (a INTEGER, b TEXT UNIQUE)",
        'CREATE TABLE t (a INTEGER, b TEXT, rowid UNIQUE DEFAULT 5, "Oid" TEXT)',
        "CREATE TABLE t (a INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 2, b TEXT NOT NULL DEFAULT 'it''s' UNIQUE ON CONFLICT REPLACE)",
        "CREATE TABLE t (a INT, b VARCHAR(9), g AS (a + 1) STORED)",
        "CREATE TABLE t (a INTEGER, b TEXT) STRICT",
    ],
)
def test_tables_of_every_kind(open_db, foreign, table):
    """Without rowids, with a hidden one, with keys that resolve conflicts by themselves, with generated columns, strict."""
    db = open_db()
    with contextlib.suppress(coeval.errors.SQLError):
        db.script(table)
    db.track("t", by=["a", "b"])
    questions: list[tuple[str, Any]] = [("SELECT a, b FROM t WHERE a = ?", value) for value in (1, 2, 3, 4)]
    questions += [("SELECT a, b FROM t WHERE b = ?", value) for value in ("x", "y", "X", "it's")]
    done = 0
    for write in (
        "INSERT INTO t(a, b) VALUES (1, 'x'), (2, 'y')",
        "REPLACE INTO t(a, b) VALUES (3, 'x')",
        "REPLACE INTO t(a, b) VALUES (1, 'X')",
        "INSERT INTO t(a, b) VALUES (NULL, NULL)",
        "INSERT OR REPLACE INTO t(a, b) VALUES (NULL, 'y')",
        "INSERT OR REPLACE INTO t(a) VALUES (4)",
        "REPLACE INTO t(_rowid_, a, b) VALUES (1, 4, 'y')",
        "UPDATE OR REPLACE t SET a = 1, b = 'x'",
        "UPDATE OR REPLACE t SET b = NULL",
        "UPDATE OR REPLACE t SET _rowid_ = 2",
        "UPDATE t SET a = 3",
        "DELETE FROM t",
    ):
        for question in questions:
            keep(db, *question)
        with contextlib.suppress(ForeignError):
            foreign.execute(write)
            done += 1
        for question in questions:
            assert truth(db, *question) == cached(db, *question), (write, question)
    assert done >= 6


def test_a_user_s_triggers_write_the_same_table(db, foreign):
    """Before the row, after it, and instead of what it was."""
    foreign.execute("CREATE TRIGGER move BEFORE UPDATE OF v ON t BEGIN UPDATE t SET c = 5 WHERE id = NEW.id; END")
    foreign.execute(
        "CREATE TRIGGER more AFTER DELETE ON t BEGIN UPDATE t SET c = 3, s = 'b' WHERE id = OLD.id + 1; END"
    )
    foreign.execute("CREATE TRIGGER swap BEFORE DELETE ON t BEGIN UPDATE t SET c = 0, s = 'ä' WHERE id = OLD.id; END")
    for write in ("UPDATE t SET v = v + 10", "DELETE FROM t WHERE id = 1", "REPLACE INTO t(id, c) VALUES (3, 1)"):
        check_all(db, lambda sql=write: foreign.execute(sql))


def test_writes_that_fire_no_trigger(db):
    """Hole 10: our own ways of writing without triggers give new stamps to every bucket."""
    db.script(
        "CREATE TABLE b (id INTEGER PRIMARY KEY, c INTEGER, v BLOB); INSERT INTO b VALUES (1, 1, zeroblob(3)), (2, 2, zeroblob(3))"
    )
    db.track("b", by=["c"])
    read = "SELECT v FROM b WHERE c = ?"
    keep(db, read, 1)
    with db.blob("b", "v", 1, writable=True) as blob:
        blob.write(b"new")
    assert ((b"new",),) == cached(db, read, 1)
    own = apsw.Connection(db.path)
    assert find(own, "b").quiet(updates=True)  # our triggers are no user's, which would have to fire
    own.close()
    keep(db, read, 3)
    db.load("b", [(3, 3, b"loaded")])
    assert ((b"loaded",),) == cached(db, read, 3)
    with db.transaction() as tx:
        with tx.record("b") as recording:
            tx.execute("UPDATE b SET c = 4 WHERE id = 3")
        changes = recording.changeset
        tx.execute("UPDATE b SET c = 3 WHERE id = 3")
    keep(db, read, 3)
    keep(db, read, 4)
    db.apply(changes)
    assert () == cached(db, read, 3)
    assert ((b"loaded",),) == cached(db, read, 4)


def test_a_blob_written_through_the_dbapi(db, path):
    """Hole 10: its own file, and a file that it has attached."""
    db.script("CREATE TABLE b (id INTEGER PRIMARY KEY, c INTEGER, v BLOB); INSERT INTO b VALUES (1, 1, zeroblob(3))")
    db.track("b", by=["c"])
    for place, schema in ((path, "main"), (path.with_name("other.db"), "attached")):
        keep(db, "SELECT v FROM b WHERE c = ?", 1)
        connection = coeval.dbapi.connect(place)
        if schema != "main":
            connection.execute(f"ATTACH '{path}' AS {schema}")
        with connection.blobopen("b", "v", 1, name=schema) as blob:
            blob.write(schema[:3].encode())
        connection.commit()
        connection.close()
        assert ((schema[:3].encode(),),) == cached(db, "SELECT v FROM b WHERE c = ?", 1)


def test_a_transaction_compares_the_values_that_it_read(db, foreign):
    """`write` is serialisable by buckets: another's row does not matter, one's own does."""
    turns: list[int] = []

    def work(tx: coeval.Transaction) -> None:
        tx.query(BY, 1)
        if not turns:
            foreign.execute("UPDATE t SET v = 8 WHERE c = 2")
        elif len(turns) == 1:
            foreign.execute("INSERT INTO t(c) VALUES (1)")
        turns.append(1)
        tx.execute("UPDATE t SET v = 7 WHERE id = 1")

    db.write(work, retry=0)
    with pytest.raises(coeval.errors.SerializationError, match="table t"):
        db.write(work, retry=0)
    db.write(work, retry=0)


def test_inside_a_snapshot_and_a_cached_function(db, foreign):
    """The stamps of buckets are of the same moment as the rows, there too."""

    @db.cached
    def rows(value: int) -> Any:
        return db.query(BY, value)

    old = [tuple(row) for row in rows(1)]
    foreign.execute("INSERT INTO t(c) VALUES (2)")
    misses = db.stats().misses
    assert old == [tuple(row) for row in rows(1)]
    assert misses == db.stats().misses
    with db.snapshot() as snap:
        before = cached(db, BY, 1)
        foreign.execute("UPDATE t SET c = 1")
        assert before == tuple(map(tuple, snap.query(BY, 1)))
    assert truth(db, BY, 1) == cached(db, BY, 1) == tuple(map(tuple, rows(1)))


@pytest.mark.parametrize("script", [False, True])
def test_a_temporary_trigger_of_a_transaction(db, script):
    """It comes before ours and may skip them; then all that was kept before is worth nothing."""
    made = "CREATE TEMP TRIGGER skip AFTER INSERT ON main.t BEGIN SELECT RAISE(IGNORE); END"
    before = cached(db, BY, 1)
    if script:
        db.script(f"{made}; INSERT INTO t(c) VALUES (1)")
    else:
        with db.transaction() as tx:
            tx.execute(made)
            tx.execute("INSERT INTO t(c) VALUES (1)")
    assert before != truth(db, BY, 1) == cached(db, BY, 1)


def test_a_temporary_trigger_of_on_connect(db, path):
    """It would skip ours at each INSERT that this process makes."""

    def hook(connection: apsw.Connection) -> None:
        connection.execute("CREATE TEMP TRIGGER skip AFTER INSERT ON main.t BEGIN SELECT RAISE(IGNORE); END")

    db.close()
    with pytest.raises(coeval.errors.ConfigError, match="temporary trigger AFTER INSERT"):
        coeval.open(path, on_connect=hook)
