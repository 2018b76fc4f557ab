"""What a statement depends on is known completely, or its result is not kept (law 3, hole 12)."""

# ruff: noqa: ARG005 - functions given to SQL take what SQL gives
from __future__ import annotations

import pytest

import coeval
from coherence.asking import cached, keep, truth

SCHEMA = """
CREATE TABLE a (id INTEGER PRIMARY KEY, x, g AS (x + 1));
CREATE TABLE b (id INTEGER PRIMARY KEY, x);
CREATE TABLE c (id INTEGER PRIMARY KEY, x);
CREATE INDEX ax ON a (x);
INSERT INTO a VALUES (1, 10), (2, 20);
INSERT INTO b VALUES (1, 10), (2, 30);
INSERT INTO c VALUES (1, 10), (2, 40);
CREATE VIEW va AS SELECT id, x FROM a;
CREATE VIEW vva AS SELECT id, x FROM va WHERE x IN (SELECT x FROM b) OR 1;
CREATE VIEW vvva AS SELECT v.id, v.x, (SELECT max(x) FROM c) AS m FROM vva AS v;
CREATE VIEW counted AS SELECT count(*) AS n FROM a;
"""

#: statement, and the tables that it depends on, each of which is written in turn
READS = [
    ("SELECT x FROM a", "a"),
    ("SELECT x FROM main.A", "a"),
    ('SELECT "X" FROM "MAIN"."A"', "a"),
    ("SELECT [x] FROM [a] AS b", "a"),
    ("SELECT g FROM a", "a"),
    ("SELECT count(*) FROM a", "a"),
    ("SELECT count(*) FROM A AS z", "a"),
    ("SELECT 1 FROM a", "a"),
    ("SELECT 1 FROM a, b", "a b"),
    ("SELECT a.x FROM a, b", "a b"),
    ("SELECT a.x FROM a LEFT JOIN b ON b.id = a.id", "a"),
    ("SELECT a.x FROM a LEFT JOIN b ON b.x = a.x", "a b"),
    ("SELECT b.x FROM a RIGHT JOIN b ON b.x = a.x", "a b"),
    ("SELECT a.x, b.x FROM a FULL JOIN b USING (id)", "a b"),
    ("SELECT * FROM a NATURAL JOIN b", "a b"),
    ("SELECT a.id FROM a JOIN b USING (x)", "a b"),
    ("SELECT a.id FROM a JOIN b USING (id, x)", "a b"),
    ("SELECT a.id FROM a JOIN (SELECT x FROM b) USING (x)", "a b"),
    ("SELECT a.id FROM a NATURAL JOIN (SELECT x FROM b)", "a b"),
    ("SELECT 1 FROM a JOIN va USING (x) JOIN c USING (x)", "a c"),
    ("SELECT count(*) FROM b AS one JOIN c AS two USING (x)", "b c"),
    ("SELECT b.id FROM a RIGHT JOIN b USING (x)", "b"),
    ("SELECT x FROM a WHERE EXISTS (SELECT 1 FROM b JOIN c USING (x) WHERE b.id = a.id)", "a b c"),
    ("SELECT EXISTS (SELECT 1 FROM a WHERE x = 11)", "a"),
    ("SELECT 1 WHERE EXISTS (SELECT * FROM b WHERE x > 30)", "b"),
    ("SELECT x FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.x = a.x)", "a b"),
    ("SELECT x FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.x = a.x)", "a b"),
    ("SELECT 10 IN (SELECT x FROM b)", "b"),
    ("SELECT x FROM a WHERE x IN counted OR x IN (SELECT x FROM c WHERE id = 1)", "a c"),
    ("SELECT (1, 10) IN b", "b"),
    ("SELECT x FROM a WHERE (id, x) IN (SELECT id, x FROM b)", "a b"),
    ("SELECT x FROM a UNION ALL SELECT x FROM b", "a b"),
    ("SELECT x FROM a EXCEPT SELECT x FROM b", "a b"),
    ("SELECT x FROM a INTERSECT SELECT x FROM b", "a b"),
    ("SELECT x FROM a ORDER BY (SELECT min(x) FROM b WHERE b.x <> a.x), x DESC", "a"),
    ("SELECT x FROM a LIMIT (SELECT coalesce(max(x), 0) % 2 FROM b)", "a b"),
    ("SELECT x FROM a LIMIT 1 OFFSET (SELECT count(*) = 2 FROM b)", "a b"),
    ("VALUES ((SELECT max(x) FROM a)), ((SELECT max(x) FROM b))", "a b"),
    ("SELECT CASE WHEN (SELECT x FROM b WHERE id = 1) = 10 THEN 'old' ELSE (SELECT max(x) FROM c) END", "b"),
    ("SELECT sum(x) FILTER (WHERE x IN (SELECT x FROM b)) FROM a", "a b"),
    ("SELECT (SELECT x FROM b WHERE id = 1), count(*) FROM a GROUP BY x = (SELECT x FROM b WHERE id = 1)", "a b"),
    ("SELECT sum(x) OVER (ORDER BY (SELECT x FROM b WHERE b.id = a.id)) FROM a", "a"),
    ("SELECT lag(x, 1, (SELECT max(x) FROM c)) OVER () FROM a", "a c"),
    ("SELECT s.x FROM (SELECT x FROM a) AS s, (SELECT DISTINCT x FROM b) AS d WHERE s.x = d.x", "a b"),
    ("WITH n AS (SELECT x FROM a) SELECT x FROM n", "a"),
    ("WITH b AS (SELECT x FROM a) SELECT x FROM b", "a"),
    ("WITH B AS MATERIALIZED (SELECT x FROM a) SELECT x FROM b", "a"),
    ("WITH a AS (SELECT x FROM main.a) SELECT x FROM A", "a"),
    ("WITH n AS (SELECT x FROM a), a AS (SELECT x FROM b) SELECT * FROM n, a", "b"),
    ("WITH sqlite_x AS (SELECT x FROM a) SELECT x FROM sqlite_x", "a"),
    (
        "WITH RECURSIVE r(n) AS (SELECT (SELECT min(x) FROM a) UNION ALL SELECT n + 1 FROM r WHERE n < 25) SELECT max(n), min(n) FROM r",
        "a",
    ),
    ("SELECT x FROM va", "a"),
    ("SELECT 1 FROM VA", "a"),
    ("SELECT count(*) FROM vva", "a"),
    ("SELECT x FROM vva", "a"),
    ("SELECT m FROM vvva", "a c"),
    ("SELECT * FROM Vvva, b", "a b c"),
    ("SELECT n FROM counted", "a"),
    ("WITH va AS (SELECT x FROM b) SELECT x FROM va", "b"),
    ("SELECT max(x) FROM a INDEXED BY ax", "a"),
    ("SELECT max(id) FROM a NOT INDEXED", "a"),
    ("SELECT json_group_array(x) FROM a", "a"),
    ("SELECT value FROM a, json_each('[' || x || ']')", "a"),
    ("SELECT key FROM json_each((SELECT json_object(coalesce(max(x), '') || '', 1) FROM b))", "b"),
    ("SELECT value FROM json_tree((SELECT json_array(max(x)) FROM b))", "b"),
]


