"""What writes cost in work that was done for nothing, summed by statement and table, and when a column is worth its stamps."""

from __future__ import annotations

import pytest

from coeval.cache.entry import Entry
from coeval.cache.identity import Identity
from coeval.cache.losses import LONGEST, MOST, Advice, Losses, worth_tracking
from coeval.coherence.buckets import column_scope
from coeval.coherence.scopes import table_scope, tag_scope
from coeval.coherence.stamps import Seen

ORDERS, ITEMS = table_scope(1), table_scope(2)
BUCKET = column_scope(1, 3) + 7


def entry(key, scopes=(ORDERS,), *, stamps=None, cost=0.25, schema=9):
    made = tuple(range(len(scopes))) if stamps is None else stamps
    return Entry(key, (), scopes=scopes, schema=schema, stamps=made, mark=None, size=1, cost=cost)


def sums(losses: Losses):
    return [(sum.name, sum.called, sum.number, sum.times, sum.seconds) for sum in losses.largest(99)]


def test_a_loss_is_counted_for_each_table_that_was_written():
    """With all that the result took; the tables that were not written have no part in it."""
    losses = Losses()
    losses.lost(entry(("q", 1, int), (ORDERS, ITEMS)), Seen(9, (0, 5), None))
    losses.lost(entry(("q", 2, int), (ORDERS, ITEMS), cost=0.5), Seen(9, (4, 5), None))
    assert sums(losses) == [("q", False, 2, 2, 0.75), ("q", False, 1, 1, 0.5)]


def test_a_bucket_counts_for_its_table_and_once():
    """Whichever of its scopes was written."""
    losses = Losses()
    losses.lost(entry(("q",), (BUCKET, BUCKET + 1)), Seen(9, (4, 5), None))
    assert sums(losses) == [("q", False, 1, 1, 0.25)]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (("q",), ("q", False)),
        ((2, "q", 1, int), ("q", False)),
        ((Identity("app.report"), 1, int), ("app.report", True)),
        ((("value", "x"),), None),
        (("q" * (LONGEST + 1),), None),
    ],
)
def test_it_is_named_by_its_key(key, named):
    """A statement whatever its parameters, a function whatever its arguments; a text without end is left out."""
    losses = Losses()
    losses.lost(entry(key), Seen(9, (4,), None))
    assert [(name, called) for name, called, *_ in sums(losses)] == ([] if named is None else [named])


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (None, Seen(9, (), None)),  # by the clock alone
        ((ORDERS,), Seen(8, (4,), None)),  # another schema
        ((ORDERS,), Seen(None, (4,), None)),  # one that is not verified
        ((tag_scope("t"),), Seen(9, (4,), None)),
        ((ORDERS,), Seen(9, (0,), None)),
    ],
)
def test_what_no_column_could_have_saved_is_no_loss(scopes, seen):
    """Nor does it count towards looking for one."""
    losses = Losses()
    losses.lost(entry(("q",), scopes, stamps=() if scopes is None else None, cost=99.0), seen)
    assert not len(losses)
    assert not losses.enough()


def test_it_is_bounded_and_keeps_what_lost_most():
    """Law 10."""
    losses = Losses()
    for number in range(3 * MOST):
        losses.lost(entry((f"q{number}",), cost=float(number % 10)), Seen(9, (4,), None))
        assert len(losses) <= MOST
    assert all(sum.seconds == 9.0 for sum in losses.largest(10))


def test_enough_is_said_once_for_each_so_much():
    """So that the housekeeper looks seldom."""
    losses = Losses()
    losses.lost(entry(("q",), cost=0.9), Seen(9, (4,), None))
    assert not losses.enough()
    losses.lost(entry(("q",), cost=0.2), Seen(9, (4,), None))
    assert losses.enough()
    assert not losses.enough()


def test_what_was_lost_before_a_table_was_tracked_is_forgotten():
    """Of that table alone."""
    losses = Losses()
    losses.lost(entry(("q",), (ORDERS, ITEMS)), Seen(9, (4, 5), None))
    losses.forget({1})
    assert [number for _, _, number, *_ in sums(losses)] == [2]


def test_a_column_is_worth_tracking_from_a_threshold_on():
    """In seconds and in times, of all its statements together."""
    two = [Advice("orders", ("customer_id",), 60, 0.6), Advice("orders", ("customer_id",), 40, 0.4)]
    assert worth_tracking(two, {}) == {"orders": ("customer_id",)}
    assert worth_tracking(two[:1], {}) == {}
    assert worth_tracking(two, {}, seconds=1.1) == {}
    assert worth_tracking(two, {}, times=101) == {}
    assert worth_tracking([Advice("orders", (), 1000, 10.0)], {}) == {}


def test_no_table_gets_more_than_a_few_columns():
    """The dearest first, with those that are tracked already."""
    three = [Advice("orders", (name,), 100, seconds) for name, seconds in (("a", 1.0), ("b", 3.0), ("c", 2.0))]
    assert worth_tracking(three, {}, columns=2) == {"orders": ("b", "c")}
    assert worth_tracking(three, {"orders": 1}, columns=2) == {"orders": ("b",)}
    assert worth_tracking(three, {"orders": 2}, columns=2) == {}
    assert worth_tracking([Advice("orders", ("a", "b"), 100, 1.0)], {"orders": 1}, columns=2) == {}
