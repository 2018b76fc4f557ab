"""Which columns are tracked: by `track` and `untrack`, and what becomes of it when the schema changes (holes 2, 11, 24, 27)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

import coeval
from coherence.asking import cached, keep, truth

BY = "SELECT id, v FROM t WHERE c = ? ORDER BY 1"
TRIGGERS = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY 1"


@pytest.fixture
def db(db):
    db.script(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER, s TEXT, v); INSERT INTO t VALUES (1, 1, 'a', 0), (2, 2, 'b', 0)"
    )
    return db


def is_fine(db: coeval.Database, foreign: Any) -> bool:
    """Whether a write to another value leaves a result valid; in any case one to its own does not."""
    keep(db, BY, 1)
    misses = db.stats().misses
    foreign.execute("UPDATE t SET v = v + 1 WHERE c = 2")
    cached(db, BY, 1)
    fine = misses == db.stats().misses
    foreign.execute("UPDATE t SET v = v + 1 WHERE c = 1")
    assert truth(db, BY, 1) == cached(db, BY, 1)
    assert misses < db.stats().misses
    return fine


def test_track_and_untrack(db, foreign):
    """From one call to the other; twice does no harm, and more columns may follow."""
    assert not is_fine(db, foreign)
    db.track("t", by=["c"])
    assert is_fine(db, foreign)
    old = keep(db, BY, 1)
    db.track("T", by="C")
    misses = db.stats().misses
    assert old == cached(db, BY, 1)
    assert misses == db.stats().misses
    db.track("t", by=["s", "c"])
    assert is_fine(db, foreign)
    assert [(1, 1, "c"), (1, 2, "s")] == foreign.execute("SELECT * FROM _coeval_columns")
    db.untrack("t", by=["S"])
    assert is_fine(db, foreign)
    db.untrack("t")
    assert not is_fine(db, foreign)
    db.untrack("t", "c")
    assert [] == foreign.execute("SELECT * FROM _coeval_columns")
    assert [(1,)] == foreign.execute("SELECT count(*) FROM _coeval_stamps WHERE id BETWEEN 1 << 20 AND 2 << 20")


def test_nothing_is_lost_by_opening_it_again(db, foreign, open_db):
    """What is tracked stands in the file; and the file is found to be in order without writing to it."""
    db.track("t", by=["c", "s"])
    db.close()
    before = foreign.execute(TRIGGERS), foreign.execute("SELECT stamp FROM _coeval_schema")
    again = open_db()
    assert before == (foreign.execute(TRIGGERS), foreign.execute("SELECT stamp FROM _coeval_schema"))
    assert 0 == again.stats().repairs
    assert is_fine(again, foreign)


def test_it_is_the_same_for_asyncio(path, db, foreign):
    """The other face, and the other reading path."""

    async def use() -> None:
        async with coeval.aopen(path) as adb:
            await adb.track("t", by=["c"])
            for _ in range(3):
                await adb.query(BY, 1)
            before = await adb.stats()
            foreign.execute("UPDATE t SET v = 5 WHERE c = 2")
            assert ((1, 0),) == tuple(map(tuple, await adb.query(BY, 1)))
            after = await adb.stats()
            assert (before.misses, before.revalidated + 1) == (after.misses, after.revalidated)
            foreign.execute("UPDATE t SET v = 6 WHERE c = 1")
            assert ((1, 6),) == tuple(map(tuple, await adb.query(BY, 1)))
            async with adb.transaction():
                with pytest.raises(coeval.errors.ReentryError):
                    await adb.untrack("t")
            await adb.untrack("t", by="c")

    asyncio.run(use())
    assert not is_fine(db, foreign)


@pytest.mark.parametrize(
    ("table", "by", "error", "said"),
    [
        ("orders", ["c"], coeval.errors.SQLError, "no such table: orders"),
        ("tt", ["c"], coeval.errors.SQLError, "Did you mean t?"),
        ("t", ["cc"], coeval.errors.SQLError, "has no column cc\n  Did you mean c?"),
        ("t", [], coeval.errors.SQLError, "named by text"),
        ("t", [1], coeval.errors.SQLError, "named by text"),
        (None, ["c"], coeval.errors.SQLError, "named by text"),
        ("w", ["c"], coeval.errors.SQLError, "w is a view"),
        ("words", ["c"], coeval.errors.SQLError, "words is a virtual table"),
        ("words_content", ["c0"], coeval.errors.SQLError, "part of a virtual table"),
        ("_coeval_stamps", ["id"], coeval.errors.SQLError, "keeps its stamps"),
        ("t", ["v"], coeval.errors.ConfigError, "neither INTEGER nor TEXT affinity"),
        ("odd", ["n"], coeval.errors.ConfigError, "NUMERIC"),
        ("odd", ["nocase"], coeval.errors.ConfigError, "collation NOCASE"),
        ("odd", ["g"], coeval.errors.ConfigError, "generated column"),
        ("odd", ["now"], coeval.errors.ConfigError, "no constant"),
        ("odd", ["wrong"], coeval.errors.ConfigError, "no constant of its type"),
        ("partial", ["c"], coeval.errors.ConfigError, "index pi is partial"),
        ("expression", ["c"], coeval.errors.ConfigError, "index ei is over an expression"),
        ("generated", ["c"], coeval.errors.ConfigError, "g, part of a unique key, is generated"),
        ("defaulted", ["c"], coeval.errors.ConfigError, "k, part of a unique key, has a default"),
    ],
)
def test_what_cannot_be_tracked(db, table, by, error, said):
    """A clear message, and nothing is changed."""
    db.script(
        "CREATE VIEW w AS SELECT * FROM t; CREATE VIRTUAL TABLE words USING fts5(c);"
        "CREATE TABLE odd (n NUMERIC, nocase TEXT COLLATE NOCASE, g INTEGER AS (n + 1),"
        " now TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, wrong TEXT NOT NULL DEFAULT 5);"
        "CREATE TABLE partial (c INTEGER, k); CREATE UNIQUE INDEX pi ON partial (k) WHERE c > 0;"
        "CREATE TABLE expression (c INTEGER, k); CREATE UNIQUE INDEX ei ON expression (k || 'x');"
        "CREATE TABLE generated (c INTEGER, g INTEGER AS (c + 1) UNIQUE);"
        "CREATE TABLE defaulted (c INTEGER, k INTEGER NOT NULL DEFAULT (random()) UNIQUE)"
    )
    before = db.query(TRIGGERS)
    with pytest.raises(error) as raised:
        db.track(table, by=by)
    assert said in str(raised.value)
    assert raised.value.hint
    assert before == db.query(TRIGGERS)


def test_where_and_when_it_is_refused(db, open_db):
    """Inside a unit it would wait for itself; without stamps there is nothing to keep."""
    for unit in (db.transaction, db.snapshot):
        with unit(), pytest.raises(coeval.errors.ReentryError):
            db.track("t", by=["c"])
    db.close()
    clocked = open_db(coherence="clock")
    for call in (clocked.track, clocked.untrack):
        with pytest.raises(coeval.errors.ConfigError, match="coherence"):
            call("t", "c")


def test_without_the_parser_the_log_says_that_nothing_is_gained(db, monkeypatch, caplog):
    """The stamps are kept, for processes that have it."""
    monkeypatch.setattr("coeval.tracked_columns.find_spec", lambda _name: None)
    db.track("t", by=["c"])
    assert "pip install 'coeval[track]'" in caplog.text


def test_the_hint_names_no_table_of_ours(db):
    """Nobody means `_coeval_schema` by sqlite_schema."""
    with pytest.raises(coeval.errors.SQLError) as caught:
        db.track("sqlite_schema", by=["name"])
    assert "_coeval" not in caught.value.hint


def test_explain_says_how_fine_a_statement_is_and_why_not_finer(db):
    """For the statement, and for one call of it."""
    db.script("CREATE TABLE o (id INTEGER PRIMARY KEY, t INTEGER); CREATE VIEW w AS SELECT * FROM t")
    assert "scopes" not in str(db.explain(BY, 1))
    db.track("t", by=["c", "s"])
    one = db.explain(BY)
    assert (("t by c = ?1",), ()) == (one.scopes, one.coarse)
    assert "one of these scopes" in str(one)
    assert "scopes     t by c = ?1" in str(one)
    joined = db.explain("SELECT * FROM o, t WHERE t.c IN (:a, 5) AND o.t = t.id AND t.s = 'it''s'", {"a": 1})
    assert ("o", "t by s = 'it''s'") == joined.scopes
    assert ("o", "t by c IN (:a, 5)") == db.explain("SELECT * FROM o, t WHERE t.c IN (:a, 5)", {"a": 1}).scopes
    for parameters in ((None,), ("1",), (1.0,)):
        call = db.explain(BY, *parameters)
        assert ("t",) == call.scopes
        assert "a value is not of its column's type" in call.coarse[0]
    for sql, why in (("SELECT * FROM t", "without holding c or s"), ("SELECT * FROM w WHERE c = 1", "view")):
        coarse = db.explain(sql)
        assert ("t",) == coarse.scopes
        assert why in coarse.coarse[0]
        assert f"coarse     t: {coarse.coarse[0][3:]}" in str(coarse)
    assert () == db.explain("DELETE FROM t WHERE c = 1").scopes


COMES_AND_GOES = {
    "a trigger with RAISE(IGNORE)": (
        "CREATE TRIGGER skip AFTER INSERT ON t BEGIN SELECT raise /* */ (Ignore); END",
        "DROP TRIGGER skip",
        "RAISE(IGNORE)",
    ),
    "a partial unique index": ("CREATE UNIQUE INDEX p ON t (v) WHERE c > 100", "DROP INDEX p", "partial"),
    "a unique index over an expression": ("CREATE UNIQUE INDEX p ON t (id + 1)", "DROP INDEX p", "expression"),
}


@pytest.mark.parametrize("what", COMES_AND_GOES)
def test_what_comes_later_and_goes_again(db, foreign, what):
    """Hole 2: the buckets are not trusted while it is there, `explain` says why, and they are again when it has gone."""
    comes, goes, why = COMES_AND_GOES[what]
    db.track("t", by=["c"])
    for _ in range(2):
        assert is_fine(db, foreign)
        keep(db, BY, 5)
        foreign.execute(comes)
        foreign.execute("INSERT INTO t(c, v) VALUES (5, 5)")
        assert truth(db, BY, 5) == cached(db, BY, 5) != ()
        assert not is_fine(db, foreign)
        explained = db.explain(BY, 1)
        assert ("t",) == explained.scopes
        assert why in explained.coarse[0]
        assert why in str(explained)
        keep(db, BY, 5)
        foreign.execute(goes)
        foreign.execute("DELETE FROM t WHERE c = 5")
        assert () == cached(db, BY, 5)


def test_a_trigger_that_only_mentions_ignoring(db, foreign):
    """INSERT OR IGNORE in a trigger skips nobody else's."""
    foreign.execute("CREATE TABLE log (x UNIQUE)")
    foreign.execute("CREATE TRIGGER notes AFTER INSERT ON t BEGIN INSERT OR IGNORE INTO log VALUES (NEW.c); END")
    db.track("t", by=["c"])
    assert is_fine(db, foreign)


