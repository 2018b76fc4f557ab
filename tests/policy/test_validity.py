"""The decision whether an entry may be returned: a table of cases, and laws for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.cache.entry import Entry
from coeval.coherence.stamps import Seen
from coeval.coherence.validity import valid_by_clock, valid_by_stamps, worth_keeping

MARK, OTHER = b"m" * 48, b"o" * 48


def entry(scopes=(1,), schema=7, stamps=(11,), mark=MARK):
    return Entry(("sql",), ((1,),), scopes=scopes, schema=schema, stamps=stamps, mark=mark, size=1)


@pytest.mark.parametrize(
    ("valid", "held", "now"),
    [
        (True, MARK, MARK),
        (False, MARK, OTHER),
        (False, MARK, None),
        (False, None, MARK),
        (False, None, None),
        (False, MARK, b""),
        (False, MARK, MARK[:-1] + b"x"),
    ],
)
def test_by_the_clock(valid, held, now):
    """Only the very value under which it was proved; a clock that proves nothing proves nothing."""
    assert valid is valid_by_clock(entry(mark=held), now)


@pytest.mark.parametrize(
    ("valid", "made", "seen"),
    [
        (True, {}, Seen(7, (11,), None)),
        (True, {}, Seen(7, (11,), OTHER)),
        (False, {}, Seen(7, (12,), MARK)),
        (False, {}, Seen(8, (11,), MARK)),
        (False, {}, Seen(None, (11,), MARK)),
        (False, {"schema": None}, Seen(None, (11,), MARK)),
        (False, {"stamps": (None,)}, Seen(7, (None,), MARK)),
        (False, {}, Seen(7, (None,), MARK)),
        (False, {"scopes": (1, 2), "stamps": (11, None)}, Seen(7, (11, None), MARK)),
        (True, {"scopes": (1, 2), "stamps": (11, 12)}, Seen(7, (11, 12), MARK)),
        (False, {"scopes": (1, 2), "stamps": (11, 12)}, Seen(7, (12, 11), MARK)),
        (False, {"scopes": (1, 2), "stamps": (11, 12)}, Seen(7, (11,), MARK)),
        (False, {"scopes": (1, 2), "stamps": (11, 12)}, Seen(7, (11, 12, 13), MARK)),
        (True, {"scopes": (), "stamps": ()}, Seen(7, (), MARK)),
        (False, {"scopes": (), "stamps": ()}, Seen(8, (), MARK)),
        (False, {"scopes": None, "stamps": ()}, Seen(7, (), MARK)),
        (True, {"schema": 0, "stamps": (0,)}, Seen(0, (0,), None)),
        (False, {"stamps": (0,)}, Seen(7, (None,), None)),
    ],
)
def test_by_stamps(valid, made, seen):
    """Equal stamps of every scope under an equal schema stamp, and an absent one matches nothing (law 2)."""
    assert valid is valid_by_stamps(entry(**made), seen)


@pytest.mark.parametrize(
    ("worth", "seen", "scopes"),
    [
        (True, Seen(7, (11,), MARK), (1,)),
        (True, Seen(7, (11,), None), (1,)),
        (False, Seen(None, (11,), MARK), (1,)),
        (False, Seen(7, (None,), MARK), (1,)),
        (False, Seen(7, (11, None), MARK), (1, 2)),
        (True, Seen(7, (), None), ()),
        (True, Seen(None, (), MARK), None),
        (False, Seen(7, (), None), None),
    ],
)
def test_worth_keeping(worth, seen, scopes):
    """Kept is what can be proved valid again some day: by its stamps, or by a mark where it has none."""
    assert worth is worth_keeping(seen, scopes)


stamps = st.none() | st.integers(-(2**63), 2**63 - 1)
seens = st.builds(
    Seen, stamps, st.lists(stamps, max_size=4).map(tuple), st.none() | st.binary(min_size=48, max_size=48)
)


@given(seens)
def test_what_is_worth_keeping_is_valid_at_once(seen):
    """An entry made of what a snapshot saw is valid for that snapshot, exactly when it is worth keeping."""
    scopes = tuple(range(len(seen.stamps)))
    made = entry(scopes=scopes, schema=seen.schema, stamps=seen.stamps, mark=seen.mark)
    assert worth_keeping(seen, scopes) is valid_by_stamps(made, seen)
    assert (seen.mark is not None) is valid_by_clock(made, seen.mark)


@given(seens, seens)
def test_any_difference_makes_it_invalid(one, two):
    """Between two snapshots that differ in any stamp nothing passes."""
    made = entry(scopes=tuple(range(len(one.stamps))), schema=one.schema, stamps=one.stamps, mark=one.mark)
    if (one.schema, one.stamps) != (two.schema, two.stamps):
        assert not valid_by_stamps(made, two)
    if one.mark != two.mark:
        assert not valid_by_clock(made, two.mark)
