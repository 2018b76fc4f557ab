"""Two reads that SQLite answers differently never share a key."""

from __future__ import annotations

import enum
import itertools
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from coeval.errors import ParameterError
from coherence.asking import cached, keep, plain, truth


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.Enum):
    ONE = "1"


class Text(str):
    __slots__ = ()


SEEN = "SELECT typeof(?1), quote(?1), printf('%.3f', ?1), ?1 = 1, ?1 = '1', ?1 LIKE '1'"

ALIKE = [
    [1, True, 1.0, "1", b"1", Level.LOW, Word.ONE, Decimal(1), Decimal("1.0"), Text("1"), bytearray(b"1")],
    [0, False, 0.0, -0.0, "0", "0.0", b"0", Decimal(0), Decimal("-0"), None, "", b""],
    [2**53, float(2**53), 2**53 + 1, str(2**53)],
    [float("inf"), float("-inf"), None, "inf"],
    [Decimal("1.10"), Decimal("1.1"), 1.1, "1.1", "1.10"],
    [
        datetime(2024, 1, 1, 12, tzinfo=UTC),
        datetime(2024, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),
        datetime(2024, 1, 1, 12),  # noqa: DTZ001 - without a zone on purpose
        datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(0), "other")),
        datetime(2024, 1, 1, 12, fold=1),  # noqa: DTZ001
        date(2024, 1, 1),
        "2024-01-01",
        time(12),
        time(12, tzinfo=UTC),
    ],
    [UUID(int=1), str(UUID(int=1)), 1],
    ["é", "e\u0301", "É", "é "],
    ["a", b"a", "a\0", "A", Text("a"), memoryview(b"a")],
]


@pytest.mark.parametrize("values", ALIKE, ids=lambda values: repr(values[0]))
def test_values_that_look_alike_have_keys_of_their_own(db, values):
    """Each pair in both orders: the second gets its own answer, kept or not."""
    expected = [truth(db, SEEN, value) for value in values]
    for one, other in itertools.permutations(range(len(values)), 2):
        assert expected[one] == cached(db, SEEN, values[one])
        assert expected[other] == cached(db, SEEN, values[other])
        assert expected[one] == cached(db, SEEN, values[one])


@pytest.mark.parametrize("values", ALIKE, ids=lambda values: repr(values[0]))
def test_named_values_too(db, values):
    """The same by name, and in a second place of the list."""
    sql = SEEN.replace("?1", ":value") + ", :other"
    for one, other in itertools.permutations(values, 2):
        for value, beside in ((one, other), (other, one)):
            assert truth(db, sql, {"value": value, "other": beside}) == cached(
                db, sql, {"value": value, "other": beside}
            )


def test_the_values_that_are_plain_are_found_by_the_quick_path(db):
    """Not by refusing everything: each plain value is a hit of its own."""
    for value in (1, True, 1.0, "1", b"1", None, -1.5):
        keep(db, SEEN, value)
    assert 7 == db.stats().entries


def test_a_zero_and_a_negative_zero(db):
    """Equal in Python, and not in SQLite: neither is served for the other, beside other numbers too."""
    sql = "SELECT ?, ?"
    for first, second in itertools.product((0.0, -0.0), (1.5, 0.0, -0.0, 0, "0")):
        for _ in range(2):
            assert repr(truth(db, sql, first, second)) == repr(cached(db, sql, first, second))
            assert repr(first) == repr(db.query(sql, first, second)[0][0])


def test_how_many_rows_were_wanted_is_part_of_the_key(db):
    """first, one, scalar and query of one statement do not answer for each other."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1), (2), (3)")
    sql = "SELECT v FROM t ORDER BY v"
    for _ in range(2):
        assert 1 == db.first(sql)[0]
        with pytest.raises(Exception, match="more than one row"):
            db.one(sql)
        assert ((1,), (2,), (3,)) == plain(db.query(sql))
        assert ((1,), (2,), (3,)) == truth(db, sql)
        with pytest.raises(Exception, match="more than one row"):
            db.scalar(sql)


def test_names_and_places_do_not_answer_for_each_other(db):
    """Values by name, by number and by place; the order of a dict does not matter, its names do."""
    for sql, params in (
        ("SELECT ?, ?", (1, 2)),
        ("SELECT ?, ?", (2, 1)),
        ("SELECT ?2, ?1", (1, 2)),
        ("SELECT :a, :b", ({"a": 1, "b": 2},)),
        ("SELECT :a, :b", ({"b": 1, "a": 2},)),
        ("SELECT :b, :a", ({"b": 1, "a": 2},)),
        ("SELECT :a, :b", ({"b": 2, "a": 1, "c": 3},)),
    ):
        for _ in range(2):
            assert truth(db, sql, *params) == cached(db, sql, *params)


def test_a_parameter_changed_by_its_owner_afterwards(db):
    """The key holds what was given, not the caller's object."""
    buffer = bytearray(b"one")
    named = {"v": "one"}
    assert ((b"one",),) == cached(db, "SELECT ?", buffer)
    assert (("one",),) == cached(db, "SELECT :v", named)
    buffer[:] = b"two"
    named["v"] = "two"
    assert ((b"two",),) == cached(db, "SELECT ?", buffer)
    assert (("two",),) == cached(db, "SELECT :v", named)


@pytest.mark.parametrize("order", list(itertools.permutations([1, "1", 1.0, b"1"], 2)), ids=repr)
def test_affinity_sees_the_type(db, order):
    """The same number, as text or as a number, selects other rows from a column without affinity."""
    db.script("CREATE TABLE t (v BLOB); INSERT INTO t VALUES (1), ('1'), (x'31')")
    for value in (*order, *order):
        assert truth(db, "SELECT typeof(v) FROM t WHERE v = ?", value) == cached(
            db, "SELECT typeof(v) FROM t WHERE v = ?", value
        )


def test_values_by_name_are_found_by_name_alone(db):
    """The order of the dict and values that the statement does not ask for make no other entry."""
    sql = "SELECT :a, :b"
    assert db.query(sql, {"a": 3, "b": 4}) is db.query(sql, {"a": 3, "b": 4}), "the first call is kept, too"
    kept = [
        cached(db, sql, {"a": 3, "b": 4}),
        cached(db, sql, {"b": 4, "a": 3}),
        cached(db, sql, {"c": 5, "b": 4, "a": 3}),
    ]
    assert [((3, 4),)] * 3 == kept
    before = db.stats()
    assert (3, 4) == tuple(db.one(sql, {"b": 4, "a": 3})) == tuple(db.one(sql, {"a": 3, "b": 4, "c": 6}))
    with db.snapshot() as snapshot:
        assert ((3, 4),) == snapshot.query(sql, {"b": 4, "a": 3})
    after = db.stats()
    assert before.revalidated + 1 == after.revalidated
    assert (before.entries + 1, before.hits + 1) == (after.entries, after.hits)
    with pytest.raises(ParameterError, match="asks for :b"):
        db.query(sql, {"a": 3})
    with pytest.raises(ParameterError, match="parameter :b"):
        db.query(sql, {"a": 3, "b": object()})