def test_a_key_that_comes_later(db, foreign):
    """Hole 11: from then on its victims are looked up."""
    db.track("t", by=["c"])
    assert is_fine(db, foreign)
    foreign.execute("UPDATE t SET v = id")
    foreign.execute("CREATE UNIQUE INDEX key ON t (v)")
    keep(db, BY, 1)
    foreign.execute("REPLACE INTO t(c, v) VALUES (9, 1)")
    assert () == truth(db, BY, 1) == cached(db, BY, 1)


def test_columns_and_tables_renamed_dropped_and_rebuilt(db, foreign):
    """Found out by every process; what is gone is forgotten, and what cannot go yet says what to do."""
    db.track("t", by=["c", "s"])
    foreign.execute("ALTER TABLE t RENAME COLUMN s TO w")
    assert is_fine(db, foreign)
    assert [("c",)] == foreign.execute("SELECT name FROM _coeval_columns")
    with pytest.raises(coeval.errors.SQLError, match="untrack"):
        db.execute("ALTER TABLE t DROP COLUMN c")
    assert is_fine(db, foreign)
    db.script(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, c INTEGER, v); INSERT INTO n SELECT id, c, v FROM t;"
        "DROP TABLE t; ALTER TABLE n RENAME TO t"
    )
    assert is_fine(db, foreign)
    assert db.explain(BY, 1).scopes == ("t by c = ?1",)
    foreign.execute("ALTER TABLE t RENAME TO u")
    foreign.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER, v)")
    foreign.execute("INSERT INTO t VALUES (1, 1, 0), (2, 2, 0)")
    assert is_fine(db, foreign)  # it goes by the name
    foreign.execute("DROP TABLE t")
    db.query("SELECT * FROM u")
    assert [] == foreign.execute("SELECT name FROM _coeval_columns")
    foreign.execute("ALTER TABLE u RENAME TO t")
    assert not is_fine(db, foreign)
    db.track("t", by="c")
    assert is_fine(db, foreign)
    db.untrack("t")
    db.execute("ALTER TABLE t DROP COLUMN c")


