"""FTS5 in every content mode, fts5vocab, R*Trees and JSON over columns: hits while nothing is committed, and never stale (law 1, hole 1).

Whatever changes the index, its text or its settings, by us, by a neighbour through Coeval or by another program: the next read has it.
"""

# ruff: noqa: PT012 - the block that raises is the transaction itself
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

import coeval
from coherence.asking import cached, keep, truth


class Mode(NamedTuple):
    """One way to have a virtual table: how it is made, what is asked, and what is written, in this order."""

    script: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    since: tuple[int, ...] = (3, 34)  #: the SQLite that knows it


#: What ranking, excerpts and prefixes give; all of it depends on every row of the index.
SEARCHES = (
    "SELECT rowid FROM f WHERE f MATCH 'word' ORDER BY rowid",
    "SELECT rowid, bm25(f, 5.0) FROM f WHERE f MATCH 'word OR other' ORDER BY 2, 1",
    "SELECT rowid, rank FROM f('wor*') ORDER BY rank, rowid",
    "SELECT count(*) FROM f",
)
EXCERPTS = (
    "SELECT highlight(f, 0, '[', ']'), snippet(f, -1, '<', '>', '…', 4) FROM f('word') ORDER BY rowid",
    "SELECT title, body FROM f ORDER BY rowid",
)
UPKEEP = (
    "INSERT INTO f(f) VALUES ('optimize')",
    "INSERT INTO f(f, rank) VALUES ('merge', 16)",
    "INSERT INTO f(f, rank) VALUES ('automerge', 8)",
    "INSERT INTO f(f, rank) VALUES ('rank', 'bm25(10.0, 0.5)')",
    "INSERT INTO f(f, rank) VALUES ('integrity-check', 0)",
)
ROWS = "VALUES (1, 'a word', 'other text'), (2, 'other', 'the word and a word'), (3, 'nothing', 'here')"
ORDINARY = (
    "INSERT INTO f(rowid, title, body) VALUES (4, 'word word', 'words')",
    "UPDATE f SET body = 'no such thing' WHERE rowid = 2",
    "UPDATE f SET rowid = 9 WHERE rowid = 1",
    "DELETE FROM f WHERE rowid = 9",
    "INSERT OR REPLACE INTO f(rowid, title, body) VALUES (4, 'replaced', 'wordy other')",
    "INSERT INTO f(f) VALUES ('rebuild')",
    *UPKEEP,
    "DELETE FROM f",
    "INSERT INTO f(rowid, title, body) SELECT 7, 'word', 'again'",
)
BESIDE = (
    "UPDATE t SET body = 'a word that the index does not know' WHERE id = 3",  # without its triggers
    "INSERT INTO t VALUES (4, 'word', 'unknown')",
    "DELETE FROM t WHERE id = 2",
    "INSERT INTO f(f) VALUES ('rebuild')",
    "INSERT INTO f(f, rowid, title, body) SELECT 'delete', id, title, body FROM t WHERE id = 1",
    *UPKEEP[:-1],
    "INSERT INTO f(f) VALUES ('delete-all')",
    "INSERT INTO f(rowid, title, body) SELECT id, title, body FROM t",
)
SYNCHRONISED = """
    CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO f(rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
    CREATE TRIGGER t_ad AFTER DELETE ON t BEGIN
      INSERT INTO f(f, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body); END;
    CREATE TRIGGER t_au AFTER UPDATE ON t BEGIN
      INSERT INTO f(f, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
      INSERT INTO f(rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
"""
CONTENT = f"CREATE TABLE t (id INTEGER PRIMARY KEY, title, body); INSERT INTO t {ROWS};"

