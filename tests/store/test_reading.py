"""Reading: what each call gives, how values come out, and that results may be shared."""

from __future__ import annotations

import enum
import gc
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

import coeval
from coeval import errors

COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, region TEXT)")
        db.executemany(
            "INSERT INTO t VALUES (?, ?, ?)", [(1, "Ann", "US"), (2, "Bob", "EU"), (3, "Cy", "US"), (4, None, "EU")]
        )
        yield db


def noting(made):
    """A function for SQL that gives what it gets and writes it down."""

    def seen(value):
        made.append(value)
        return value

    return seen


@dataclass
class User:
    id: int
    name: str | None


def test_query_gives_a_tuple_of_rows(db):
    """All rows, in order, as tuples that know their columns."""
    rows = db.query("SELECT id, name FROM t WHERE region = ? ORDER BY id", "US")
    assert ((1, "Ann"), (3, "Cy")) == rows
    assert tuple is type(rows)
    assert isinstance(rows[0], coeval.Row)
    assert ("Ann", "Ann", ("id", "name")) == (rows[0]["name"], rows[0][1], rows[0].keys())
    assert {"id": 1, "name": "Ann"} == rows[0].asdict()


def test_query_without_rows(db):
    """No row is an empty tuple, cached or not."""
    assert [(), (), ()] == [db.query("SELECT * FROM t WHERE id = 99") for _ in range(3)]


def test_results_are_shared_and_cannot_be_changed(db):
    """Two callers get the same object, so nobody can spoil it for the other."""
    first, second = (db.query("SELECT * FROM t") for _ in range(2))
    assert first is second
    with pytest.raises(TypeError):
        first[0] = None
    with pytest.raises(TypeError):
        first[0][1] = "Eve"
    with pytest.raises(AttributeError):
        first[0].name = "Eve"


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("params", [("EU", 2), ({"region": "EU", "id": 2},), ({"region": "EU", "id": 2, "more": 0},)])
def test_values_by_place_and_by_name(db, params, again):
    """Values one by one, or one dict, which may hold more than is asked for."""
    by_place, by_name = (
        "SELECT name FROM t WHERE region = ? AND id = ?",
        "SELECT name FROM t WHERE region = :region AND id = :id",
    )
    sql = by_place if len(params) == 2 else by_name
    assert ["Bob"] * again == [db.scalar(sql, *params) for _ in range(again)]


@pytest.mark.parametrize("mark", [":id", "@id", "$id"])
def test_every_way_to_name_a_placeholder(db, mark):
    """SQLite knows three marks for a name, and the dict has the bare name for each."""
    assert "Bob" == db.scalar(f"SELECT name FROM t WHERE id = {mark}", {"id": 2})


def test_numbered_placeholders(db):
    """?1 may stand in several places and is one value."""
    assert (2, 2, 5) == db.one("SELECT ?1, ?1, ?2", 2, 5)


def test_the_callers_dict_is_not_kept(db):
    """Changing the dict after the call changes no cached result."""
    values = {"id": 2}
    assert "Bob" == db.scalar("SELECT name FROM t WHERE id = :id", values)
    values["id"] = 3
    assert "Cy" == db.scalar("SELECT name FROM t WHERE id = :id", values)
    assert {"id": 3} == values


def test_one(db):
    """Exactly one row, or an error that says whether there were none or more."""
    assert (2, "Bob") == db.one("SELECT id, name FROM t WHERE id = ?", 2)
    with pytest.raises(errors.NoRowError, match="no row") as none:
        db.one("SELECT * FROM t WHERE id = 99")
    with pytest.raises(errors.ManyRowsError, match="more than one") as many:
        db.one("SELECT * FROM t")
    assert none.value.hint
    assert many.value.hint


def test_first(db):
    """The first row, or None."""
    assert (1, "Ann", "US") == db.first("SELECT * FROM t ORDER BY id")
    assert (4, None, "EU") == db.first("SELECT * FROM t ORDER BY id DESC")
    assert None is db.first("SELECT * FROM t WHERE id = 99")


def test_scalar(db):
    """The value of the only column of the only row, which may be NULL."""
    assert 4 == db.scalar(COUNT)
    assert None is db.scalar("SELECT name FROM t WHERE id = 4")
    with pytest.raises(errors.NoRowError):
        db.scalar("SELECT id FROM t WHERE id = 99")
    with pytest.raises(errors.ManyRowsError):
        db.scalar("SELECT id FROM t")
    with pytest.raises(errors.ResultError, match="2 columns"):
        db.scalar("SELECT id, name FROM t WHERE id = 1")