@pytest.fixture
def db(db):
    db.script(SCHEMA)
    return db


@pytest.mark.parametrize(("read", "tables"), READS, ids=[read for read, _ in READS])
def test_a_write_to_each_table_that_it_reads_is_seen(db, foreign, read, tables):
    """The statement is cached, and a row more or less in any of its tables is in the next result."""
    for table in tables.split():
        for write in (
            f"DELETE FROM {table} WHERE id = 2",
            f"UPDATE {table} SET x = x + 1",
            f"INSERT INTO {table}(x) VALUES (77)",
        ):
            keep(db, read)
            foreign.execute("BEGIN")
            foreign.execute(write)
            foreign.execute("COMMIT")
            assert truth(db, read) == cached(db, read), write
            for other in "abc":  # back to the start, so that each write meets full tables
                foreign.execute(f"DELETE FROM {other}")
                foreign.execute(f"INSERT INTO {other}(id, x) VALUES (1, 10), (2, {'abc'.index(other) + 2}0)")
            assert truth(db, read) == cached(db, read)
        keep(db, read)
        foreign.execute(f"DELETE FROM {table}")
        assert truth(db, read) == cached(db, read)
        foreign.execute(f"INSERT INTO {table}(id, x) VALUES (1, 10), (2, {'abc'.index(table) + 2}0)")
    assert set(tables.split()) <= set(db.explain(read).reads)


