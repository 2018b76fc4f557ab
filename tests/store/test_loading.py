"""`db.load`: rows from any iterator, in chunks, quickly, and stamped (laws 1 and 6)."""

from __future__ import annotations

import array
import enum
import threading
import tracemalloc
from collections import ChainMap
from contextlib import suppress
from datetime import date
from decimal import Decimal

import apsw
import pytest

import coeval
from coeval.errors import (
    ClosedError,
    ConfigError,
    ConstraintError,
    ParameterError,
    ReentryError,
    SQLError,
)
from coherence.neighbour import Neighbour

from interrupting import interrupted_at

LOADING = ("loading.py", "chunks.py", "target.py", "triggers.py", "values.py")
TRIGGERS = apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER
SCHEMA = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL); CREATE TABLE u(x)"
COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def db(path):
    """A database with the tables t and u."""
    with coeval.open(path, durability="normal") as db:
        db.script(SCHEMA)
        yield db


def numbered(count, first=1):
    """Rows for t, from a generator."""
    return ((number, f"row {number}", number / 2) for number in range(first, first + count))


def triggers_on(db):
    """Whether the writer's connection runs triggers; asked with the turn, in which nobody else uses it."""
    with db.transaction() as tx:
        return tx._ready().raw.config(TRIGGERS, -1) == 1


def interrupted_in_loading(number, work):
    """As `interrupted_at`, counting moments of the modules of loading alone; transactions have their own tests."""
    return interrupted_at(number, work, within=lambda name: name.endswith(LOADING))