def test_a_table_that_takes_the_number_of_another(db, foreign):
    """It has the same column, and nobody asked for that to be tracked."""
    db.track("t", by=["c"])
    foreign.script("BEGIN; DROP TABLE t; CREATE TABLE other (c INTEGER, s TEXT); COMMIT;")
    db.query("SELECT * FROM other")
    assert [(1, "other")] == foreign.execute("SELECT * FROM _coeval_tables")
    assert [] == foreign.execute("SELECT * FROM _coeval_columns")
    assert [(1,)] == foreign.execute("SELECT count(*) FROM _coeval_stamps WHERE id >= 1 << 20")


def test_a_column_that_another_program_drops(db, foreign):
    """The others stay tracked; another program gets SQLite's own message until it drops our triggers itself."""
    db.track("t", by=["c", "s"])
    foreign.execute("BEGIN")
    for (name,) in foreign.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 't'"):
        foreign.execute(f"DROP TRIGGER {name}")
    foreign.execute("ALTER TABLE t DROP COLUMN s")
    foreign.execute("COMMIT")
    assert is_fine(db, foreign)
    assert [("c",)] == foreign.execute("SELECT name FROM _coeval_columns")


@pytest.mark.parametrize("harm", ["trigger", "stamp", "text"])
def test_what_is_broken_is_repaired(db, foreign, open_db, harm):
    """Of a bucket as of a table: a stamp that is gone matches nothing, and opening puts all in order."""
    db.track("t", by=["c"])
    keep(db, BY, 1)
    if harm == "stamp":
        foreign.execute("DELETE FROM _coeval_stamps WHERE id = (1 << 20) + 1024 + 1")
        assert truth(db, BY, 1) == cached(db, BY, 1)
    else:
        foreign.execute("DROP TRIGGER _coeval_inserted_1")
    if harm == "text":
        foreign.execute("CREATE TRIGGER _coeval_inserted_1 AFTER INSERT ON t BEGIN SELECT 1; END")
    foreign.execute("INSERT INTO t(c, v) VALUES (1, 3)")
    assert truth(db, BY, 1) == cached(db, BY, 1)
    db.close()
    again = open_db()
    assert [(1025,)] == foreign.execute("SELECT count(*) FROM _coeval_stamps WHERE id >= 1 << 20")
    assert is_fine(again, foreign)