def test_the_calls_do_not_mix_their_results(db):
    """`query`, `first` and `one` of one statement are cached apart, because they fetch differently."""
    sql = "SELECT id FROM t ORDER BY id"
    for _ in range(3):
        assert (1,) == db.first(sql)
        assert ((1,), (2,), (3,), (4,)) == db.query(sql)
        with pytest.raises(errors.ManyRowsError):
            db.one(sql)


def test_no_more_rows_are_made_than_are_wanted(db):
    """`first` makes one row and `one` two, however many there are."""
    made: list[int] = []
    db.create_function("seen", noting(made), 1)
    sql = "SELECT seen(id) FROM t"
    db.first(sql)
    assert 1 == len(made)
    with pytest.raises(errors.ManyRowsError):
        db.one(sql)
    assert 3 == len(made)


def test_iterate(db):
    """Rows one by one, of one moment, while others write."""
    rows = db.iterate("SELECT id FROM t ORDER BY id")
    assert (1,) == next(rows)
    db.execute("DELETE FROM t")
    assert [(2,), (3,), (4,)] == list(rows)
    assert 0 == db.scalar(COUNT)


def test_iterate_makes_rows_as_they_are_asked_for(db):
    """The third row is not made before it is wanted."""
    made: list[int] = []
    db.create_function("seen", noting(made), 1)
    rows: Any = db.iterate("SELECT seen(id) FROM t ORDER BY id")
    assert [] == made
    next(rows), next(rows)
    assert [1, 2] == made
    rows.close()


@pytest.mark.parametrize("end", ["close", "forget", "exhaust"])
def test_iterate_gives_its_reader_back(path, end):
    """Closed, forgotten or exhausted, an iterator leaves the only reader free, without an old snapshot."""
    with coeval.open(path, readers=1, timeout=0.2) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
        rows: Any = db.iterate("SELECT id FROM t")
        next(rows)
        with pytest.raises(errors.PoolTimeoutError, match="all 1 are in use"):
            db.query("SELECT id FROM t")
        match end:
            case "close":
                rows.close()
            case "forget":
                del rows
                gc.collect()
            case "exhaust":
                list(rows)
        db.execute("INSERT INTO t VALUES (3)")
        assert 3 == db.scalar(COUNT)


@pytest.mark.parametrize("into", [None, User])
def test_iterate_is_never_cached(db, into):
    """What streams is not kept."""
    for _ in range(3):
        assert 4 == len(list(db.iterate("SELECT id, name FROM t", into=into)))
    assert (0, 0, 3) == (db.stats().entries, db.stats().hits, db.stats().uncached)


def test_an_error_in_the_middle_of_an_iterator(db):
    """What SQLite meets after some rows is an error of the tree, everywhere."""
    sql = "SELECT abs(CASE id WHEN 3 THEN -9223372036854775808 ELSE id END) FROM t ORDER BY id"

    def run(face):
        rows = face.iterate(sql)
        assert [(1,), (2,)] == [next(rows), next(rows)]
        with pytest.raises(errors.SQLError, match="overflow"):
            next(rows)

    run(db)
    with db.snapshot() as snap:
        run(snap)
    with db.transaction() as tx:
        run(tx)
    assert 4 == db.scalar(COUNT)


def test_an_error_in_the_middle_of_a_query(db):
    """The next call on the same reader is none the worse for it."""
    with pytest.raises(errors.SQLError, match="overflow"):
        db.query("SELECT abs(CASE id WHEN 3 THEN -9223372036854775808 ELSE id END) FROM t")
    assert 4 == db.scalar(COUNT)


@pytest.mark.parametrize("call", ["query", "one", "first", "iterate"])
def test_into_a_dataclass(db, call):
    """Each row becomes an object of its own, even from the cache."""
    sql = "SELECT id, name FROM t WHERE id = 1"

    def read():
        found = getattr(db, call)(sql, into=User)
        return found if isinstance(found, User) else next(iter(found))

    first, second = read(), read()
    assert User(1, "Ann") == first == second
    assert first is not second
    first.name = "Eve"
    assert User(1, "Ann") == read()


def test_first_into_where_there_is_none(db):
    """`first` stays None with `into`."""
    assert None is db.first("SELECT id, name FROM t WHERE id = 99", into=User)


class Size(enum.Enum):
    SMALL = "s"


def test_declared_types_come_out_again(db):
    """What a declared type says comes out as it went in, cached or not."""
    moment, day, key = datetime(2024, 1, 31, 12, 30, tzinfo=UTC), date(2024, 1, 31), uuid.uuid4()
    db.script("CREATE TABLE v(at DATETIME, day DATE, price DECIMAL(10, 2), key UUID, size TEXT)")
    db.execute("INSERT INTO v VALUES (?, ?, ?, ?, ?)", moment, day, Decimal("1.25"), key, Size.SMALL)
    for _ in range(2):
        assert (moment, day, Decimal("1.25"), key, "s") == db.one("SELECT * FROM v")
        assert moment == db.scalar("SELECT at FROM v WHERE at = ? AND key = ?", moment, key)