# -- what goes in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 1000, 1234])
@pytest.mark.parametrize("batch", [1, 7, 150, 10_000])
def test_every_row_goes_in_once(db, count, batch):
    """Whatever the sizes of the load, of its transactions and of its statements."""
    count = min(count, 200) if batch == 1 else count
    assert coeval.Loaded(count, count, -(-count // batch)) == db.load("t", numbered(count), batch=batch)
    assert [(n, f"row {n}", n / 2) for n in range(1, count + 1)] == [
        tuple(row) for row in db.query("SELECT * FROM t ORDER BY id")
    ]


def test_rows_of_any_shape(db):
    """Tuples, lists, Rows and mappings; columns by position, by name, in any spelling, or from the first mapping."""
    db.load("t", [(1, "a", 1.0), [2, "b", 2.0]])
    db.load("T", db.query("SELECT id + 10, a, b FROM t"))
    db.load("t", [("c", 21)], columns=["A", "ID"])
    db.load("t", [(31,), (32,)], columns="id")
    db.load("t", [{"id": 41, "a": "d"}, {"a": "e", "id": 42}, ChainMap[str, object]({"id": 43}, {"a": "f"})])
    db.load("t", [{"id": 51, "a": "g", "more": 1}, {"id": 52, "a": "h"}], columns=("id", "a"))
    expected = {
        1: "a",
        2: "b",
        11: "a",
        12: "b",
        21: "c",
        31: None,
        32: None,
        41: "d",
        42: "e",
        43: "f",
        51: "g",
        52: "h",
    }
    assert expected == {row["id"]: row["a"] for row in db.query("SELECT id, a FROM t")}


def test_names_are_quoted_and_generated_columns_are_left_out(db):
    """A table and columns with quotes and spaces in their names, one computed."""
    db.script('CREATE TABLE "a ""b"(i INTEGER PRIMARY KEY, "x y" TEXT, "select" TEXT, n AS (length("x y")))')
    db.load('a "b', [(1, "one", "s")], upsert="i")
    db.load('a "b', [{"i": 1, "x y": "three", "select": "t"}], upsert=["i"])
    assert [(1, "three", "t", 5)] == [tuple(row) for row in db.query('SELECT * FROM "a ""b"')]


class Colour(enum.Enum):
    """Stored as its value."""

    RED = "red"


class Text(str):  # noqa: SLOT000 - as users write it
    """Stored as text."""


def test_values_are_stored_as_by_execute(db):
    """Everything that `execute` adapts, at any place of a chunk, beside plain values."""
    db.script("CREATE TABLE v(x)")
    values = [
        1,
        "a",
        None,
        2.5,
        b"b",
        True,
        date(2024, 1, 31),
        Decimal("1.50"),
        Colour.RED,
        Text("t"),
        bytearray(b"c"),
        float("inf"),
        -float("inf"),
    ]
    for value in values:
        db.execute("INSERT INTO v VALUES (?)", value)
    expected = [tuple(row) for row in db.query("SELECT x, typeof(x) FROM v ORDER BY rowid")]
    db.execute("DELETE FROM v")
    db.load("v", ([value] for value in values), batch=5)
    assert expected == [tuple(row) for row in db.query("SELECT x, typeof(x) FROM v ORDER BY rowid")]


@pytest.mark.parametrize(
    "value",
    [float("nan"), 2**63, "\ud800", array.array("d", [1.0]), [1], 1j, Decimal("nan")],
    ids=["nan", "large", "surrogate", "buffer", "list", "complex", "decimal nan"],
)
@pytest.mark.parametrize("place", [1, 57, 100, 101, 201, 250])
def test_no_value_is_changed_without_a_word(db, value, place):
    """What SQLite's driver would take for NULL or a blob, or cannot hold, is an error with row and column, wherever it stands."""
    rows = [[n, "x", n * 0.5] for n in range(1, 251)]
    rows[place - 1][2] = value
    with pytest.raises(ParameterError, match=f"row {place}, column 'b'"):
        db.load("t", rows)
    assert 0 == db.scalar(COUNT)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(1, "a", 1.0), (2, "b")], "row 2 has 2 values for 3 columns"),
        ([(1, "a", 1.0), (2, "b"), (3, "c", 1.0, 1)], "row 2 has 2 values"),
        ([(1, "a", 1.0), "abc"], "row 2 is of type str"),
        ([(1, "a", 1.0), {"id": 2}], "row 2 is of type dict"),
        ([{"id": 1}, (2,)], "row 2 is of type tuple"),
        ([{"id": 1, "a": "x"}, {"id": 2}], "row 2 has no a"),
        ([{"id": 1}, {"id": 2, "a": "x"}], "row 2 has a, unlike the first"),
        ([{"id": 1}, {"a": 2}], "row 2 has no id"),
        ([5], "row 1 is of type int"),
        ([None], "row 1 is of type NoneType"),
        (5, "load takes rows"),
        ("abc", "load takes rows"),
        ({"id": 1}, "load takes rows"),
    ],
)
def test_rows_that_are_none(db, rows, words):
    """The error names the row; nothing is written, and no value moves to another column."""
    with pytest.raises(ParameterError, match=words):
        db.load("t", rows)
    assert 0 == db.scalar(COUNT)


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ("nowhere", {}, "no such table"),
        ("_coeval_stamps", {}, "keeps its stamps"),
        ("sqlite_sequence", {}, "no such table"),
        ("seen", {}, "is a view"),
        ("f_data", {}, "part of a virtual table"),
        ("t", {"columns": ["id", "zz"]}, "no such column: t.zz"),
        ("t", {"columns": ["id", "ID"]}, "twice"),
        ("t", {"columns": []}, "No column"),
        ("g", {"columns": ["n"]}, "generated"),
        ("t", {"upsert": "zz"}, "no such column"),
        ("t", {"upsert": "a"}, "ON CONFLICT clause does not match"),
        ("t", {"upsert": "a", "columns": ["id"]}, "upsert goes by a"),
        ("f", {"upsert": "body"}, "virtual table"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_the_iterator_is_asked_for_a_second_row(db, table, options, words):
    """Tables and columns that are none, views, shadow tables and our own."""
    db.script(
        "CREATE VIEW seen AS SELECT * FROM t; CREATE VIRTUAL TABLE f USING fts5(body); CREATE TABLE g(x, n AS (x))"
    )
    taken = []

    def rows():
        for number in range(10):
            taken.append(number)
            yield (number,)

    with pytest.raises(SQLError, match=words):
        db.load(table, rows(), **options)
    assert len(taken) <= 1


@pytest.mark.parametrize("batch", [0, -1, 2.5, True, "many"])
def test_a_batch_is_a_number_of_rows(db, batch):
    """From one upwards."""
    with pytest.raises(ConfigError, match="batch"):
        db.load("t", [], batch=batch)


def test_a_virtual_table_is_loaded(db):
    """FTS5 finds what was loaded."""
    db.script("CREATE VIRTUAL TABLE f USING fts5(body)")
    assert 0 == len(db.query("SELECT rowid FROM f WHERE f MATCH 'seven'"))
    assert coeval.Loaded(150, 150, 1) == db.load("f", (("seven" if n == 7 else "other",) for n in range(150)))
    assert 1 == len(db.query("SELECT rowid FROM f WHERE f MATCH 'seven'"))


# -- upsert -------------------------------------------------------------------------------------------------------------


def test_upsert(db):
    """Rows that meet the key change the columns that are given; with no key named they are left out; alone they are an error."""
    db.load("t", numbered(300))
    db.execute("UPDATE t SET b = -1 WHERE id = 5")
    new = [(n, f"new {n}") for n in range(200, 400)]
    with pytest.raises(ConstraintError, match="row 1: UNIQUE"):
        db.load("t", new, columns=("id", "a"))
    assert coeval.Loaded(200, 99, 1) == db.load("t", new, columns=("id", "a"), upsert=())
    assert 99 == db.scalar("SELECT count(*) FROM t WHERE a LIKE 'new%'")
    assert coeval.Loaded(200, 200, 1) == db.load("t", new, columns=("id", "a"), upsert=("id",))
    assert (200, 100.0) == db.one("SELECT count(*), max(b) FILTER (WHERE id = 200) FROM t WHERE a LIKE 'new%'")
    assert coeval.Loaded(2, 1, 1) == db.load("t", [(1,), (1000,)], columns="id", upsert="id")
    assert -1 == db.scalar("SELECT b FROM t WHERE id = 5")


def test_upsert_of_one_key_twice_in_a_load(db):
    """The last one stays, as row by row."""
    db.load("t", [(1, "a", 0.0), (1, "b", 0.0), (2, "c", 0.0), (1, "d", 0.0)], upsert="id")
    assert [("d",), ("c",)] == [tuple(row) for row in db.query("SELECT a FROM t ORDER BY id")]


# -- stamps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a transaction"])
def test_cached_reads_see_a_load_at_once(db, path, within):
    """In the process that loads and in another one; what another process cached of other tables stays."""
    other = Neighbour(path)
    try:
        for first in (1, 501, 1001):
            for _ in range(3):
                assert [[first - 1]] == other.query(COUNT)
                assert first - 1 == db.scalar(COUNT)
            if within:
                with db.transaction():
                    db.load("t", numbered(500, first), batch=200)
            else:
                db.load("t", numbered(500, first), batch=200)
            assert first + 499 == db.scalar(COUNT)
            assert [[first + 499]] == other.query(COUNT)
    finally:
        other.kill()


def test_a_load_costs_one_stamp_a_chunk(db):
    """Counted in rows that SQLite changed, triggers included."""
    db.execute("INSERT INTO u VALUES (1)")
    raw = db._engine.store().writer._connection.raw
    before = raw.total_changes()
    db.load("t", numbered(1000), batch=500)
    assert 1000 + 2 == raw.total_changes() - before


def test_only_the_loaded_tables_results_are_worthless(db):
    """Results of other tables are proved by their stamps."""
    db.execute("INSERT INTO u VALUES (1)")
    assert 1 == db.scalar("SELECT x FROM u")
    db.load("t", numbered(10))
    before = db.stats().revalidated
    assert 1 == db.scalar("SELECT x FROM u")
    assert before + 1 == db.stats().revalidated


def test_the_triggers_are_there_and_on_afterwards(db, foreign):
    """Another program's write stamps, and so does the next one of ours."""
    db.load("t", numbered(10))
    assert 10 == db.scalar(COUNT)
    foreign.execute("INSERT INTO t VALUES (11, 'x', 1)")
    assert 11 == db.scalar(COUNT)
    db.execute("INSERT INTO t VALUES (12, 'x', 1)")
    assert 12 == db.scalar(COUNT)
    assert triggers_on(db)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_load_interrupted_at_each_step(db):
    """Whatever a signal handler raises, and wherever: triggers are on, later writes stamp, and chunks are whole."""
    number, going, cut = 0, True, 0
    while going and number < 900:
        number += 1
        db.execute("DELETE FROM t")
        assert 0 == db.scalar(COUNT)
        going = interrupted_in_loading(number, lambda: db.load("t", numbered(4), batch=2))
        assert triggers_on(db), number
        count = db.scalar(COUNT)
        assert count in (0, 2, 4), number
        cut += count != 4
        db.execute("INSERT INTO t VALUES (1000, 'after', 1)")
        assert count + 1 == db.scalar(COUNT), number
    assert cut > 50


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_load_in_a_transaction_interrupted_at_each_step(db):
    """The same where the transaction goes on and commits."""
    number, going, cut = 0, True, 0
    while going and number < 900:
        number += 1
        db.execute("DELETE FROM t")
        assert 0 == db.scalar(COUNT)
        with suppress(SQLError, ClosedError), db.transaction():
            going = interrupted_at(number, lambda: db.load("t", numbered(4), batch=2))
            assert triggers_on(db), number
            db.execute("INSERT INTO t VALUES (1000, 'after', 1)")
        count = db.scalar(COUNT)
        assert count in (1, 3, 5), number
        cut += count != 5
        assert triggers_on(db), number
    assert cut > 50


# -- what else fires ------------------------------------------------------------------------------------------------------


def test_users_triggers_fire(db):
    """For every row, also where the trigger comes while the load is under way; and what they write is seen."""
    db.script("CREATE TABLE log(id)")
    assert 0 == db.scalar("SELECT count(*) FROM log")

    def rows():
        for number, row in enumerate(numbered(400)):
            if number == 200:
                db.execute("CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END")
                db.scalar("SELECT count(*) FROM log")
            yield row

    db.load("t", rows(), batch=100)
    assert 200 == db.scalar("SELECT count(*) FROM log")
    db.load("t", numbered(50, 401))
    assert 250 == db.scalar("SELECT count(*) FROM log")
    assert 450 == db.scalar(COUNT)


def test_a_temporary_trigger_fires(db):
    """It lives in the transaction that made it, and what it writes stamps."""
    assert 0 == db.scalar("SELECT count(*) FROM u")
    with db.transaction():
        db.execute("CREATE TEMP TRIGGER noted AFTER INSERT ON main.t BEGIN INSERT INTO u VALUES (new.id); END")
        db.load("t", numbered(10))
    assert 10 == db.scalar("SELECT count(*) FROM u")


@pytest.mark.parametrize("through", ["upsert", "replace"])
def test_foreign_key_actions_reach_other_tables(db, through):
    """Their stamps change and their triggers fire, though the load names only the parent."""
    replace = " ON CONFLICT REPLACE" if through == "replace" else ""
    db.script(
        f"CREATE TABLE p(id INTEGER PRIMARY KEY{replace}, k UNIQUE);"
        "CREATE TABLE c(k REFERENCES p(k) ON UPDATE CASCADE ON DELETE SET NULL);"
        "CREATE TRIGGER noted AFTER UPDATE ON c BEGIN INSERT INTO u VALUES (1); END;"
        "INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES ('a')"
    )
    with coeval.open(db.path, durability="normal") as again:
        if not again.scalar("PRAGMA foreign_keys"):
            pytest.skip("foreign keys are off by default")
    assert "a" == db.scalar("SELECT k FROM c")
    db.load("p", [(1, "b")], upsert="id" if through == "upsert" else None)
    assert ("b" if through == "upsert" else None) == db.scalar("SELECT k FROM c")
    assert 1 == db.scalar("SELECT count(*) FROM u")


# -- errors -------------------------------------------------------------------------------------------------------------


def test_a_row_that_fails_is_named_and_chunks_before_it_stay(db):
    """By its place in the whole iteration; the present chunk is gone, and the error says how many rows are in."""
    rows = [*numbered(1234), (7, "again", 0.0), *numbered(100, 2000)]
    with pytest.raises(ConstraintError, match="row 1,235: UNIQUE") as caught:
        db.load("t", rows, batch=500)
    assert "1,000 rows" in caught.value.hint
    assert 1000 == db.scalar(COUNT)
    assert triggers_on(db)


@pytest.mark.parametrize("clause", ["ABORT", "FAIL", "ROLLBACK"])
def test_a_declared_conflict_clause_names_the_right_row(db, clause):
    """OR FAIL keeps what came before, OR ROLLBACK ends the transaction: the chunk is gone whole, and nothing runs outside of it."""
    db.script(f"CREATE TABLE k(x INTEGER PRIMARY KEY ON CONFLICT {clause})")
    with pytest.raises(ConstraintError, match="row 150: UNIQUE"):
        db.load("k", [*((n,) for n in range(149)), (5,), *((n,) for n in range(1000, 1050))])
    assert 0 == db.scalar("SELECT count(*) FROM k")
    assert triggers_on(db)


def test_a_declared_conflict_clause_that_ignores(db):
    """Rows that it leaves out are not counted as written."""
    db.script("CREATE TABLE k(x INTEGER PRIMARY KEY ON CONFLICT IGNORE)")
    assert coeval.Loaded(150, 100, 1) == db.load("k", ((n % 100,) for n in range(150)))


def test_foreign_keys_hold(db):
    """At once, at COMMIT, and within the table itself row by row, whatever shares a statement with whom."""
    if not db.scalar("PRAGMA foreign_keys"):
        pytest.skip("foreign keys are off by default")
    db.script(
        "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p);"
        "CREATE TABLE d(p REFERENCES p DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TABLE tree(id INTEGER PRIMARY KEY, up REFERENCES tree)"
    )
    db.load("p", [(n,) for n in range(10)])
    for table in ("c", "d"):
        with pytest.raises(ConstraintError, match="FOREIGN KEY"):
            db.load(table, [(n,) for n in range(11)])
        assert 0 == db.scalar(f"SELECT count(*) FROM {table}")
        assert 10 == db.load(table, [(n,) for n in range(10)]).written
    with pytest.raises(ConstraintError, match="row 2: FOREIGN KEY"):
        db.load("tree", [(1, None), (2, 3), (3, 1)])
    db.load("tree", [(1, None), (3, 1), (2, 3)])


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["iterator", "progress"])
def test_what_the_callers_code_raises_ends_the_load(db, kind, place):
    """It comes out as it is, with a note; committed chunks stay."""
    seen = []

    def rows():
        for row in numbered(1000):
            if place == "iterator" and row[0] == 450:
                raise kind("mine")
            yield row

    def progress(done):
        seen.append((done, db.scalar(COUNT)))
        if place == "progress" and done == 400:
            raise kind("mine")

    with pytest.raises(kind, match="mine") as caught:
        db.load("t", rows(), batch=200, progress=progress)
    assert ["400 rows of the load are committed, and stay."] == caught.value.__notes__
    assert [(200, 200), (400, 400)] == seen
    assert 400 == db.scalar(COUNT)