def test_two_processes_of_which_one_knows_nothing(db, foreign, neighbour):
    """Hole 24: the other tracks nothing itself, and repairs with it; each reads by what the file says."""
    db.track("t", by=["c"])
    assert is_fine(db, foreign)
    expected = foreign.execute(TRIGGERS)
    db.close()
    foreign.execute("DROP TRIGGER _coeval_inserted_1")
    foreign.execute("DROP TRIGGER _coeval_update_1")
    neighbour.query(BY, 1)
    assert expected == foreign.execute(TRIGGERS)
    misses = neighbour.call("stats")
    foreign.execute("UPDATE t SET v = 50 WHERE c = 2")
    assert neighbour.query(BY, 1) == [list(row) for row in foreign.execute(BY, 1)]
    assert "misses=1" in misses
    assert "misses=1" in neighbour.call("stats")


def test_untracked_by_another_process(db, foreign, neighbour):
    """An analysis that was made with buckets does not outlive them."""
    db.track("t", by=["c"])
    keep(db, BY, 1)
    neighbour.call("untrack", "t")
    foreign.execute("INSERT INTO t(c, v) VALUES (1, 9)")
    assert truth(db, BY, 1) == cached(db, BY, 1)
    keep(db, BY, 1)
    neighbour.call("track", "t", "c")
    foreign.execute("INSERT INTO t(c, v) VALUES (1, 10)")
    assert truth(db, BY, 1) == cached(db, BY, 1)
    assert is_fine(db, foreign)


