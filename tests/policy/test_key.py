"""Keys: what SQLite could answer differently has keys of its own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.cache.key import statement_key

values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.binary(max_size=3)
)


def same(one, two):
    """Whether SQLite gets the same value, of the same type."""
    if type(one) is not type(two):
        return False
    if isinstance(one, float):
        return one == two and math.copysign(1, one) == math.copysign(1, two)
    return one == two


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        (0.0, -0.0),
        (0, 0.0),
        ("1", 1),
        ("a", b"a"),
        (None, 0),
        (None, ""),
        (2**53, 2.0**53),
    ],
)
def test_equal_in_python_and_not_in_sqlite(one, two):
    """Typed keys: 1, True and 1.0 are three."""
    keys = {statement_key("s", (value,)) for value in (one, two)}
    assert 2 == len(keys)
    assert 2 == len({statement_key("s", {"a": value}) for value in (one, two)})


@given(st.lists(values, max_size=4).map(tuple), st.lists(values, max_size=4).map(tuple))
def test_keys_are_equal_exactly_when_the_values_are(one, two):
    """For any two lists of values."""
    alike = len(one) == len(two) and all(map(same, one, two))
    assert alike is (statement_key("s", one) == statement_key("s", two))
    assert not alike or hash(statement_key("s", one)) == hash(statement_key("s", two))


@given(
    st.dictionaries(st.text(max_size=3), values, max_size=4), st.dictionaries(st.text(max_size=3), values, max_size=4)
)
def test_names_belong_to_the_key(one, two):
    """For any two dicts; their order does not matter."""
    alike = one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    assert alike is (statement_key("s", one) == statement_key("s", two))
    assert statement_key("s", one) == statement_key("s", dict(reversed(one.items())))


@given(st.lists(values, max_size=3).map(tuple))
def test_statements_limits_and_names_are_told_apart(given_values):
    """The text, the number of rows wanted, and whether values came by place or by name."""
    named = {str(place): value for place, value in enumerate(given_values)}
    keys = [
        statement_key(sql, parameters, limit)
        for sql in ("s", "s ")
        for parameters in (given_values, named)
        for limit in (None, 1, 2)
    ]
    assert len(keys) == len(set(keys))


def test_the_plain_key_is_what_the_hit_path_builds():
    """The quick path of `query` looks for text, values and types; the key of plain values is exactly that."""
    params = (1, "a", None, 2.5, True, b"x")
    assert ("s", params, tuple(map(type, params))) == statement_key("s", params)


def test_zeros_are_not_found_by_the_quick_path():
    """0.0 and -0.0 are equal with equal types, so their keys are of another shape."""
    for zero in (0.0, -0.0):
        assert ("s", (zero,), (float,)) != statement_key("s", (zero,))