@pytest.mark.parametrize("read", [read for read, _ in READS])
def test_each_of_them_depends_on_what_this_says(db, foreign, read):
    """The list above is not empty talk: some write to its tables changes the result."""
    tables = dict(READS)[read]
    old = truth(db, read)
    for table in tables.split():
        foreign.execute(f"UPDATE {table} SET x = x + 1 WHERE id = 1")
        foreign.execute(f"DELETE FROM {table} WHERE id = 2")
        foreign.execute(f"INSERT INTO {table}(x) VALUES (78), (79)")
    assert old != truth(db, read)


@pytest.mark.parametrize("read", [read for read, _ in READS])
def test_every_table_that_the_program_opens_is_known(db, read):
    """What SQLite compiled says which trees it opens: each is of a table in the read set."""
    trees = dict(db.iterate("SELECT rootpage, tbl_name FROM sqlite_schema WHERE rootpage > 0"))
    program = db.iterate(f"EXPLAIN {read}")
    opened = {trees[row["p2"]] for row in program if row["opcode"] in {"OpenRead", "ReopenIdx"} and row["p3"] == 0}
    assert opened <= set(db.explain(read).reads)


@pytest.mark.parametrize(
    "call",
    [
        "date('now')",
        "DATE(x)",
        "time(?1)",
        "datetime('2020-01-01', 'localtime')",
        "julianday()",
        "strftime('%s')",
        "unixepoch()",
        "timediff('now', '2020-01-01')",
        "CURRENT_TIMESTAMP",
        "current_date",
        "Current_Time",
        "random()",
        '"RANDOM"()',
        "randomblob(4)",
        "changes()",
        "total_changes()",
        "last_insert_rowid()",
        "abs(random())",
        "max(x, random())",
    ],
)
def test_what_asks_for_the_time_or_for_chance_is_not_kept(db, call):
    """Hole 12: in the statement itself, and through a view."""
    sql = f"SELECT {call} FROM a"
    found = db.explain(sql)
    assert not found.cacheable
    assert found.reasons
    if "?" not in sql:
        db.script(f"CREATE VIEW chancy AS {sql}")
        assert not db.explain("SELECT * FROM chancy").cacheable
        assert not db.explain("SELECT count(*) FROM (SELECT * FROM chancy LIMIT 5)").cacheable
        misses = db.stats().misses
        db.query("SELECT * FROM chancy")
        assert misses == db.stats().misses


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM pragma_table_info('a')", "SELECT * FROM pragma_function_list", "PRAGMA table_info(a)"]
)
def test_what_tells_of_the_connection_is_not_kept(db, sql):
    """Table-valued PRAGMAs may tell of the connection; none is kept."""
    assert not db.explain(sql).cacheable
    assert truth(db, sql) == cached(db, sql) == cached(db, sql)


def test_a_function_declared_deterministic_is_kept_and_another_is_not(db):
    """A user's function is believed; without the promise its statements are computed each time."""
    answers = iter(range(100))
    db.create_function("sure", lambda x: x * 2, 1, deterministic=True)
    db.create_function("unsure", lambda x: next(answers), 1)
    assert ((20,),) == keep(db, "SELECT SURE(x) FROM a WHERE id = 1")
    assert cached(db, "SELECT unsure(x) FROM a WHERE id = 1") != cached(db, "SELECT unsure(x) FROM a WHERE id = 1")
    db.script("CREATE VIEW indirectly AS SELECT Unsure(x) AS y FROM a")
    assert not db.explain("SELECT y FROM indirectly").cacheable


def test_a_function_in_the_place_of_one_of_sqlite_s_is_not_believed(db):
    """Hole 12: an overridden function makes a statement uncacheable, in any spelling, declared deterministic or not."""
    assert db.explain("SELECT lower(x) FROM a").cacheable
    db.create_function("LOWER", lambda x: "mine", 1, deterministic=True)
    for sql in ("SELECT lower(x) FROM a", 'SELECT "LoWeR"(x) FROM a'):
        assert not db.explain(sql).cacheable
        assert "mine" == db.query(sql)[0][0]


def test_like_that_is_the_user_s(db):
    """Hole 12: LIKE, GLOB and REGEXP are functions with operators."""
    keep(db, "SELECT x FROM a WHERE x LIKE '1%'")
    db.create_function("like", lambda pattern, value: True, 2, deterministic=True)
    assert not db.explain("SELECT x FROM a WHERE x LIKE '1%'").cacheable
    assert 2 == len(db.query("SELECT x FROM a WHERE x LIKE 'nothing'"))
    db.create_function("regexp", lambda pattern, value: True, 2)
    assert not db.explain("SELECT x FROM a WHERE x REGEXP '1'").cacheable