MODES = {
    "ordinary": Mode(
        f"CREATE VIRTUAL TABLE f USING fts5(title, body); INSERT INTO f(rowid, title, body) {ROWS}",
        SEARCHES + EXCERPTS,
        ORDINARY,
    ),
    "prefix indexes": Mode(
        f"CREATE VIRTUAL TABLE f USING fts5(title, body, prefix='2 3'); INSERT INTO f(rowid, title, body) {ROWS}",
        (*SEARCHES, "SELECT rowid FROM f('wo*')", "SELECT rowid FROM f('^wor*')"),
        ORDINARY,
    ),
    "trigrams": Mode(
        f"CREATE VIRTUAL TABLE f USING fts5(title, body, tokenize='trigram'); INSERT INTO f(rowid, title, body) {ROWS}",
        (*SEARCHES, "SELECT rowid FROM f WHERE body LIKE '%ord%'", "SELECT title FROM f WHERE title GLOB '*wor*'"),
        ORDINARY,
    ),
    "without positions": Mode(
        f"CREATE VIRTUAL TABLE f USING fts5(title, body UNINDEXED, detail=none, columnsize=0); INSERT INTO f(rowid, title, body) {ROWS}",
        (SEARCHES[0], SEARCHES[3], EXCERPTS[1]),
        ORDINARY,
    ),
    "external content": Mode(
        f"{CONTENT} CREATE VIRTUAL TABLE f USING fts5(title, body, content='t', content_rowid='id'); INSERT INTO f(f) VALUES ('rebuild')",
        (
            *SEARCHES,
            EXCERPTS[1],
            "SELECT f.rowid, t.title FROM f JOIN t ON t.id = f.rowid WHERE f MATCH 'word' ORDER BY 1",
        ),
        BESIDE,
    ),
    "external content with triggers": Mode(
        f"{CONTENT} CREATE VIRTUAL TABLE f USING fts5(title, body, content='t', content_rowid='id'); INSERT INTO f(f) VALUES ('rebuild');"
        + SYNCHRONISED,
        SEARCHES + EXCERPTS,
        (
            "INSERT INTO t VALUES (4, 'word word', 'words')",
            "UPDATE t SET body = 'other words' WHERE id = 2",
            "DELETE FROM t WHERE id = 1",
            "INSERT INTO t VALUES (3, 'word', 'upserted') ON CONFLICT DO UPDATE SET title = excluded.title",
            "INSERT INTO f(f) VALUES ('rebuild')",
            *UPKEEP,
            "DELETE FROM t",
        ),
    ),
    "external content of a view": Mode(
        f"{CONTENT} CREATE TABLE more (id INTEGER PRIMARY KEY, title, body); INSERT INTO more VALUES (11, 'word', 'elsewhere');"
        "CREATE VIEW v AS SELECT * FROM t UNION ALL SELECT * FROM more;"
        "CREATE VIRTUAL TABLE f USING fts5(title, body, content='v', content_rowid='id'); INSERT INTO f(f) VALUES ('rebuild')",
        (*SEARCHES, EXCERPTS[1]),
        ("UPDATE more SET title = 'a word more'", "DELETE FROM t WHERE id = 1", "INSERT INTO f(f) VALUES ('rebuild')"),
    ),
    "contentless": Mode(
        f"{CONTENT} CREATE VIRTUAL TABLE f USING fts5(title, body, content=''); INSERT INTO f(rowid, title, body) SELECT * FROM t",
        (*SEARCHES, EXCERPTS[1]),
        (
            "INSERT INTO f(rowid, title, body) VALUES (4, 'word word', 'words')",
            "INSERT INTO f(f, rowid, title, body) VALUES ('delete', 1, 'a word', 'other text')",
            *UPKEEP[:-1],
            "INSERT INTO f(f) VALUES ('delete-all')",
        ),
    ),
    "contentless that forgets": Mode(
        f"{CONTENT} CREATE VIRTUAL TABLE f USING fts5(title, body, content='', contentless_delete=1);"
        "INSERT INTO f(rowid, title, body) SELECT * FROM t",
        (*SEARCHES, EXCERPTS[1]),
        (
            "DELETE FROM f WHERE rowid = 1",
            "UPDATE f SET title = 'word', body = 'word' WHERE rowid = 3",
            "INSERT OR REPLACE INTO f(rowid, title, body) VALUES (2, 'nothing', 'at all')",
            *UPKEEP[:-1],
            "INSERT INTO f(f) VALUES ('delete-all')",
        ),
        (3, 43),
    ),
    "contentless with a column that is kept": Mode(
        "CREATE VIRTUAL TABLE f USING fts5(title, body UNINDEXED, content='', contentless_delete=1, contentless_unindexed=1);"
        f"INSERT INTO f(rowid, title, body) {ROWS}",
        (SEARCHES[0], SEARCHES[3], "SELECT rowid, body FROM f ORDER BY rowid"),
        (
            "DELETE FROM f WHERE rowid = 1",
            "UPDATE f SET title = 'word', body = 'kept' WHERE rowid = 3",
            "DELETE FROM f",
        ),
        (3, 47),
    ),
    "vocabulary": Mode(
        f"CREATE VIRTUAL TABLE f USING fts5(title, body); INSERT INTO f(rowid, title, body) {ROWS};"
        "CREATE VIRTUAL TABLE by_row USING fts5vocab(f, 'row'); CREATE VIRTUAL TABLE by_col USING fts5vocab(f, 'col');"
        "CREATE VIRTUAL TABLE by_instance USING fts5vocab(f, 'instance')",
        (
            "SELECT term, doc, cnt FROM by_row",
            "SELECT term, col, cnt FROM by_col WHERE term > 'o'",
            "SELECT doc, col, offset FROM by_instance WHERE term = 'word' ORDER BY 1, 2, 3",
        ),
        ORDINARY,
    ),
    "the fourth version": Mode(
        "CREATE VIRTUAL TABLE f USING fts4(title, body); CREATE VIRTUAL TABLE terms USING fts4aux(f);"
        f"INSERT INTO f(rowid, title, body) {ROWS}",
        (
            "SELECT rowid, snippet(f), hex(matchinfo(f)) FROM f WHERE f MATCH 'word' ORDER BY rowid",
            "SELECT term, occurrences FROM terms WHERE col = '*' ORDER BY term",
        ),
        (*ORDINARY[:1], *ORDINARY[3:4], *ORDINARY[5:7], "INSERT INTO f(f) VALUES ('merge=20,8')", "DELETE FROM f"),
    ),
    "r-tree": Mode(
        "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1, +note); INSERT INTO r VALUES (1, 0, 5, 'a'), (2, 4, 9, 'b')",
        (
            "SELECT id, note FROM r WHERE x0 <= 4.5 AND x1 >= 4.5 ORDER BY id",
            "SELECT min(x0), max(x1) FROM r",
            "SELECT count(*) FROM r_rowid",
        ),
        (
            "INSERT INTO r VALUES (3, 1, 8, 'c')",
            "UPDATE r SET x0 = 4.7 WHERE id = 2",
            "UPDATE r SET note = 'changed' WHERE id = 1",  # a column beside the tree
            "INSERT OR REPLACE INTO r VALUES (1, 4, 4.4, 'd')",
            "DELETE FROM r WHERE id = 3",
            "DELETE FROM r",
        ),
    ),
    "json over a column": Mode(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT); INSERT INTO t VALUES (1, '[1, {\"a\": 2}]'), (2, '[3]')",
        (
            "SELECT t.id, e.key, e.value FROM t, json_each(t.doc) AS e",
            "SELECT fullkey, atom FROM t JOIN json_tree(doc) ON atom IS NOT NULL",
            "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM json_each(doc) WHERE value = 3)",
        ),
        (
            "UPDATE t SET doc = '[3, 4]' WHERE id = 1",
            "UPDATE t SET doc = json_insert(doc, '$[#]', 5)",
            "INSERT INTO t VALUES (3, '{\"b\": 3}')",
            "DELETE FROM t WHERE id = 2",
            "UPDATE t SET doc = '[]'",
        ),
    ),
}


