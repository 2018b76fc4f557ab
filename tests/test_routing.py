"""What each call does with each kind of statement: told by what the statement does, never by how it begins."""

# ruff: noqa: PT017 - a table of outcomes, one of them an error

from __future__ import annotations

import pytest

import coeval
from coeval.errors import SQLError

READS, WRITES, REFUSED = "reads", "writes", "refused"

TABLE = [
    # statement, through query, through execute
    ("SELECT * FROM t", READS, READS),
    ("  /* a comment */ select 1", READS, READS),
    ("-- a comment\nSELECT 1", READS, READS),
    ("VALUES (1), (2)", READS, READS),
    ("WITH c AS (SELECT 1) SELECT * FROM c", READS, READS),
    ("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3) SELECT * FROM c", READS, READS),
    ("EXPLAIN SELECT * FROM t", READS, READS),
    ("EXPLAIN QUERY PLAN DELETE FROM t", READS, READS),
    ("EXPLAIN DROP TABLE t", READS, READS),
    ("SELECT * FROM pragma_table_info('t')", READS, READS),
    ("SELECT 'DELETE FROM t'", READS, READS),
    ("PRAGMA table_info(t)", READS, READS),
    ("PRAGMA table_info = t", READS, READS),
    ("PRAGMA user_version", READS, READS),
    ("PRAGMA journal_mode", READS, READS),
    ("PRAGMA integrity_check", READS, READS),
    ("PRAGMA integrity_check(5)", READS, READS),
    ("PRAGMA foreign_key_check", READS, READS),
    ("PRAGMA index_list('t')", READS, READS),
    ("PRAGMA database_list", READS, READS),
    ("PRAGMA compile_options", READS, READS),
    ("INSERT INTO t VALUES (9, 9)", REFUSED, WRITES),
    ("insert into t values (9, 9) returning id", REFUSED, WRITES),
    ("REPLACE INTO t VALUES (1, 9)", REFUSED, WRITES),
    ("UPDATE t SET x = 9", REFUSED, WRITES),
    ("UPDATE t SET x = 9 WHERE 0", REFUSED, WRITES),
    ("DELETE FROM t", REFUSED, WRITES),
    ("WITH c AS (SELECT 1) DELETE FROM t WHERE id IN c", REFUSED, WRITES),
    ("WITH c AS (SELECT 9) INSERT INTO t SELECT 9, 9 FROM c", REFUSED, WRITES),
    ("INSERT INTO v VALUES (9, 9)", REFUSED, WRITES),
    ("INSERT INTO words VALUES ('text')", REFUSED, WRITES),
    ("INSERT INTO words(words) VALUES ('rebuild')", REFUSED, WRITES),
    ("CREATE TABLE n(x)", REFUSED, WRITES),
    ("CREATE TABLE IF NOT EXISTS t(x)", REFUSED, WRITES),
    ("CREATE TABLE n AS SELECT * FROM t", REFUSED, WRITES),
    ("CREATE INDEX n ON t(x)", REFUSED, WRITES),
    ("CREATE VIEW n AS SELECT 1", REFUSED, WRITES),
    ("CREATE TRIGGER n AFTER INSERT ON t BEGIN SELECT 1; END", REFUSED, WRITES),
    ("CREATE VIRTUAL TABLE n USING fts5(x)", REFUSED, WRITES),
    ("ALTER TABLE t ADD COLUMN y", REFUSED, WRITES),
    ("ALTER TABLE t RENAME TO n", REFUSED, WRITES),
    ("ALTER TABLE w RENAME COLUMN x TO y", REFUSED, WRITES),
    ("ALTER TABLE w DROP COLUMN x", REFUSED, WRITES),
    ("DROP TABLE t", REFUSED, WRITES),
    ("DROP VIEW v", REFUSED, WRITES),
    ("CREATE INDEX IF NOT EXISTS wi ON w(x)", REFUSED, WRITES),
    ("CREATE VIEW IF NOT EXISTS v AS SELECT 1", REFUSED, WRITES),
    ("ANALYZE", REFUSED, WRITES),
    ("ANALYZE t", REFUSED, WRITES),
    ("REINDEX", REFUSED, WRITES),
    ("PRAGMA user_version = 5", REFUSED, WRITES),
    ("PRAGMA application_id = 5", REFUSED, WRITES),
    ("BEGIN", REFUSED, REFUSED),
    ("BEGIN EXCLUSIVE TRANSACTION", REFUSED, REFUSED),
    ("COMMIT", REFUSED, REFUSED),
    ("END", REFUSED, REFUSED),
    ("ROLLBACK", REFUSED, REFUSED),
    ("SAVEPOINT s", REFUSED, REFUSED),
    ("RELEASE s", REFUSED, REFUSED),
    ("ROLLBACK TO s", REFUSED, REFUSED),
    ("ATTACH ':memory:' AS other", REFUSED, REFUSED),
    ("DETACH main", REFUSED, REFUSED),
    ("VACUUM", REFUSED, REFUSED),
    ("VACUUM INTO 'copy.db'", REFUSED, REFUSED),
    ("CREATE TEMP TABLE n(x)", REFUSED, REFUSED),
    ("CREATE TEMP VIEW n AS SELECT 1", REFUSED, REFUSED),
    ("CREATE TEMP TRIGGER n AFTER INSERT ON t BEGIN SELECT 1; END", REFUSED, REFUSED),
    ("PRAGMA journal_mode = DELETE", REFUSED, REFUSED),
    ("PRAGMA foreign_keys = OFF", REFUSED, REFUSED),
    ("PRAGMA writable_schema = ON", REFUSED, REFUSED),
    ("PRAGMA schema_version = 99", REFUSED, REFUSED),
    ("PRAGMA wal_checkpoint(TRUNCATE)", REFUSED, REFUSED),
    ("PRAGMA wal_checkpoint", REFUSED, REFUSED),
    ("PRAGMA optimize", REFUSED, REFUSED),
    ("PRAGMA incremental_vacuum", REFUSED, REFUSED),
    ("PRAGMA locking_mode = EXCLUSIVE", REFUSED, REFUSED),
    ("PRAGMA case_sensitive_like = ON", REFUSED, REFUSED),
    ("UPDATE _coeval_stamps SET stamp = 1", REFUSED, REFUSED),
    ('UPDATE "_COEVAL_SCHEMA" SET version = 1', REFUSED, REFUSED),
    ("DROP TABLE _coeval_stamps", REFUSED, REFUSED),
    ("", REFUSED, REFUSED),
]


