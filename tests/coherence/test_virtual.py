"""Virtual tables have no triggers of ours, and their results go by the clock alone (hole 1)."""

from __future__ import annotations

from typing import Any

import pytest

import coeval
from coherence.asking import cached, keep, truth

FTS = "CREATE VIRTUAL TABLE f USING fts5(body)"
READ = "SELECT rowid, body FROM f WHERE f MATCH 'word' ORDER BY rowid"


def test_full_text_search_is_cached_and_never_stale(db, foreign):
    """Hole 1: inserts, updates, deletes and 'rebuild' by another program are seen; nothing crashes."""
    db.script(f"{FTS}; INSERT INTO f VALUES ('one word'), ('two')")
    for write in (
        "INSERT INTO f VALUES ('word three')",
        "UPDATE f SET body = 'word' WHERE rowid = 2",
        "INSERT INTO f(f) VALUES ('rebuild')",
        "INSERT INTO f(f) VALUES ('optimize')",
        "DELETE FROM f WHERE rowid = 1",
        "DELETE FROM f",
    ):
        keep(db, READ)
        assert "clock" == db.explain(READ).validity
        foreign.execute(write)
        assert truth(db, READ) == cached(db, READ)


def test_no_trigger_stands_on_a_shadow_table(db, foreign):
    """Hole 1: only the ordinary table has triggers, whoever made the virtual one, and however it is named."""
    db.script("CREATE TABLE t (v); CREATE VIRTUAL TABLE mine USING fts5(a)")
    foreign.execute('CREATE VIRTUAL TABLE "odd name" USING fts5(a)')
    foreign.execute("CREATE VIRTUAL TABLE r USING rtree(id, low, high)")
    db.query("SELECT v FROM t")
    on = foreign.execute("SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'trigger'")
    assert [("t",)] == on
    db.execute("INSERT INTO mine(mine) VALUES ('rebuild')")
    foreign.execute("""INSERT INTO "odd name"("odd name") VALUES ('rebuild')""")


def test_a_shadow_table_read_by_hand_goes_by_the_clock(db, foreign):
    """Hole 1: what FTS5 writes into its own tables fires nothing."""
    db.script(f"{FTS}; INSERT INTO f VALUES ('a')")
    read = "SELECT count(*) FROM f_content"
    keep(db, read)
    assert "clock" == db.explain(read).validity
    foreign.execute("INSERT INTO f VALUES ('b')")
    assert ((2,),) == cached(db, read)


def test_external_content(db, foreign):
    """Hole 1: the index reads its text from an ordinary table, which changes without the index."""
    db.script("""
        CREATE TABLE t (id INTEGER PRIMARY KEY, body);
        CREATE VIRTUAL TABLE f USING fts5(body, content='t', content_rowid='id');
        INSERT INTO t VALUES (1, 'old word'); INSERT INTO f(f) VALUES ('rebuild');
    """)
    old = keep(db, READ)
    foreign.execute("UPDATE t SET body = 'new word'")
    assert old != truth(db, READ)
    assert truth(db, READ) == cached(db, READ)


def test_a_view_over_and_a_join_with_a_virtual_table(db, foreign):
    """Hole 1: one virtual table anywhere is enough for the clock."""
    db.script(
        f"{FTS}; INSERT INTO f VALUES ('word'); CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE VIEW w AS SELECT body FROM f"
    )
    for read in (
        "SELECT v, body FROM t, f",
        "SELECT count(*) FROM w",
        "SELECT v FROM t WHERE v IN (SELECT rowid FROM f)",
    ):
        assert "clock" == db.explain(read).validity
        keep(db, read)
        foreign.execute("INSERT INTO f VALUES ('word')")
        assert truth(db, read) == cached(db, read)
    assert "stamps" == db.explain("SELECT v FROM t").validity


def test_an_rtree(db, foreign):
    """Hole 1: the R*Tree's rows live in its shadow tables."""
    db.script("CREATE VIRTUAL TABLE r USING rtree(id, low, high); INSERT INTO r VALUES (1, 0, 5)")
    read = "SELECT id FROM r WHERE low < ? ORDER BY id"
    keep(db, read, 3)
    foreign.execute("INSERT INTO r VALUES (2, 1, 9)")
    assert ((1,), (2,)) == cached(db, read, 3)


def test_a_module_that_may_read_anything_is_not_kept(path, open_db):
    """A virtual table of the user's own module may read what is not in this file."""
    import apsw.ext

    rows = [(1,)]

    def made():
        yield from rows

    numbers: Any = made
    numbers.columns = ("n",)
    numbers.column_access = apsw.ext.VTColumnAccess.By_Index

    db = open_db(on_connect=lambda c: apsw.ext.make_virtual_module(c, "numbers", numbers))
    sql = "SELECT n FROM numbers"
    assert not db.explain(sql).cacheable
    for _ in range(3):
        assert tuple(rows) == cached(db, sql)
        rows.append((len(rows) + 1,))


def test_by_the_clock_alone_the_file_stays_as_it_is(path, start_foreign, open_db):
    """With coherence="clock" any commit makes every entry worthless, and nothing is written into the file."""
    foreign = start_foreign()
    foreign.script("PRAGMA journal_mode = WAL; CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE TABLE u (v)")
    db = open_db(coherence="clock")
    assert [("t",), ("u",)] == foreign.execute("SELECT name FROM sqlite_schema ORDER BY name")
    for number in range(2, 6):
        keep(db, "SELECT v FROM t")
        foreign.execute("UPDATE t SET v = ?", number)
        assert ((number,),) == keep(db, "SELECT v FROM t")
        misses = db.stats().misses
        foreign.execute("INSERT INTO u VALUES (1)")
        assert ((number,),) == cached(db, "SELECT v FROM t")
        assert misses + 1 == db.stats().misses
    foreign.execute("ALTER TABLE t ADD COLUMN w DEFAULT 7")
    assert ((5, 7),) == cached(db, "SELECT * FROM t")


@pytest.mark.parametrize("to_wal", [False, True], ids=["a rollback journal", "that becomes WAL"])
def test_by_the_clock_alone_without_wal(path, start_foreign, open_db, to_wal):
    """A file with a rollback journal has no WAL-index: the PRAGMA is the clock, and stays right when the mode changes."""
    foreign = start_foreign()
    foreign.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    db = open_db(coherence="clock")
    keep(db, "SELECT v FROM t")
    if to_wal:
        assert [("wal",)] == foreign.execute("PRAGMA journal_mode = WAL")
    for number in range(2, 8):
        foreign.execute("UPDATE t SET v = ?", number)
        assert ((number,),) == keep(db, "SELECT v FROM t")


def test_a_module_that_is_not_loaded_is_refused_and_its_tables_are_left_alone(path, start_foreign):
    """Hole 1: where the virtual table's module is unknown its shadow tables are recognised by name, and get no triggers."""
    foreign = start_foreign()
    foreign.script("CREATE TABLE v_data (x); CREATE TABLE t (x); PRAGMA writable_schema = ON")
    foreign.execute(
        "INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) "
        "VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING unheard(x)')"
    )
    foreign.disconnect()
    with coeval.open(path) as db:
        assert 0 == db.scalar("SELECT count(*) FROM t")
        on = foreign.execute("SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'trigger'")
        assert [("t",)] == on
