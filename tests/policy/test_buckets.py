"""Buckets: Python and any SQLite agree on them, and a call's scopes are those of the values that it binds."""

from __future__ import annotations

from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.coherence.buckets import BUCKETS, SLOTS, Affinity, Tracked, bucket, bucket_sql, column_scope, exact
from coeval.coherence.narrowed import MOST, Bound, Narrowed, buckets, scopes_for
from coeval.coherence.references import Constant, Parameter
from coeval.coherence.scopes import BLOCK, block, table_scope

SMALLEST, LARGEST = -(2**63), 2**63 - 1

#: Characters on whose edges an encoding changes, and those that SQLite treats in ways of their own.
LETTERS = "aZ059 é߿ࠀ퟿\ue000\ufffc\ufffd\ufffe\uffff\U00010000\U0010ffff\0"


@pytest.fixture(scope="module", params=["UTF-8", "UTF-16"])
def sql(request) -> Any:
    """A database of each encoding, with one table that has a column of each affinity."""
    connection = apsw.Connection(":memory:")
    connection.execute(f"PRAGMA encoding = '{request.param}'")
    connection.execute("CREATE TABLE t (i INTEGER, s TEXT)")
    yield connection
    connection.close()


def stored(sql: apsw.Connection, column: str, affinity: Affinity, value: Any) -> tuple[Any, bool]:
    """The bucket of ``value`` once it is stored, and whether it equals itself as a parameter."""
    sql.execute("DELETE FROM t")
    sql.execute(f"INSERT INTO t({column}) VALUES (?)", (value,))
    return sql.execute(f"SELECT {bucket_sql(column, affinity)}, {column} = ? FROM t", (value,)).get


@given(st.integers(SMALLEST, LARGEST) | st.sampled_from([SMALLEST, LARGEST, -1, 0, 1023, 1024, True]))
def test_integers_have_the_same_bucket_in_python_and_in_sql(sql, value):
    """Negative and largest ones too."""
    assert exact(value, "INTEGER")
    assert (bucket(value), 1) == stored(sql, "i", "INTEGER", value)
    assert 0 <= bucket(value) < BUCKETS


@given(st.text(max_size=20) | st.text(LETTERS, max_size=20))
def test_texts_have_the_same_bucket_in_python_and_in_sql(sql, value):
    """Those on which SQLite's versions or encodings do not agree have none in Python."""
    if exact(value, "TEXT"):
        assert (bucket(value), 1) == stored(sql, "s", "TEXT", value)
        assert 0 <= bucket(value) < BUCKETS
    else:
        assert set(value) & set("\0\ufffd\ufffe\uffff")


@pytest.mark.parametrize(
    "value", [None, 1.5, -0.0, 1e300, float("inf"), "", "abc", "1" * 40, b"", b"\xff\0\x80" * 9, b"abc"]
)
@pytest.mark.parametrize(("column", "affinity"), [("i", "INTEGER"), ("s", "TEXT")])
def test_anything_may_stand_in_a_column(sql, column, affinity, value):
    """No type and no value makes a trigger fail, and NULL alone has no bucket."""
    found, _ = stored(sql, column, affinity, value)
    assert found is None if value is None else 0 <= found < BUCKETS


def test_a_broken_text_does_not_make_a_trigger_fail(sql):
    """Bytes that are no text, stored as one."""
    for broken in ("ff", "c3", "61c328", "eda080", "f8888080", "610062"):
        sql.execute("DELETE FROM t")
        sql.execute(f"INSERT INTO t(s) VALUES (CAST(x'{broken}' AS TEXT))")
        assert 0 <= sql.execute(f"SELECT {bucket_sql('s', 'TEXT')} FROM t").get < BUCKETS


def test_a_real_that_is_the_smallest_integer_is_found_by_it(sql):
    """The one real that an INTEGER column keeps and that equals an integer."""
    sql.execute("DELETE FROM t")
    sql.execute("INSERT INTO t(i) VALUES (-9223372036854775808.0)")
    assert ("real", 1, bucket(SMALLEST)) == sql.execute(
        f"SELECT typeof(i), i = ?, {bucket_sql('i', 'INTEGER')} FROM t", (SMALLEST,)
    ).get