@pytest.fixture
def db(path):
    with coeval.open(path, timeout=0.5) as db:
        db.script("""
            CREATE TABLE t(id INTEGER PRIMARY KEY, x);
            INSERT INTO t VALUES (1, 1);
            CREATE TABLE w(id INTEGER PRIMARY KEY, x);
            CREATE INDEX wi ON w(id);
            CREATE VIEW v AS SELECT * FROM t;
            CREATE TRIGGER vi INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (NEW.id, NEW.x); END;
            CREATE VIRTUAL TABLE words USING fts5(body);
        """)
        yield db


def outcome(db, call, sql):
    """Whether the call refused the statement, read, or committed a write."""
    before = db.stats().writes
    try:
        call(sql)
    except SQLError as error:
        assert error.hint
        assert before == db.stats().writes
        return REFUSED
    return WRITES if db.stats().writes > before else READS


def works(db):
    """Afterwards everything goes on as usual."""
    db.execute("CREATE TABLE IF NOT EXISTS after(x)")
    db.execute("INSERT INTO after VALUES (1)")
    return db.scalar("SELECT count(*) FROM after") == db.scalar("SELECT count(*) FROM after") == 1


@pytest.mark.parametrize(("sql", "expected", "_"), TABLE)
def test_query(db, sql, expected, _):
    """`query` takes what reads, and `iterate`, a snapshot and a transaction agree with it."""
    assert expected == outcome(db, db.query, sql)
    assert expected == outcome(db, lambda sql: list(db.iterate(sql)), sql)
    with db.snapshot() as snap:
        assert expected == outcome(db, snap.query, sql)
    with db.transaction() as tx:
        assert expected == outcome(db, tx.query, sql)
    assert works(db)


@pytest.mark.parametrize(("sql", "_", "expected"), TABLE)
def test_execute(db, sql, _, expected):
    """`execute` takes reads and writes, and refuses what would end or escape its transaction, or spoil the stamps."""
    found = outcome(db, db.execute, sql)
    assert expected == found or (expected, sql[:6]) == (READS, "PRAGMA")
    assert works(db)


@pytest.mark.parametrize(("sql", "_", "expected"), [row for row in TABLE if row[0] and " TEMP " not in row[0]])
def test_script_and_transaction(db, sql, _, expected):
    """`script` and a transaction's `execute` refuse what `execute` refuses, and leave nothing of it."""

    def in_a_transaction(sql):
        with db.transaction() as tx:
            tx.execute("INSERT INTO w VALUES (88, 88)")
            tx.execute(sql)

    assert (expected is REFUSED) is (outcome(db, db.script, f"INSERT INTO w VALUES (77, 77); {sql};") is REFUSED)
    if expected is REFUSED:
        assert REFUSED is outcome(db, in_a_transaction, sql)
        assert () == db.query("SELECT * FROM w")
    assert works(db)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE IF EXISTS nowhere",
        "DROP VIEW IF EXISTS nowhere",
        "DROP INDEX IF EXISTS nowhere",
        "DROP TRIGGER IF EXISTS nowhere",
        "CREATE TABLE IF NOT EXISTS t(x)",
        "CREATE INDEX IF NOT EXISTS wi ON w(id)",
        "CREATE VIEW IF NOT EXISTS v AS SELECT 1",
        "CREATE TRIGGER IF NOT EXISTS vi INSTEAD OF INSERT ON v BEGIN SELECT 1; END",
    ],
)
def test_ddl_that_has_nothing_to_do(db, sql):
    """IF EXISTS and IF NOT EXISTS are taken by `execute` and in scripts, whatever is there already."""
    assert REFUSED != outcome(db, db.execute, sql)
    assert REFUSED != outcome(db, db.script, f"{sql}; CREATE TABLE n(x)")
    assert () == db.query("SELECT * FROM n")


def test_stamps_survive_every_refusal(db):
    """After all of the table's refused statements a cached read still follows the next write."""
    ours = ["ALTER TABLE _coeval_stamps RENAME TO mine", "DROP TRIGGER _coeval_update_1", "DROP TABLE _coeval_tables"]
    for sql in [sql for sql, _, expected in TABLE if expected is REFUSED] + ours:
        outcome(db, db.execute, sql)
        db.query("SELECT x FROM t WHERE id = 1")
    for n in range(5):
        db.execute("UPDATE t SET x = ? WHERE id = 1", n)
        assert [n, n] == [db.scalar("SELECT x FROM t WHERE id = 1") for _ in range(2)]
    assert "stamps" == db.explain("SELECT x FROM t").validity
