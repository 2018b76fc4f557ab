"""Functions and collations of the user: on every connection, at once, and never a wrong cached result."""

# ruff: noqa: ARG005, PLW0108 - functions for SQL take what they are given

from __future__ import annotations

import itertools
import threading

import pytest

import coeval
from coeval import errors


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES ('b'), ('A'), ('c')")
        yield db


def length_order(a, b):
    """Longer text later, then by the alphabet."""
    return (len(a) > len(b)) - (len(a) < len(b)) or (a > b) - (a < b)


def on_many_readers(db, sql, readers=4):
    """What a statement gives on several readers at once."""
    barrier = threading.Barrier(readers)
    found = []

    def ask():
        with db.snapshot() as snap:
            barrier.wait(10)
            found.append(snap.query(sql))

    threads = [threading.Thread(target=ask) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_function_reaches_connections_that_are_open_already(db):
    """Readers and the writer that worked before know it at their next statement."""
    on_many_readers(db, "SELECT 1")
    db.execute("INSERT INTO t VALUES ('d')")
    db.create_function("twice", lambda value: value * 2, 1)
    assert [((4,),)] * 4 == on_many_readers(db, "SELECT twice(2)")
    assert 4 == db.execute("UPDATE t SET x = twice(x)").rowcount
    assert (("AA",), ("bb",), ("cc",), ("dd",)) == db.query("SELECT x FROM t ORDER BY x")


def test_a_function_reaches_connections_that_are_made_later(db):
    """So do those that did not exist yet."""
    db.create_function("twice", lambda value: value * 2, 1)
    assert [((4,),)] * 4 == on_many_readers(db, "SELECT twice(2)")


@pytest.mark.parametrize("unit", ["transaction", "snapshot"])
def test_a_function_reaches_a_unit_that_is_open(db, unit):
    """Made inside a transaction or snapshot, it is known in the next statement."""
    with getattr(db, unit)() as open_unit:
        open_unit.query("SELECT x FROM t")
        db.create_function("twice", lambda value: value * 2, 1)
        assert 4 == open_unit.scalar("SELECT twice(2)")
    assert 4 == db.scalar("SELECT twice(2)")


def test_a_collation_reaches_every_connection(db):
    """In ORDER BY, and in an index, which the writer uses."""
    on_many_readers(db, "SELECT 1")
    db.create_collation("by_length", length_order)
    db.script("INSERT INTO t VALUES ('aa'); CREATE INDEX i ON t(x COLLATE by_length); INSERT INTO t VALUES ('bb')")
    expected = (("A",), ("b",), ("c",), ("aa",), ("bb",))
    assert [expected] * 4 == on_many_readers(db, "SELECT x FROM t ORDER BY x COLLATE by_length")
    assert 1 == db.execute("DELETE FROM t WHERE x COLLATE by_length = 'aa'").rowcount


def test_a_function_with_several_arguments(db):
    """nargs=-1 takes any number, and two functions of one name differ by their number."""
    db.create_function("total", lambda *values: sum(values))
    db.create_function("f", lambda: "none", 0)
    db.create_function("f", lambda value: "one", 1)
    assert (6, 0, "none", "one") == db.one("SELECT total(1, 2, 3), total(), f(), f(1)")


@pytest.mark.parametrize("deterministic", [True, False])
def test_only_a_deterministic_function_is_cached(db, deterministic):
    """One that may answer otherwise is asked every time, and `explain` says so."""
    calls = itertools.count(1)
    db.create_function("f", lambda value: next(calls), 1, deterministic=deterministic)
    found = [db.scalar("SELECT f(x) FROM t LIMIT 1") for _ in range(3)]
    assert ([1, 1, 1] if deterministic else [1, 2, 3]) == found
    explanation = db.explain("SELECT f(x) FROM t")
    assert deterministic is explanation.cacheable
    assert deterministic or "f() may answer otherwise" in " ".join(explanation.reasons)


def test_a_deterministic_function_follows_its_data(db):
    """Cached, it is computed anew when the table has changed."""
    db.create_function("f", str.upper, 1, deterministic=True)
    sql = "SELECT f(x) FROM t ORDER BY x"
    assert (("A",), ("B",), ("C",)) == db.query(sql) == db.query(sql)
    db.execute("INSERT INTO t VALUES ('d')")
    assert (("A",), ("B",), ("C",), ("D",)) == db.query(sql)


def test_a_new_function_of_the_same_name_counts_at_once(db):
    """Results made with the old one are not given any more."""
    for number in range(3):
        db.create_function("f", lambda number=number: number, 0, deterministic=True)
        assert [number] * 3 == [db.scalar("SELECT f()") for _ in range(3)]


def test_a_function_that_takes_the_place_of_sqlites(db):
    """Overriding `upper` changes results at once, and such statements are not cached (hole 12)."""
    sql = "SELECT upper(x) FROM t ORDER BY x"
    assert (("A",), ("B",), ("C",)) == db.query(sql) == db.query(sql)
    db.create_function("upper", lambda value: f"<{value}>", 1, deterministic=True)
    assert (("<A>",), ("<b>",), ("<c>",)) == db.query(sql)
    assert not db.explain(sql).cacheable


def test_an_override_reaches_like(db):
    """LIKE is the function `like`: taking its place changes the operator, and uncaches it."""
    assert 1 == len(db.query("SELECT x FROM t WHERE x LIKE 'a'"))
    db.create_function("like", lambda pattern, value: pattern == value, 2, deterministic=True)
    assert 0 == len(db.query("SELECT x FROM t WHERE x LIKE 'a'"))
    assert not db.explain("SELECT x FROM t WHERE x LIKE 'a'").cacheable


def test_a_collation_is_never_cached(db):
    """What may use a user's collation is computed every time: in the text, or behind a column (hole 12)."""
    db.create_collation("by_length", length_order)
    db.script("CREATE TABLE c(x COLLATE by_length); INSERT INTO c VALUES ('a')")
    for sql in ("SELECT x FROM t ORDER BY x COLLATE by_length", "SELECT x FROM c ORDER BY x"):
        explanation = db.explain(sql)
        assert not explanation.cacheable
        assert "by_length" in " ".join(explanation.reasons)
    assert db.explain("SELECT x FROM t ORDER BY x").cacheable


def test_what_a_function_raises_comes_out(db):
    """The user's own exception is the user's, in reads and writes; a write leaves nothing."""
    db.create_function("fail", lambda value: 1 / 0, 1)
    with pytest.raises(ZeroDivisionError):
        db.query("SELECT fail(x) FROM t")
    with pytest.raises(ZeroDivisionError):
        list(db.iterate("SELECT fail(x) FROM t"))
    with pytest.raises(ZeroDivisionError):
        db.execute("UPDATE t SET x = fail(x)")
    assert (("A",), ("b",), ("c",)) == db.query("SELECT x FROM t ORDER BY x")


def test_a_function_that_gives_what_sqlite_cannot_hold(db):
    """It is an error at the call, and the next one goes on."""
    db.create_function("odd", lambda: object(), 0)
    with pytest.raises((TypeError, errors.Error)):
        db.query("SELECT odd()")
    assert 3 == db.scalar("SELECT count(*) FROM t")


def test_the_wrong_number_of_arguments(db):
    """SQLite says so when the statement is compiled."""
    db.create_function("f", lambda value: value, 1)
    with pytest.raises(errors.SQLError, match="wrong number of arguments"):
        db.query("SELECT f(1, 2)")


def test_functions_in_triggers_and_generated_columns(db):
    """A function that the schema uses is there for every write."""
    db.create_function("slug", lambda value: value.lower().replace(" ", "-"), 1, deterministic=True)
    db.script("CREATE TABLE p(title, slug GENERATED ALWAYS AS (slug(title)) STORED)")
    db.execute("INSERT INTO p(title) VALUES ('Hello World')")
    assert "hello-world" == db.scalar("SELECT slug FROM p") == db.scalar("SELECT slug FROM p")


def test_functions_survive_a_replaced_file(db, path, tmp_path):
    """They belong to the database in this process, not to one inode."""
    db.create_function("twice", lambda value: value * 2, 1)
    db.create_collation("by_length", length_order)
    other = tmp_path / "other.db"
    with coeval.open(other) as new:
        new.script("CREATE TABLE t(x); INSERT INTO t VALUES ('new')")
    db.restore(other)
    assert ("newnew",) == db.one("SELECT twice(x) FROM t ORDER BY x COLLATE by_length")


def test_threads_that_give_functions_while_others_read(db):
    """Giving functions is safe beside every other call."""
    errors_met = []

    def give(number):
        try:
            for turn in range(10):
                db.create_function(f"f{number}_{turn}", lambda: number, 0, deterministic=True)
                assert number == db.scalar(f"SELECT f{number}_{turn}()")
                assert 3 == db.scalar("SELECT count(*) FROM t")
        except BaseException as error:
            errors_met.append(error)

    threads = [threading.Thread(target=give, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == errors_met


@pytest.mark.parametrize("name", ["random", "LENGTH", "substr", "unicode", "coalesce"])
def test_what_the_triggers_call_cannot_be_replaced(db, path, name):
    """Stamps that are not random, or are of other buckets, would leave results valid that are not; hooks are refused as well."""
    with pytest.raises(errors.UsageError, match="triggers call"):
        db.create_function(name, lambda *given: 4)
    for number in range(3):
        db.execute("INSERT INTO t VALUES (?)", number)
        assert 4 + number == db.scalar("SELECT count(*) FROM t")
    with pytest.raises(errors.ConfigError, match="triggers that make the stamps"):
        coeval.open(f"{path}2", on_connect=lambda connection: connection.create_scalar_function(name, lambda *given: 4))
