"""Scopes: every table has a block of numbers of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.coherence.scopes import BLOCK, table_scope

numbers = st.integers(1, 2**42)


def test_a_block_holds_a_thousand_columns_of_a_thousand_buckets():
    """1,023 columns of 1,024 buckets, and the table itself."""
    assert BLOCK >= 1 + 1023 * 1024


@given(numbers, numbers)
def test_tables_do_not_overlap(one, two):
    """Two tables never share a scope, nor any number of their blocks, and all fit into 64 bits."""
    assert (one == two) is (table_scope(one) == table_scope(two))
    if one < two:
        assert table_scope(one) + BLOCK - 1 < table_scope(two)
    assert 0 < table_scope(one) < 2**63


@pytest.mark.parametrize("number", [0, -1])
def test_tables_are_numbered_from_one(number):
    """0 would be nobody's."""
    with pytest.raises(ValueError, match="from 1"):
        table_scope(number)