@pytest.mark.parametrize("there", [False, True])
def test_a_file_of_format_1_is_upgraded(db, foreign, open_db, there):
    """Its three tables and triggers stay; the fourth comes, and what was cached by the other version matches nothing."""
    db.close()
    if not there:
        foreign.execute("DROP TABLE _coeval_columns")
    foreign.execute("UPDATE _coeval_schema SET format = 1")
    version = foreign.execute("PRAGMA schema_version")[0][0]
    foreign.execute("UPDATE _coeval_schema SET version = ?", version)
    before = foreign.execute(TRIGGERS), foreign.execute("SELECT stamp FROM _coeval_schema")
    db = open_db()
    after = foreign.execute(TRIGGERS), foreign.execute("SELECT stamp FROM _coeval_schema")
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert [(2,)] == foreign.execute("SELECT format FROM _coeval_schema")
    db.track("t", by=["c"])
    assert is_fine(db, foreign)


def test_somebody_else_s_table_of_our_name(foreign, open_db):
    """It is refused, as for the other three."""
    foreign.execute("CREATE TABLE _coeval_columns (x)")
    with pytest.raises(coeval.errors.OpenError, match="_coeval_columns"):
        open_db()


def test_uninstall_leaves_nothing(db, path, foreign):
    """The file is plain SQLite again, for any program."""
    db.track("t", by=["c", "s", "id"])
    db.close()
    names = coeval.uninstall(path)
    assert {"_coeval_columns", "_coeval_moved_1", "_coeval_replaced_1", "_coeval_inserted_1"} <= set(names)
    assert [] == foreign.execute("SELECT name FROM sqlite_schema WHERE name LIKE '\\_coeval%' ESCAPE '\\'")
    foreign.execute("ALTER TABLE t DROP COLUMN c")


def test_the_schema_can_be_read_by_other_programs(db, foreign):
    """Our triggers compile in another library, for every kind of statement."""
    db.track("t", by=["c", "s", "id"])
    assert [("ok",)] == foreign.execute("PRAGMA integrity_check")
    for sql in (
        "REPLACE INTO t VALUES (1, 2, 'x', 3)",
        "UPDATE t SET c = 1, s = 'y', id = id + 5",
        "DELETE FROM t",
        "ALTER TABLE t RENAME v TO w",
    ):
        foreign.execute(f"EXPLAIN {sql}" if "ALTER" not in sql else sql)


def test_look_ups_go_by_a_key(db, foreign):
    """Hole 27: neither a stamp nor a victim is searched for by a scan."""
    db.script(
        "CREATE TABLE k (id INTEGER PRIMARY KEY, c INTEGER, s TEXT UNIQUE COLLATE NOCASE, a NOT NULL DEFAULT 5, b, UNIQUE (a, b))"
    )
    db.track("k", by=["c"])
    for body in foreign.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'k'"):
        for statement in body[0].split(" BEGIN ")[1].split("; ")[:-1]:
            plan = foreign.execute(f"EXPLAIN QUERY PLAN {bound(statement)}")
            assert plan
            assert not [row for row in plan if "SCAN" in row[3]], (statement, plan)


def bound(statement: str) -> str:
    """The statement with a value for each column of the row that fires the trigger."""
    return re.sub(r'(?:NEW|OLD)\."\w+"', "9", statement)


def test_columns_in_one_text_and_a_table_with_its_schema(db):
    """Both are near to what is meant, so the hint says what to write instead."""
    for call in (db.track, db.untrack):
        with pytest.raises(coeval.errors.SQLError, match="one text") as caught:
            call("t", by="c, s")
        assert 'by=["c", "s"]' in caught.value.hint
        with pytest.raises(coeval.errors.SQLError, match=r"no such table: main\.t") as caught:
            call("main.t", by="c")
        assert caught.value.hint == 'Leave out `main.`: the table is "t".'
    with pytest.raises(coeval.errors.SQLError, match=r"no such table: main\.nothing\n"):
        db.track("main.nothing", by="c")
    db.track("t", by=["c", "s"])