# -- the turn -----------------------------------------------------------------------------------------------------------


def test_the_callers_code_runs_without_the_turn(db):
    """The iterator and the callback may write by themselves, and others write meanwhile."""

    def write():
        db.execute("INSERT INTO u VALUES (1)")
        with db.transaction():
            pass

    def rows():
        for row in numbered(10):
            write()
            other = threading.Thread(target=write)
            other.start()
            other.join()
            yield row

    db.load("t", rows(), batch=3, progress=lambda _: write())
    assert 24 == db.scalar("SELECT count(*) FROM u")


def test_inside_a_transaction_it_is_part_of_it(db):
    """It goes with the transaction; a chunk that fails leaves what came before to it."""
    with suppress(ZeroDivisionError), db.transaction():
        db.load("t", numbered(500), batch=100)
        assert 500 == db.scalar(COUNT)
        1 / 0  # noqa: B018
    assert 0 == db.scalar(COUNT)
    with db.transaction() as tx:
        with pytest.raises(ConstraintError, match="row 151") as caught:
            db.load("t", [*numbered(150), (1, "again", 0.0)], batch=100)
        assert "100 rows of the load are in the transaction" in caught.value.hint
        assert 100 == tx.scalar(COUNT)
    assert 100 == db.scalar(COUNT)


