"""What an audit may compare, when two results are the same, and how many hits are taken: values in, values out."""

from __future__ import annotations

import dataclasses
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.cache.audit import IncomparableError, comparable, gap, look, same_rows, same_value
from coeval.cache.key import asked, statement_key
from coeval.rows import row_type

NONE: frozenset[str] = frozenset()
ROWS = ((1,), (2,), (3,))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t LIMIT 3",
        "select * from t limit ? offset ?",
        "SELECT * FROM (SELECT * FROM t LIMIT 3) ORDER BY x",
        "SELECT * FROM t WHERE id IN (SELECT id FROM u LIMIT 2) ORDER BY x LIMIT 1",
        "SELECT row_number() OVER (ORDER BY x) FROM t LIMIT 3",
        "WITH a AS (SELECT * FROM t LIMIT 1) SELECT * FROM a",
        "SELECT * FROM t -- ORDER BY x\n LIMIT 1",
        "SELECT 'ORDER BY' FROM t LIMIT 1",
        "SELECT group_concat(x) FROM t",
        "SELECT group_concat(x) FROM (SELECT x FROM t ORDER BY x)",
        'SELECT "group_concat"(x) FROM t',
        "SELECT json_group_array(x) FROM t ORDER BY 1",
        "SELECT GROUP_CONCAT (x, ',') FROM t",
        "SELECT * FROM (SELECT 1 LIMIT 1",
    ],
)
def test_what_is_cut_off_or_put_together_in_no_order(sql):
    """It is left out, wherever it stands."""
    assert comparable(look(sql), NONE, None, ROWS) is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t",
        "SELECT * FROM t ORDER BY x LIMIT 3",
        "SELECT * FROM t ORDER\nBY x LIMIT 3 OFFSET 1",
        "SELECT 'a limit' FROM t",
        'SELECT "limit", [offset], `limit` FROM t',
        "SELECT * FROM t WHERE a = :limit AND b = @offset AND c = $limit",
        "SELECT * FROM t /* LIMIT 1 */ -- LIMIT 2",
        "SELECT * FROM (SELECT * FROM t ORDER BY x LIMIT 3)",
        "SELECT group_concat(x ORDER BY x) FROM t",
        "SELECT 'it''s LIMIT' FROM t",
        "SELECT sum(x), count(*), max(y) FROM t GROUP BY z",
    ],
)
def test_what_the_data_decide(sql):
    """It is compared, whole."""
    assert comparable(look(sql), NONE, None, ROWS) == ROWS


def test_a_view_hides_its_aggregates():
    """What SQLite says that the statement calls counts, where the text does not show it in order."""
    assert comparable(look("SELECT * FROM v"), frozenset({"group_concat"}), None, ROWS) is None
    sql = "SELECT group_concat(x ORDER BY x) FROM t"
    assert comparable(look(sql), frozenset({"group_concat"}), None, ROWS) == ROWS


def test_of_few_rows_the_caller_has_asked_for():
    """All there are can be compared; the first of more only in an order."""
    plain, ordered = look("SELECT * FROM t"), look("SELECT * FROM t ORDER BY x")
    assert comparable(plain, NONE, 3, ROWS) == ROWS
    assert comparable(plain, NONE, 2, ROWS) is None
    assert comparable(ordered, NONE, 2, ROWS) == ROWS[:2]
    assert comparable(look("SELECT * FROM (SELECT * FROM t ORDER BY x)"), NONE, 2, ROWS) is None


@pytest.mark.parametrize(
    ("kept", "computed"),
    [
        ((), ()),
        (((1, "a"), (2, "b")), ((2, "b"), (1, "a"))),
        (((None,), (b"x",), ("x",)), (("x",), (None,), (b"x",))),
        (((0.1 + 0.2,),), ((0.3,),)),
        (((1e300, "a"), (1.0, "b")), ((1.0 + 1e-12, "b"), (1e300 * (1 + 1e-12), "a"))),
        (((1.0, "b"), (1.0 + 1e-12, "a")), ((1.0, "a"), (1.0, "b"))),
        (((1.0, 2.0), (1.0 + 1e-12, 1.0)), ((1.0 + 1e-12, 2.0), (1.0, 1.0))),
        (((float("inf"),),), ((float("inf"),),)),
        (((0.0,),), ((-0.0,),)),
        (((Decimal("1.5"),),), ((Decimal("1.50"),),)),
    ],
)
def test_the_same_rows(kept, computed):
    """In any order, NULL equal to NULL, floats as near as a sum may be."""
    assert same_rows(kept, computed)
    assert same_rows(computed, kept)