@pytest.mark.parametrize("writer", ["ours", "neighbour", "foreign"])
@pytest.mark.parametrize("mode", MODES)
def test_never_stale(db, mode, writer, request):
    """Hole 1: after each write of any kind every search has what an uncached one has; before it all of them were hits."""
    mode = MODES[mode]
    db.script(mode.script)
    write: Callable[[str], object] = db.execute
    if writer != "ours":
        process = request.getfixturevalue(writer)
        if writer == "foreign" and process.version < mode.since:
            pytest.skip(f"the standard library's SQLite is {process.version}, and this came with {mode.since}")
        write = process.execute
    for sql in mode.reads:
        assert ("clock", True) == (db.explain(sql).validity, truth(db, sql) is not None)
        keep(db, sql)
    changed = set()
    for statement in mode.writes:
        before = [cached(db, sql) for sql in mode.reads]
        write(statement)
        for sql, old in zip(mode.reads, before, strict=True):
            true = truth(db, sql)
            assert true == cached(db, sql), f"stale after {statement}"
            assert true == keep(db, sql)
            if true != old:
                changed.add(sql)
    assert changed >= set(mode.reads[:2]), "these writes would prove nothing"
    on = {
        row[0]
        for row in db.iterate(
            "SELECT tbl_name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '\\_coeval%' ESCAPE '\\'"
        )
    }
    assert on <= {"t", "more"}