def test_inside_a_transaction_that_made_the_table(db):
    """Its triggers come at the end; every later read sees all."""
    with db.transaction() as tx:
        tx.execute("CREATE TABLE fresh(x)")
        db.load("fresh", ((n,) for n in range(500)))
        tx.execute("CREATE TEMP TABLE t(x)")
        db.load("t", numbered(5))
    assert 500 == db.scalar("SELECT count(*) FROM fresh")
    assert 5 == db.scalar(COUNT)
    db.load("fresh", [(1,)])
    assert 501 == db.scalar("SELECT count(*) FROM fresh")


def test_from_an_iterator_over_the_same_transaction(db):
    """Its own open statement goes on while triggers are switched."""
    db.load("t", numbered(1000))
    with db.transaction() as tx:
        db.load("u", ([row[0]] for row in tx.iterate("SELECT id FROM t ORDER BY id")), batch=100)
        assert 1000 == tx.scalar("SELECT count(DISTINCT x) FROM u")


def test_inside_write(db):
    """`db.write` takes its turn with the load."""
    db.write(lambda tx: (tx.scalar(COUNT), db.load("t", numbered(10))))
    assert 10 == db.scalar(COUNT)


def test_threads_load_and_write_at_once(db, scaled):
    """All rows of all are there, and each thread reads its own writes through the cache."""
    count, start = scaled(20_000, 3_000), threading.Barrier(5)
    wrong: list[object] = []

    def load(first):
        start.wait()
        db.load("t", numbered(count, first), batch=500, progress=lambda done: check(first, done))

    def check(first, done):
        found = db.scalar("SELECT count(*) FROM t WHERE id >= ? AND id < ?", first, first + count)
        if found != done:
            wrong.append((first, done, found))

    def write(x):
        start.wait()
        for number in range(1, 51):
            db.execute("INSERT INTO u VALUES (?)", x)
            if number != db.scalar("SELECT count(*) FROM u WHERE x = ?", x):
                wrong.append((x, number))

    threads = [threading.Thread(target=load, args=(first,)) for first in (1, 1_000_000)]
    threads += [threading.Thread(target=write, args=(x,)) for x in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong
    assert (2 * count, 150) == (db.scalar(COUNT), db.scalar("SELECT count(*) FROM u"))
    assert triggers_on(db)


def test_from_inside_an_sql_function(db):
    """It would wait for its own caller, and says so."""
    failed = []

    def meddle():
        try:
            db.load("u", [(1,)])
        except ReentryError as error:
            failed.append(error)
        return 1

    db.create_function("meddle", meddle, 0)
    db.execute("INSERT INTO t VALUES (meddle(), 'x', 1)")
    assert failed
    assert 0 == db.scalar("SELECT count(*) FROM u")


def test_memory_holds_one_chunk(db):
    """Ten times the rows take no more."""
    peaks = []
    tracemalloc.start()
    try:
        for first, count in ((1, 20_000), (1_000_000, 200_000)):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            db.load("t", numbered(count, first), batch=5_000)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


# -- other files ----------------------------------------------------------------------------------------------------------


def test_by_the_clock_without_stamps(path):
    """Nothing is there to stamp, and cached reads see the load."""
    with coeval.open(path, coherence="clock") as db:
        db.script(SCHEMA)
        assert 0 == db.scalar(COUNT)
        db.load("t", numbered(500))
        assert 500 == db.scalar(COUNT)
        assert 0 == db.scalar("SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_coeval%' ESCAPE '\\'")


def test_by_the_clock_on_a_file_with_stamps(db, path):
    """Those who go by stamps see it."""
    db.execute("INSERT INTO t VALUES (0, 'x', 0)")
    assert 1 == db.scalar(COUNT)
    other = Neighbour(path, coherence="clock")
    try:
        other.call("load", "t", [[1, "a", 1], [2, "b", 1]])
        assert 3 == db.scalar(COUNT)
    finally:
        other.kill()


def test_a_table_whose_triggers_are_gone(db, foreign):
    """Another program dropped it and made it anew: what is loaded is seen."""
    assert 0 == db.scalar(COUNT)
    foreign.script("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL)")
    db.load("t", numbered(10))
    assert 10 == db.scalar(COUNT)
    db.load("t", numbered(10, 11))
    assert 20 == db.scalar(COUNT)
