"""Whatever kind of statement writes, in whatever program, the next cached read has it (law 1, holes 3, 16 and 18)."""

from __future__ import annotations

import pytest

from coherence.asking import cached, keep, truth

from processes import ForeignError

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, u INTEGER UNIQUE, v INTEGER CHECK (v < 1000));
INSERT INTO t VALUES (1, 10, 1), (2, 20, 2), (3, 30, 3);
CREATE TABLE plain (a, b);
INSERT INTO plain VALUES (1, 1), (2, 2);
CREATE TABLE keyed (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
INSERT INTO keyed VALUES ('a', 1), ('b', 2);
CREATE TABLE "we""ird 'name]" ("a b");
INSERT INTO "we""ird 'name]" VALUES (1);
CREATE TABLE copied (id INTEGER PRIMARY KEY, u INTEGER UNIQUE, v INTEGER CHECK (v < 1000));
CREATE VIEW seen AS SELECT id, v FROM t;
CREATE TRIGGER through INSTEAD OF UPDATE ON seen BEGIN UPDATE t SET v = NEW.v WHERE id = OLD.id; END;
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE dies (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE forgets (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE SET NULL);
CREATE TABLE falls (id INTEGER PRIMARY KEY, parent DEFAULT 9 REFERENCES parent ON DELETE SET DEFAULT);
CREATE TABLE grandchild (id INTEGER PRIMARY KEY, dies REFERENCES dies ON DELETE CASCADE);
CREATE TABLE tree (id INTEGER PRIMARY KEY, up REFERENCES tree ON DELETE CASCADE);
CREATE TABLE mother (id INTEGER PRIMARY KEY);
CREATE TABLE follows (id INTEGER PRIMARY KEY, mother REFERENCES mother ON UPDATE CASCADE);
INSERT INTO mother VALUES (1), (2);
INSERT INTO follows VALUES (1, 1), (2, 2);
CREATE TABLE audit (what);
CREATE TRIGGER noted AFTER UPDATE ON parent BEGIN INSERT INTO audit VALUES (NEW.id); END;
INSERT INTO parent VALUES (1, 'one'), (2, 'two'), (9, 'nine');
INSERT INTO dies VALUES (1, 1), (2, 2);
INSERT INTO forgets VALUES (1, 1), (2, 2);
INSERT INTO falls VALUES (1, 1), (2, 2);
INSERT INTO grandchild VALUES (1, 1), (2, 2);
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3);
"""

T = "SELECT id, u, v FROM t ORDER BY id"

WRITES = {
    "insert": ("INSERT INTO t VALUES (4, 40, 4)", T),
    "insert of defaults": ("INSERT INTO t DEFAULT VALUES", T),
    "update": ("UPDATE t SET v = 7", T),
    "update of one key": ("UPDATE t SET id = 8 WHERE id = 1", T),
    "update from": ("UPDATE t SET v = p.b + 50 FROM plain AS p WHERE p.a = t.id", T),
    "delete": ("DELETE FROM t WHERE id = 1", T),
    "delete without where": ("DELETE FROM t", T),
    "delete without where, no key": ("DELETE FROM plain", "SELECT a, b FROM plain ORDER BY a"),
    "returning": ("INSERT INTO t VALUES (4, 40, 4) RETURNING id", T),
    "or ignore, one row new": ("INSERT OR IGNORE INTO t VALUES (1, 99, 9), (4, 40, 4)", T),
    "update or ignore": ("UPDATE OR IGNORE t SET u = CASE id WHEN 1 THEN 20 ELSE u + 1 END", T),
    "or replace by key": ("INSERT OR REPLACE INTO t VALUES (1, 77, 7)", T),
    "or replace by another key": ("INSERT OR REPLACE INTO t VALUES (7, 10, 7)", T),
    "or replace of two rows by one": ("REPLACE INTO t VALUES (1, 20, 5)", T),
    "update or replace": ("UPDATE OR REPLACE t SET u = 20 WHERE id = 1", T),
    "upsert, updates": ("INSERT INTO t VALUES (1, 99, 9) ON CONFLICT (id) DO UPDATE SET v = excluded.v", T),
    "upsert on another key": ("INSERT INTO t VALUES (9, 10, 9) ON CONFLICT (u) DO UPDATE SET v = 55", T),
    "upsert, nothing for one": ("INSERT INTO t VALUES (1, 9, 9), (4, 4, 4) ON CONFLICT DO NOTHING", T),
    "upsert or ignore": ("INSERT OR IGNORE INTO t VALUES (1, 9, 9) ON CONFLICT (id) DO UPDATE SET v = 66", T),
    "insert from select": ("INSERT INTO copied SELECT * FROM t", "SELECT count(*) FROM copied"),
    "replace from select": ("REPLACE INTO copied SELECT * FROM t", "SELECT count(*) FROM copied"),
    "with": ("WITH n(x) AS (VALUES (5)) INSERT INTO t SELECT x, x, x FROM n", T),
    "without rowid": ("UPDATE keyed SET v = v + 1", "SELECT v FROM keyed ORDER BY k"),
    "without rowid, replace": ("REPLACE INTO keyed VALUES ('a', 9)", "SELECT v FROM keyed ORDER BY k"),
    "a name with signs in it": ("""UPDATE "we""ird 'name]" SET "a b" = 2""", """SELECT * FROM "we""ird 'name]" """),
    "through a view": ("UPDATE seen SET v = 44 WHERE id = 1", T),
    "a trigger's write": ("UPDATE parent SET name = 'x' WHERE id = 1", "SELECT count(*) FROM audit"),
    "cascade": ("DELETE FROM parent WHERE id = 1", "SELECT id FROM dies ORDER BY id"),
    "cascade of a cascade": ("DELETE FROM parent WHERE id = 1", "SELECT id FROM grandchild ORDER BY id"),
    "cascade of an update": ("UPDATE mother SET id = 5 WHERE id = 1", "SELECT mother FROM follows ORDER BY id"),
    "cascade to nothing": ("DELETE FROM parent WHERE id = 1", "SELECT parent FROM forgets ORDER BY id"),
    "cascade to the default": ("DELETE FROM parent WHERE id = 1", "SELECT parent FROM falls ORDER BY id"),
    "cascade in one table": ("DELETE FROM tree WHERE id = 2", "SELECT id FROM tree ORDER BY id"),
    "cascade of a replaced row": ("REPLACE INTO parent VALUES (7, 'one')", "SELECT id FROM dies ORDER BY id"),
    "cascade of a replaced row, twice": (
        "REPLACE INTO parent VALUES (7, 'one')",
        "SELECT id FROM grandchild ORDER BY id",
    ),
}


@pytest.fixture
def db(db):
    db.script(SCHEMA)
    return db


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    "by", ["a foreign program", "a foreign program, recursive triggers", "ourselves", "our transaction"]
)
def test_the_next_read_has_the_write(db, start_foreign, name, by):
    """One write of each kind, alone in its transaction, by each kind of program."""
    write, read = WRITES[name]
    old = keep(db, read)
    if by == "ourselves":
        db.execute(write)
    elif by == "our transaction":
        with db.transaction() as tx:
            tx.execute(write)
            assert cached(db, read) == truth(db, read) != old
    else:
        foreign = start_foreign()
        foreign.execute("PRAGMA foreign_keys = ON")
        foreign.execute(f"PRAGMA recursive_triggers = {int('recursive' in by)}")
        foreign.execute(write)
    assert old != truth(db, read)
    assert truth(db, read) == cached(db, read)
    assert truth(db, read) == keep(db, read)


FAILING = {
    "or abort": ("INSERT OR ABORT INTO t VALUES (4, 40, 4), (1, 1, 1)", False),
    "or fail": ("INSERT OR FAIL INTO t VALUES (4, 40, 4), (1, 1, 1)", True),
    "update or fail": ("UPDATE OR FAIL t SET u = CASE id WHEN 1 THEN 11 ELSE 30 END", True),
    "or rollback": ("INSERT OR ROLLBACK INTO t VALUES (4, 40, 4), (1, 1, 1)", False),
    "a check": ("UPDATE t SET v = 400 + 400 * (id - 1)", False),
    "a cascade that is refused": ("UPDATE parent SET name = 'two' WHERE id = 1", False),
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a transaction"])
def test_a_statement_that_fails_in_the_middle(db, foreign, name, within):
    """Hole 3: what a failed statement of another program leaves behind is seen, and what it takes back is not."""
    write, leaves = FAILING[name]
    old = keep(db, T)
    if within:
        foreign.execute("BEGIN IMMEDIATE")
        foreign.execute("UPDATE t SET v = 500 WHERE id = 3")
    with pytest.raises(ForeignError, match="constraint"):
        foreign.execute(write)
    if within and name != "or rollback":
        assert old == cached(db, T)
        foreign.execute("COMMIT")
        leaves = True
    assert leaves == (old != truth(db, T))
    assert truth(db, T) == cached(db, T)
    foreign.execute("UPDATE t SET v = 0")
    assert truth(db, T) == cached(db, T)


@pytest.mark.parametrize("name", FAILING)
def test_a_statement_of_ours_that_fails_leaves_nothing(db, name):
    """Ours leave nothing of a statement that raises, and the entries from before are still true."""
    import coeval

    old = keep(db, T)
    with pytest.raises(coeval.errors.ConstraintError):
        db.execute(FAILING[name][0])
    assert old == truth(db, T) == cached(db, T)


def test_writes_undone_to_a_savepoint_and_kept_before_it(db, foreign):
    """What stands after ROLLBACK TO and COMMIT is what is read."""
    keep(db, T)
    for sql in ("BEGIN", "UPDATE t SET v = 5", "SAVEPOINT s", "DELETE FROM t", "ROLLBACK TO s", "COMMIT"):
        foreign.execute(sql)
    assert ((1, 10, 5), (2, 20, 5), (3, 30, 5)) == cached(db, T)


def test_only_the_undone_part_touched_the_table(db, foreign):
    """A table that was written only in a savepoint that was undone: its entries stay true, and the next write is seen."""
    old = keep(db, T)
    for sql in ("BEGIN", "UPDATE plain SET a = 5", "SAVEPOINT s", "DELETE FROM t", "ROLLBACK TO s", "COMMIT"):
        foreign.execute(sql)
    assert old == cached(db, T) == truth(db, T)
    foreign.execute("UPDATE t SET v = 6")
    assert truth(db, T) == cached(db, T) != old


def test_a_script_runs_every_statement_to_its_end(db):
    """Hole 18: statements that give rows stand among those that write; all of them ran, completely."""
    keep(db, T)
    db.script(
        "SELECT 1; UPDATE t SET v = v + 1 RETURNING id; SELECT id FROM t; DELETE FROM t WHERE id = 2 RETURNING id; SELECT 2"
    )
    assert ((1, 10, 2), (3, 30, 4)) == cached(db, T)


def test_two_statements_in_one_string_are_refused(db):
    """Hole 18: outside a script nothing of them runs."""
    import coeval

    keep(db, T)
    for call in (db.query, db.execute):
        with pytest.raises(coeval.errors.SQLError, match="Two statements"):
            call("SELECT 1; DELETE FROM t")
    assert 3 == len(cached(db, T))


def test_rows_by_implicit_rowid_are_right_after_vacuum(db, foreign):
    """Hole 16: VACUUM gives new rowids and fires no trigger."""
    read = "SELECT rowid, a FROM plain ORDER BY a"
    db.execute("DELETE FROM plain WHERE a = 1")
    for vacuum in (db.vacuum, lambda: foreign.execute("VACUUM")):
        db.execute("INSERT INTO plain(rowid, a) SELECT max(rowid) + 10, max(a) + 1 FROM plain")
        keep(db, read)
        assert "clock" == db.explain(read).validity
        vacuum()
        assert truth(db, read) == cached(db, read)


@pytest.mark.parametrize("spelling", ["rowid", "_rowid_", "OID", "plain.RowId"])
def test_every_spelling_of_the_implicit_rowid_is_known(db, spelling):
    """Hole 16: by the clock alone for an implicit rowid, by stamps where it is a declared column."""
    assert "clock" == db.explain(f"SELECT {spelling} FROM plain").validity
    assert "clock" == db.explain(f"SELECT a FROM plain WHERE {spelling} = 1").validity
    assert "stamps" == db.explain("SELECT id, u FROM t").validity


@pytest.mark.parametrize(
    ("read", "write"),
    [
        ("SELECT count(*) FROM sqlite_stat1", "ANALYZE"),
        ("SELECT seq FROM sqlite_sequence WHERE name = 'numbered'", "INSERT INTO numbered VALUES (NULL)"),
        ("SELECT count(*) FROM sqlite_schema", "CREATE INDEX i ON t (v)"),
        ("SELECT count(*) FROM SQLite_Master", "CREATE INDEX i ON t (v)"),
    ],
)
def test_system_tables_are_read_by_the_clock(db, foreign, read, write):
    """Hole 16: they have no triggers; any commit may have changed them."""
    db.script(
        "CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO numbered VALUES (NULL); ANALYZE plain"
    )
    old = keep(db, read)
    assert "clock" == db.explain(read).validity
    foreign.execute(write)
    assert old != truth(db, read)
    assert truth(db, read) == cached(db, read)