def test_convert_can_be_turned_off(path):
    """convert=False leaves values as SQLite has them."""
    with coeval.open(path, convert=False) as db:
        db.script("CREATE TABLE v(day DATE); INSERT INTO v VALUES ('2024-01-31')")
        assert "2024-01-31" == db.scalar("SELECT day FROM v")


def test_a_value_that_does_not_fit_its_declared_type(db):
    """It is told with its row and column, and the reader is none the worse for it."""
    db.script("CREATE TABLE v(day DATE); INSERT INTO v VALUES ('yesterday')")
    with pytest.raises(errors.ConversionError, match="'day'") as caught:
        db.query("SELECT day FROM v")
    assert "convert=False" in caught.value.hint
    assert "yesterday" == db.scalar("SELECT CAST(day AS TEXT) FROM v")


def test_doubtful_column_names(db):
    """Two columns of one name stay apart by their place."""
    row = db.one("SELECT a.id, b.id FROM t a JOIN t b ON b.id = a.id + 1 WHERE a.id = 1")
    assert (1, 2) == row
    with pytest.raises(errors.ColumnError, match="2 columns"):
        row["id"]


def test_large_results_come_out_whole(db):
    """Ten thousand rows, cached and not."""
    expected = tuple((i, i * i) for i in range(1, 10_001))
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i, i * i FROM n"
    assert expected == db.query(sql) == db.query(sql) == tuple(db.iterate(sql))


def test_every_storage_class(db):
    """NULL, integers of 64 bits, floats, text of any script and blobs come back exactly."""
    values = (None, 2**63 - 1, -(2**63), 0.1, float("inf"), "", "naïve \U0001f984", b"", b"\0\xff")
    db.script(f"CREATE TABLE v({', '.join(f'c{i}' for i in range(len(values)))})")
    db.execute(f"INSERT INTO v VALUES ({', '.join('?' * len(values))})", *values)
    for _ in range(2):
        found = db.one("SELECT * FROM v")
        assert values == found
        assert list(map(type, values)) == list(map(type, found))


def test_typed_keys(db):
    """Parameters that are equal in Python and not in SQLite have results of their own."""
    sql = "SELECT typeof(?1), ?1"
    for _ in range(2):
        assert ("integer", 1) == db.one(sql, 1)
        assert ("real", 1.0) == db.one(sql, 1.0)
        assert ("integer", 1) == db.one(sql, True)
        assert ("text", "1") == db.one(sql, "1")
        assert ("blob", b"1") == db.one(sql, b"1")
        assert ("real", "-0.0") == (db.one(sql, -0.0)[0], repr(db.one("SELECT ?", -0.0)[0]))
        assert "0.0" == repr(db.one("SELECT ?", 0.0)[0])


def test_a_pool_of_one_reader_serves_many_threads(path):
    """Threads wait for the only reader and all get their answer."""
    with coeval.open(path, readers=1, cache=None) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
        found = []
        threads = [threading.Thread(target=lambda: found.append(db.scalar(COUNT))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [2] * 8 == found


def test_reads_that_explain_and_tell(db):
    """EXPLAIN and the PRAGMAs that only tell are reads."""
    assert ["id", "name", "region"] == [row["name"] for row in db.query("PRAGMA table_info(t)")]
    assert "wal" == db.scalar("PRAGMA journal_mode")
    assert "ok" == db.scalar("PRAGMA integrity_check")
    assert any("SCAN t" in row["detail"] for row in db.query("EXPLAIN QUERY PLAN SELECT name FROM t"))


def test_a_row_that_pragma_table_info_gives_is_fresh(db):
    """What tells about the schema is never cached."""
    db.query("PRAGMA table_info(t)")
    db.execute("ALTER TABLE t ADD COLUMN more")
    assert 4 == len(db.query("PRAGMA table_info(t)"))
    assert 4 == len(db.query("SELECT * FROM pragma_table_info('t')"))


def test_select_star_follows_the_schema(db):
    """A column that is added, by us or by another program, is in the next result."""
    assert ("id", "name", "region") == db.first("SELECT * FROM t").keys()
    db.execute("ALTER TABLE t ADD COLUMN more")
    assert ("id", "name", "region", "more") == db.first("SELECT * FROM t").keys()


def test_the_cache_can_be_turned_off(path):
    """cache=None keeps nothing and reads afresh every time."""
    with coeval.open(path, cache=None) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
        for _ in range(5):
            assert 1 == db.scalar(COUNT)
        assert (0, 0, 0, 5) == (db.stats().entries, db.stats().hits, db.stats().misses, db.stats().uncached)
        assert 0.0 == db.stats().hit_rate