def test_a_function_given_anew_is_used_at_once(db):
    """Results made with the function of that name from before are gone."""
    for factor in (2, 3, 4):
        db.create_function("times", lambda x, factor=factor: x * factor, 1, deterministic=True)
        assert ((10 * factor,),) == keep(db, "SELECT times(x) FROM a WHERE id = 1")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT x FROM a ORDER BY x COLLATE mine",
        "SELECT x FROM a ORDER BY x COLLATE MINE",
        'SELECT x FROM a WHERE x = 1 COLLATE "Mine"',
        "SELECT name FROM people ORDER BY name",
        "SELECT 1 FROM people WHERE name = 'x'",
        "SELECT p.name FROM people AS p",
        "SELECT name FROM sorted",
        "SELECT count(*) FROM (SELECT DISTINCT name FROM sorted)",
        "SELECT x FROM ordered",
        "SELECT x FROM reordered",
        "SELECT max(x) FROM reordered",
        "WITH s AS (SELECT * FROM sorted) SELECT count(*) FROM s",
    ],
)
def test_a_user_s_collation_makes_a_statement_uncacheable(db, sql):
    """Hole 12: the authorizer does not report collations, wherever they are named."""
    db.create_collation("mine", lambda one, other: (one < other) - (one > other))
    db.script("""
        CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT COLLATE mine);
        CREATE VIEW sorted AS SELECT name FROM people;
        CREATE VIEW ordered AS SELECT x FROM a ORDER BY x COLLATE mine;
        CREATE VIEW reordered AS SELECT x FROM ordered;
    """)
    assert not db.explain(sql).cacheable
    assert db.explain("SELECT x FROM a").cacheable


@pytest.mark.parametrize(
    "on_connect",
    [
        lambda c: c.execute("PRAGMA case_sensitive_like = ON"),
        lambda c: c.execute("CREATE TEMP TABLE a (id, x)"),
        lambda c: c.execute("CREATE TEMP VIEW b AS SELECT 1 AS x"),
        lambda c: c.execute("ATTACH ':memory:' AS other"),
        lambda c: c.create_scalar_function("abs", lambda x: 5, 1),
        lambda c: c.create_scalar_function("abs", lambda x: 5, 1, deterministic=True),
    ],
    ids=["case_sensitive_like", "temp table", "temp view", "attached", "function", "deterministic function"],
)
def test_what_on_connect_changes_is_not_cached(path, start_foreign, open_db, on_connect):
    """Hole 12: temp objects, attachments, PRAGMAs that change meanings, and functions and collations in SQLite's place."""
    foreign = start_foreign()
    foreign.script(SCHEMA)
    db = open_db(on_connect=on_connect)
    for sql in (
        "SELECT x FROM a WHERE abs(x) LIKE '1%'",
        "SELECT b.x, abs(b.x) FROM b WHERE 'a' LIKE 'A'",
    ):
        assert not db.explain(sql).cacheable, sql
        before = db.stats()
        for number in range(3):
            assert truth(db, sql) == cached(db, sql)
            foreign.execute("UPDATE a SET x = ?", number)
        assert before.hits == db.stats().hits
        assert before.misses == db.stats().misses


def test_temporary_objects_of_one_transaction_hide_nothing_afterwards(db):
    """Hole 12: inside the transaction the temp table hides the real one; outside nobody ever sees it."""
    keep(db, "SELECT x FROM b ORDER BY x")
    with db.transaction() as tx:
        tx.execute("CREATE TEMP TABLE b (x)")
        tx.execute("INSERT INTO temp.b VALUES ('hidden')")
        assert ("hidden",) == tuple(tx.one("SELECT x FROM b"))
    assert ((10,), (30,)) == cached(db, "SELECT x FROM b ORDER BY x")
    with db.transaction() as tx:
        assert 2 == len(tx.query("SELECT x FROM b"))
    with pytest.raises(coeval.errors.SQLError):
        db.execute("CREATE TEMP TABLE b (x)")


def test_a_constant_is_kept_and_needs_no_table(db, foreign):
    """A statement that reads nothing is valid as long as the schema is."""
    assert ((3,),) == keep(db, "SELECT 1 + ?", 2)
    foreign.execute("UPDATE a SET x = 1")
    before = db.stats().revalidated
    assert ((3,),) == cached(db, "SELECT 1 + ?", 2)
    assert before + 1 == db.stats().revalidated