@pytest.mark.parametrize(
    ("kept", "computed"),
    [
        (((1,),), ()),
        (((1,),), ((1.0,),)),
        (((1,),), ((True,),)),
        ((("x",),), ((b"x",),)),
        ((("1",),), ((1,),)),
        (((None,),), ((0,),)),
        (((1.0,),), ((1.0 + 1e-8,),)),
        (((1,), (1,), (2,)), ((1,), (2,), (2,))),
        (((1.0,), (2.0,)), ((1.0,), (1.0,))),
        (((1, 2),), ((2, 1),)),
        ((row_type(("a",))((1,)),), (row_type(("b",))((1,)),)),
    ],
)
def test_other_rows(kept, computed):
    """Another number of one, another type, another name."""
    assert not same_rows(kept, computed)
    assert not same_rows(computed, kept)


@dataclasses.dataclass
class Point:
    x: float
    y: object = None


class Plain:
    children: list[Plain]
    name: object

    def __init__(self, **parts):
        self.__dict__.update(parts)


class Shut:
    __slots__ = ()


ROW = row_type(("a", "b"))


@pytest.mark.parametrize(
    ("kept", "computed"),
    [
        ([1, {"a": 0.1 + 0.2}], [1, {"a": 0.3}]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, 2], [2, 1]),
        ([ROW((1, 0.1 + 0.2)), ROW((2, 1.0))], [ROW((2, 1.0)), ROW((1, 0.3))]),
        (Point(0.1 + 0.2, [Point(1.0)]), Point(0.3, [Point(1.0)])),
        (Plain(a=[1]), Plain(a=[1])),
        ({1, 2}, {2, 1}),
        (float("nan"), float("nan")),
        (int, int),
    ],
)
def test_the_same_value(kept, computed):
    """Part by part."""
    assert same_value(kept, computed)


@pytest.mark.parametrize(
    ("kept", "computed"),
    [
        (1, 1.0),
        (1, True),
        ([1], (1,)),
        ([1, 1, 2], [1, 2, 2]),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"b": 1}),
        (Point(1.0), Point(1.1)),
        (Plain(a=1), Plain(a=2)),
        (Plain(a=1), Plain(b=1)),
        ([ROW((1, 2))], [ROW((1, 3))]),
        ([[1, 2], [3]], [[1], [2, 3]]),
    ],
)
def test_another_value(kept, computed):
    """A type, a number, a part."""
    assert not same_value(kept, computed)


def test_nothing_can_be_said():
    """Of things that equal nothing, lie too deep, or are too many in another order."""
    deep: list = []
    other: list = []
    for _ in range(30):
        deep, other = [deep], [other]
    many = list(range(1000))
    for kept, computed in ((Shut(), Shut()), (deep, other), (many, many[::-1])):
        with pytest.raises(IncomparableError):
            same_value(kept, computed)


def test_parts_that_lead_back():
    """A tree whose leaves know their parent is walked once, not once for each way through it."""

    def tree(last):
        parent = Plain(children=[])
        parent.children.extend(Plain(parent=parent, name=number) for number in range(40))
        parent.children[-1].name = last
        return parent

    assert same_value(tree("a"), tree("a"))
    assert not same_value(tree("a"), tree("b"))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 1.0])
def test_the_share(share):
    """So many of the hits are taken, near enough."""
    chance, taken = random.Random(7), 20_000
    passed = sum(gap(share, chance.random()) for _ in range(taken))
    assert taken / (passed + taken) == pytest.approx(share, rel=0.05)


def test_the_ends_of_chance():
    """All of the hits means all; the largest gap is finite."""
    assert [0, 0] == [gap(1.0, 0.0), gap(1.0, 0.999)]
    assert 0 == gap(0.5, 0.0)
    assert gap(0.001, 1 - 2**-53) < 100_000


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(
    parameters=st.lists(VALUES).map(tuple) | st.dictionaries(st.text(), VALUES),
    limit=st.none() | st.integers(1, 2),
)
def test_a_key_says_what_was_asked(parameters, limit):
    """The request can be made again from its key."""
    sql, again, rows = asked(statement_key("SELECT 1", parameters, limit))
    assert ("SELECT 1", limit) == (sql, rows)
    assert repr(parameters if type(parameters) is tuple else dict(sorted(parameters.items()))) == repr(again)


def test_another_key():
    """A call's is none of a statement."""
    with pytest.raises(ValueError, match="not the key"):
        asked(("call", "f", "", (), ()))