@pytest.mark.parametrize("pattern", ["user{}@example.com", "customer-{:06}", "ORD-2026-{:06}-EU", "{}", "{:032x}"])
def test_usual_texts_spread(pattern):
    """Texts that differ in a number fall into many buckets, wherever it stands."""
    found = [bucket(pattern.format(n * 7919)) for n in range(BUCKETS)]
    assert max(map(found.count, set(found))) <= 12


@pytest.mark.parametrize(
    ("value", "affinity"),
    [
        *((value, "INTEGER") for value in (None, 1.0, "1", b"1", 2**63, SMALLEST - 1)),
        *(
            (value, "TEXT")
            for value in (None, 1, True, 1.0, b"a", "a\0b", "\udc80", "\ufffd", type("S", (str,), {})("a"))
        ),
    ],
)
def test_other_values_are_not_plainly_equal(value, affinity):
    """What SQLite would convert, or Python cannot tell the bucket of."""
    assert not exact(value, affinity)


def test_columns_lie_in_their_table_s_block():
    """No two columns share a scope, and none is the table's."""
    first, last = block(3)
    assert (table_scope(3), table_scope(4) - 1) == (first, last)
    assert first + BUCKETS == column_scope(3, 1)
    assert last == column_scope(3, SLOTS) + BUCKETS - 1
    for slot in (0, SLOTS + 1):
        with pytest.raises(ValueError, match="slots"):
            column_scope(3, slot)


ID, NAME = Tracked(1, "id", "INTEGER"), Tracked(2, "name", "TEXT")


def narrowed(*bounds: Bound) -> Narrowed:
    return Narrowed("t", 1, bounds)


def test_each_mention_and_each_value_has_its_bucket():
    """They take the place of the table's scope and of no other's."""
    table = narrowed(Bound(ID, (Parameter(1), Constant(-1))), Bound(NAME, (Parameter(2, "name"),)))
    whole = (table_scope(1), table_scope(2))
    expected = sorted(
        (column_scope(1, 1) + 5, column_scope(1, 1) + 1023, column_scope(1, 2) + bucket("x"), table_scope(2))
    )
    assert tuple(expected) == scopes_for(whole, [table], (5, "x"))
    assert whole == scopes_for(whole, [], (5, "x"))
    assert whole == scopes_for(whole, [table], (5, b"x"))


@pytest.mark.parametrize("parameters", [(), (None,), ("1",), (1.0,), {}, {"other": 1}, {"id": "1"}])
def test_a_call_whose_values_do_not_fit_depends_on_the_whole_table(parameters):
    """Missing ones too; SQLite says what it thinks of them later."""
    assert buckets(narrowed(Bound(ID, (Parameter(1, "id"),))), parameters) is None


def test_a_name_is_looked_up_in_a_mapping_alone():
    """A placeholder without a name is not in a mapping."""
    assert {column_scope(1, 1) + 7} == buckets(narrowed(Bound(ID, (Parameter(2, "id"),))), {"id": 7})
    assert {column_scope(1, 1) + 8} == buckets(narrowed(Bound(ID, (Parameter(2, "id"),))), (7, 8))
    assert buckets(narrowed(Bound(ID, (Parameter(1),))), {"id": 7}) is None


def test_too_many_buckets_are_the_whole_table():
    """Law 10: the read set of a call is bounded."""
    few, many = (narrowed(Bound(ID, tuple(map(Parameter, range(1, n + 1))))) for n in (MOST, MOST + 1))
    values = tuple(range(MOST + 1))
    assert len(buckets(few, values) or ()) == MOST
    assert buckets(many, values) is None
    assert BLOCK > MOST


def test_it_is_said_as_in_sql():
    """For `explain`."""
    one = narrowed(
        Bound(ID, (Parameter(1),)), Bound(NAME, (Constant("a'b"), Parameter(2, "n"))), Bound(ID, (Parameter(1),))
    )
    assert str(one) == "t by id = ?1 and by name IN ('a''b', :n)"