@pytest.mark.parametrize("mode", MODES)
def test_hits_while_nothing_is_committed(db, foreign, mode):
    """By the clock: a read of another program, a write that is rolled back and one that changes nothing throw nothing away."""
    mode = MODES[mode]
    db.script(mode.script)
    for sql in mode.reads:
        keep(db, sql)
    db.script("CREATE TABLE other (v)")
    for sql in mode.reads:
        keep(db, sql)
    before = db.stats()
    foreign.execute("SELECT count(*) FROM sqlite_schema")
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("INSERT INTO other VALUES (1)")
    foreign.execute("ROLLBACK")
    foreign.execute("DELETE FROM other")
    for sql in mode.reads:
        cached(db, sql)
    after = db.stats()
    assert (before.hits + len(mode.reads), before.misses) == (after.hits, after.misses)
    foreign.execute("INSERT INTO other VALUES (1)")  # has nothing to do with it, but nothing can prove that
    for sql in mode.reads:
        cached(db, sql)
    assert before.misses + len(mode.reads) == db.stats().misses


def test_a_search_inside_a_cached_function(db, foreign):
    """Hole 1 for functions: one search makes all that the function read valid by the clock alone."""
    db.script(f"{MODES['ordinary'].script}; CREATE TABLE u (v); INSERT INTO u VALUES (1)")
    runs = []

    @db.cached
    def search(word):
        runs.append(word)
        return db.query("SELECT rowid, rank FROM f(?) ORDER BY rank", word), db.scalar("SELECT v FROM u")

    old = search("word")
    assert old == search("word")
    assert 1 == len(runs)
    foreign.execute("INSERT INTO f VALUES ('word word word', 'word')")
    assert len(old[0]) + 1 == len(search("word")[0])
    foreign.execute("INSERT INTO f(f, rank) VALUES ('rank', 'bm25(100.0, 1.0)')")
    assert search("word")[0] == db.query("SELECT rowid, rank FROM f('word') ORDER BY rank")
    foreign.execute("UPDATE u SET v = 2")
    assert 2 == search("word")[1]


def test_inside_a_snapshot_and_a_transaction(db, foreign):
    """A search is of the snapshot's moment, and sees the transaction's own writes; neither leaves anything behind."""
    db.script(MODES["ordinary"].script)
    sql = SEARCHES[1]
    old = keep(db, sql)
    with db.snapshot():
        assert old == cached(db, sql)
        foreign.execute("INSERT INTO f VALUES ('word', 'word')")
        assert old == cached(db, sql) == cached(db, sql)
    new = cached(db, sql)
    assert len(old) + 1 == len(new)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("INSERT INTO f(f) VALUES ('rebuild')")
        tx.execute("DELETE FROM f WHERE rowid > 1")
        assert 1 == len(cached(db, sql))
        raise ZeroDivisionError
    assert new == truth(db, sql) == cached(db, sql)


def test_what_describes_the_file_or_the_connection_is_never_kept(db, foreign):
    """dbstat, PRAGMA functions, and functions of the modules that read more than their arguments."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)")
    for sql in (
        "SELECT name, pageno, ncell FROM dbstat",
        "SELECT sum(pgsize) FROM dbstat WHERE aggregate",
        "SELECT name FROM pragma_table_info('t')",
        "SELECT * FROM pragma_data_version",
        "SELECT * FROM pragma_page_count, t",
        "SELECT name FROM pragma_table_list ORDER BY name",
        "SELECT rtreecheck('r')",
    ):
        assert not db.explain(sql).cacheable, sql
        for value in ("x" * 9000, "y"):
            foreign.execute("INSERT INTO t VALUES (?)", value)
            assert truth(db, sql) == cached(db, sql)
    foreign.execute("ALTER TABLE t ADD COLUMN w")
    assert (("v",), ("w",)) == cached(db, "SELECT name FROM pragma_table_info('t')")


def test_a_search_with_a_function_of_the_user_s(path, open_db):
    """Hole 12 in FTS5: an auxiliary function or a ranking that on_connect registers is code of this process."""
    answers = iter(range(100))

    def answer(_, *arguments):
        return next(answers)

    def connected(connection):
        connection.register_fts5_function("mine", answer)
        connection.register_fts5_function("bm25", answer)

    db: coeval.Database = open_db(on_connect=connected)
    db.script(MODES["ordinary"].script)
    for asked in ("mine(f)", "bm25(f)", "rank"):
        sql = f"SELECT {asked} FROM f('word') LIMIT 1"
        assert cached(db, sql) != cached(db, sql), db.explain(sql)
    assert db.explain("SELECT 1 + 1").cacheable
