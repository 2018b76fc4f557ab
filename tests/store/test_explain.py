"""explain: what a statement reads, whether it can be cached and why not, and SQLite's plan."""

from __future__ import annotations

import pytest

import coeval
from coeval import errors


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script("""
            CREATE TABLE t(id INTEGER PRIMARY KEY, x);
            CREATE TABLE U(id INTEGER PRIMARY KEY, t REFERENCES t(id));
            CREATE TABLE plain(x);
            CREATE VIEW v AS SELECT t.x FROM t JOIN U ON U.t = t.id;
            CREATE VIRTUAL TABLE words USING fts5(body);
            CREATE INDEX ix ON t(x);
        """)
        yield db


@pytest.mark.parametrize(
    ("sql", "reads", "validity"),
    [
        ("SELECT 1", (), "stamps"),
        ("SELECT * FROM t", ("t",), "stamps"),
        ("SELECT * FROM T WHERE x = ?", ("t",), "stamps"),
        ("SELECT count(*) FROM u", ("U",), "stamps"),
        ("SELECT * FROM v", ("U", "t"), "stamps"),
        ("WITH t AS (SELECT 1 AS x) SELECT * FROM t", (), "stamps"),
        ("WITH c AS (SELECT * FROM t) SELECT * FROM c", ("t",), "stamps"),
        ("SELECT (SELECT max(t) FROM U) FROM t WHERE EXISTS (SELECT 1 FROM plain)", ("U", "plain", "t"), "stamps"),
        ("SELECT x FROM t UNION SELECT t FROM U", ("U", "t"), "stamps"),
        ("SELECT upper(x), count(*) OVER () FROM t", ("t",), "stamps"),
        ("SELECT rowid FROM plain", ("plain",), "clock"),
        ("SELECT body FROM words WHERE words MATCH 'a'", None, "clock"),
        ("SELECT name FROM sqlite_schema", None, "clock"),
        ("SELECT random() FROM t", ("t",), None),
        ("SELECT * FROM t WHERE x > datetime('now')", ("t",), None),
        ("SELECT CURRENT_TIMESTAMP", (), None),
        ("SELECT last_insert_rowid()", (), None),
        ("SELECT * FROM pragma_table_info('t')", None, None),
        ("INSERT INTO t VALUES (1, 1)", None, None),
        ("CREATE TABLE n(x)", None, None),
        ("PRAGMA user_version", None, None),
        ("EXPLAIN QUERY PLAN SELECT * FROM t", None, None),
    ],
)
def test_reads_and_validity(db, sql, reads, validity):
    """The tables by their own names, sorted; by stamps, by the clock alone, or not at all, with a reason."""
    found = db.explain(sql)
    if reads is not None:
        assert reads == found.reads
    assert (validity, validity is not None) == (found.validity, found.cacheable)
    assert bool(found.reasons) is (validity != "stamps")


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT random()", "random()"),
        ("SELECT date('now')", "date()"),
        ("SELECT rowid FROM plain", "implicit rowid of plain"),
        ("SELECT * FROM words", "virtual table"),
        ("SELECT * FROM sqlite_schema", "system table"),
        ("DELETE FROM t", "writes rows"),
        ("DROP TABLE t", "changes the schema"),
    ],
)
def test_the_reason_names_the_thing(db, sql, word):
    """What keeps a statement from being cached is named."""
    assert word in " ".join(db.explain(sql).reasons)


def test_what_explain_says_is_what_happens(db):
    """A statement that it calls cacheable is a hit the second time, another is not."""
    for sql in (
        "SELECT * FROM t",
        "SELECT random()",
        "SELECT rowid FROM plain",
        "SELECT * FROM words",
        "SELECT * FROM v",
    ):
        before = db.stats()
        first, _ = db.query(sql), db.query(sql)
        hit = db.stats().hits + db.stats().revalidated - before.hits - before.revalidated
        assert int(db.explain(sql).cacheable) == hit, sql
        assert first is not None


def test_it_runs_nothing(db):
    """Neither the statement nor a user's function in it; nothing is written."""
    calls: list[object] = []
    db.create_function("f", calls.append, 1)
    before = db.stats().writes
    db.explain("SELECT f(1) FROM t")
    db.explain("INSERT INTO t VALUES (1, 1)")
    db.explain("DROP TABLE t")
    db.explain("DELETE FROM t RETURNING id")
    assert ([], before, 0) == (calls, db.stats().writes, db.scalar("SELECT count(*) FROM t"))


def test_the_plan(db):
    """SQLite's own plan, one step a line, for reads and writes, with or without the parameters."""
    assert "USING INTEGER PRIMARY KEY" in db.explain("SELECT * FROM t WHERE id = ?").plan[0]
    assert db.explain("SELECT * FROM t WHERE id = ?").plan == db.explain("SELECT * FROM t WHERE id = ?", 1).plan
    assert "INDEX ix" in db.explain("SELECT * FROM t WHERE x = :x", {"x": 1}).plan[0]
    assert "SCAN plain" in db.explain("DELETE FROM plain WHERE x = 1").plan[0]
    assert "INDEX ix" in db.explain("SELECT * FROM t WHERE x = :x").plan[0]


def test_for_people(db):
    """Printed, it holds the statement, what it reads, the answer, the reason and the plan."""
    said = str(db.explain("SELECT x, random() FROM t"))
    for word in ("SELECT x, random() FROM t", "reads", "t", "no", "because", "random()", "SCAN t"):
        assert word in said
    assert "yes" in str(db.explain("SELECT x FROM t"))


def test_without_a_cache(path):
    """With cache=None nothing is cacheable, because the cache is off."""
    with coeval.open(path, cache=None) as db:
        found = db.explain("SELECT 1")
        assert (False, None) == (found.cacheable, found.validity)
        assert "the cache is off" in found.reasons


@pytest.mark.parametrize("sql", ["garbage", "SELECT * FROM nowhere", "SELECT 1; SELECT 2"])
def test_bad_statements(db, sql):
    """They are refused as everywhere."""
    with pytest.raises(errors.SQLError):
        db.explain(sql)


def test_after_ddl_of_another_program(db, foreign):
    """A table that was made just now is tracked when it is explained."""
    foreign.execute("CREATE TABLE late(x)")
    assert "stamps" == db.explain("SELECT * FROM late").validity


def test_it_does_not_change(db):
    """An explanation is a value."""
    found = db.explain("SELECT 1")
    with pytest.raises(AttributeError):
        found.cacheable = False
    assert found == db.explain("SELECT 1")
