"""Rows as the reader's own types, and which of those types may be shared."""

# ruff: noqa: DTZ001 - naive datetimes are what most SQLite files hold

import dataclasses
import enum
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.errors import ColumnError, ConversionError
from coeval.into import into_rows
from coeval.rows import row_type
from coeval.values import adapt

ID = UUID("12345678-1234-5678-1234-567812345678")
MOMENT = datetime(2024, 1, 31, 12, 30, 0, 1)
make_named_tuple: Any = NamedTuple  # a name under which type checkers let it be called with types from a table
T = TypeVar("T")
Name = NewType("Name", str)


def rows(names, *values):
    return tuple(map(row_type(tuple(names.split())), values))


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Unsupported(enum.Enum):
    PAIR = (1, 2)


@dataclass
class UserData:
    id: int
    name: str = "nobody"


@dataclass(frozen=True)
class FrozenUser:
    id: int
    name: str = "nobody"


class UserStruct(msgspec.Struct):
    id: int
    name: str = "nobody"


class UserTuple(NamedTuple):
    id: int
    name: str = "nobody"


class UserArray(msgspec.Struct, array_like=True):
    id: int
    name: str = "nobody"


class UserDict(TypedDict):
    id: int
    name: str


# Kinds of types


@pytest.mark.parametrize("kind", [UserData, FrozenUser, UserStruct, UserTuple, UserArray])
def test_a_type_is_filled_by_column_names(kind):
    """The order of the columns does not matter, columns without a field are left out, defaults fill the rest."""
    assert (kind(7, "Ann"), kind(8, "Bob")) == into_rows(rows("x name id", (0, "Ann", 7), (0, "Bob", 8)), kind)
    assert (kind(7),) == into_rows(rows("x id", (0, 7)), kind)
    assert kind is type(into_rows(rows("x id", (0, 7)), kind)[0])


def test_a_typed_dict_is_filled_by_column_names():
    """It has its own keys and no others."""
    assert ({"id": 7, "name": "Ann"},) == into_rows(rows("x name id", (0, "Ann", 7)), UserDict)


@pytest.mark.parametrize(
    ("expected", "kind", "names", "values"),
    [
        ({"a": 1, "b": "x"}, dict, "a b", (1, "x")),
        ({"a": 1, "b": 2}, dict[str, int], "a b", (1, "2")),
        ({"a": date(2024, 1, 31)}, dict[str, date], "a", ("2024-01-31",)),
        ((1, "x"), tuple, "a b", (1, "x")),
        ((1, MOMENT), tuple[int, datetime], "a b", (1, str(MOMENT))),
        ((1, 1), tuple[int, ...], "a a", (1, 1)),
        ([1, 2], list[int], "a b", (1, 2)),
        (5, int, "count(*)", (5,)),
        (None, int | None, "a", (None,)),
        (MOMENT, datetime, "a", (str(MOMENT),)),
    ],
)
def test_dicts_tuples_and_single_values(expected, kind, names, values):
    """A dict has all columns, a tuple or list goes by position, any other type takes the one column."""
    (out,) = into_rows(rows(names, values), kind)
    assert (type(expected), expected) == (type(out), out)


def test_no_rows_are_no_objects():
    """An empty result is an empty tuple of any kind."""
    assert () == into_rows((), UserData)


def test_a_field_may_be_encoded_by_another_name():
    """A Struct with ``rename`` takes columns of either name, and prefers the encoded one."""

    class Camel(msgspec.Struct, rename="camel"):
        user_name: str

    assert (Camel("Ann"),) == into_rows(rows("userName", ("Ann",)), Camel)
    assert (Camel("Ann"),) == into_rows(rows("user_name", ("Ann",)), Camel)
    assert (Camel("Ann"),) == into_rows(rows("user_name userName", ("Bob", "Ann")), Camel)
    assert (Camel("Ann"),) == into_rows(rows("userName user_name", ("Ann", "Bob")), Camel)


def test_a_generic_type_is_filled():
    """``Box[int]`` checks for int."""

    @dataclass
    class Box(Generic[T]):
        content: T

    assert (Box(5),) == into_rows(rows("content", ("5",)), Box[int])
    with pytest.raises(ConversionError):
        into_rows(rows("content", ("x",)), Box[int])


def test_tagged_unions_are_filled_by_their_tag():
    """msgspec's tagged Structs read the tag from the column ``type``."""

    class Cat(msgspec.Struct, tag=True):
        name: str

    class Dog(msgspec.Struct, tag=True):
        name: str

    assert (Cat("Tom"), Dog("Rex")) == into_rows(rows("type name", ("Cat", "Tom"), ("Dog", "Rex")), Cat | Dog)  # type: ignore[arg-type]


def test_defaults_in_the_middle_of_a_tuple():
    """A NamedTuple gets its columns by name, wherever the gap is."""

    class Wide(NamedTuple):
        a: int
        b: str = "b"
        c: int = 3
        d: datetime | None = None

    assert (Wide(1, "b", 3, MOMENT),) == into_rows(rows("d a", (str(MOMENT), 1)), Wide)
    assert (Wide(1, "b", 9),) == into_rows(rows("c a", (9, 1)), Wide)


def test_defaults_made_by_functions_are_fresh():
    """Two objects never share a default list."""

    @dataclass
    class Tagged:
        id: int
        tags: list[str] = dataclasses.field(default_factory=list)

    one, two = into_rows(rows("id", (1,), (2,)), Tagged)
    assert [] == one.tags
    assert one.tags is not two.tags


def test_every_call_makes_new_objects():
    """What one caller does to its objects, no other sees."""
    found = rows("id name", (1, "Ann"))
    (one,), (two,) = into_rows(found, UserData), into_rows(found, UserData)
    one.name = "Bob"
    assert UserData(1, "Ann") == two
    assert ((1, "Ann"),) == found


def test_a_type_that_cannot_be_hashed():
    """Annotations may carry what they like."""
    kind: Any = Annotated[int, msgspec.Meta(ge=3), {}]
    assert (3,) == into_rows(rows("a", (3,)), kind)
    with pytest.raises(ConversionError, match=">= 3"):
        into_rows(rows("a", (2,)), kind)


# Values


@pytest.mark.parametrize(
    ("expected", "kind", "stored"),
    [
        (True, bool, 1),
        (False, bool, 0),
        (None, bool | None, None),
        (True, bool | None, 1),
        (7, int, "7"),
        (7, int, 7.0),
        (7.0, float, 7),
        (1.5, float, "1.5"),
        (math.inf, float, math.inf),
        (1.5, float, Decimal("1.5")),
        ("null", str | None, "null"),
        ("7", int | str, "7"),
        (b"YWJj", bytes, b"YWJj"),
        (bytearray(b"ab"), bytearray, b"ab"),
        (b"ab", bytes | None, b"ab"),
        (MOMENT, datetime, "2024-01-31 12:30:00.000001"),
        (MOMENT, datetime, "2024-01-31T12:30:00.000001"),
        (MOMENT, datetime | None, "2024-01-31 12:30:00.000001"),
        (MOMENT, datetime, MOMENT),
        (MOMENT, datetime | None, MOMENT),
        (None, datetime | None, None),
        (datetime(2024, 1, 31, 12, 30), datetime, "2024-01-31 12:30"),
        (datetime(2024, 1, 31), datetime, "2024-01-31"),
        (datetime(2024, 1, 31), datetime, date(2024, 1, 31)),
        (datetime(2024, 1, 31, 12, tzinfo=UTC), datetime, "2024-01-31 12:00:00Z"),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), datetime, 1700000000),
        (1700000000, datetime | int, 1700000000),
        (date(2024, 1, 31), date, "2024-01-31"),
        (date(2024, 1, 31), date | None, date(2024, 1, 31)),
        (time(12, 30), time, "12:30"),
        (time(12, 30, 0, 1), time, time(12, 30, 0, 1)),
        (timedelta(seconds=1.5), timedelta, 1.5),
        (Decimal("1.50"), Decimal, "1.50"),
        (Decimal("1.1"), Decimal, 1.1),
        (Decimal("1.1"), Decimal | None, 1.1),
        (Decimal("3"), Decimal, 3),  # noqa: FURB157
        (Decimal("1.50"), Decimal, Decimal("1.50")),
        (ID, UUID, str(ID)),
        (ID, UUID, ID.hex),
        (ID, UUID, ID.bytes),
        (ID, UUID | None, ID),
        (Colour.RED, Colour, "red"),
        (Level.HIGH, Level, 3),
        (Level.HIGH, Level | None, 3),
        ("a", Literal["a", "b"], "a"),
        (7, NewType("Number", int), 7),
        (7, Annotated[int, msgspec.Meta(ge=3)], 7),
        (MOMENT, Annotated[datetime, msgspec.Meta(tz=False)], str(MOMENT)),
        (MOMENT, Any, MOMENT),
    ],
)
def test_a_stored_value_becomes(expected, kind, stored):
    """Each kind of field takes each form in which SQLite, or a declared column type, gives its values."""
    shape: Any = dataclasses.make_dataclass("Shape", [("before", int), ("value", kind)])
    (out,) = into_rows(rows("value before", (stored, 1)), shape)
    assert (type(expected), expected) == (type(out.value), out.value)
    assert repr(expected) == repr(out.value)
    (single,) = into_rows(rows("value", (stored,)), kind)
    assert expected == single
    pair: Any = make_named_tuple("Pair", [("before", int), ("value", kind)])
    assert ((1, expected),) == into_rows(rows("value before", (stored, 1)), pair)


@given(st.datetimes() | st.dates() | st.times() | st.uuids() | st.decimals(allow_nan=False, allow_infinity=False))
def test_what_goes_in_comes_out(value):
    """The stored form of a value, read into its type, is the value."""
    assert (value,) == into_rows(rows("a", (adapt(value),)), type(value))


@given(st.floats(allow_nan=False))
def test_reals_become_decimals_without_noise(value):
    """By their shortest digits, which give the same float again."""
    (out,) = into_rows(rows("a", (value,)), Decimal)
    assert Decimal(repr(value)) == out
    assert value == float(out)


# Errors


@pytest.mark.parametrize(
    ("message", "kind", "stored"),
    [
        ("got `null`", int, None),
        ("got `str`", int, "x"),
        ("got `float`", int, 3.5),
        ("got `int`", bool, 2),
        ("got `int`", str, 5),
        ("got `bytes`", str, b"x"),
        ("expected `bytes`, got `text`", bytes, "YWJj"),
        ("expected `bytes | null`, got `text`", bytes | None, "YWJj"),
        ("datetime", datetime, "soon"),
        ("date", date, "2024-02-30"),
        ("date", date, MOMENT),
        ("time", time, "25:00"),
        ("got `datetime`", str, MOMENT),
        ("decimal", Decimal, "abc"),
        ("UUID", UUID, b"short"),
        ("enum value 'blue'", Colour, "blue"),
        ("enum value 'c'", Literal["a", "b"], "c"),
        ("got `int`", list[int], 5),
        (">= 3", Annotated[int, msgspec.Meta(ge=3)], 2),
    ],
)
@pytest.mark.parametrize("make", [dataclasses.make_dataclass, make_named_tuple])
def test_a_value_that_does_not_fit(message, kind, stored, make):
    """The error names the row, the column, the type and the value, and proposes a cure; nothing is returned."""
    shape = make("Shape", [("before", int), ("value", kind)])
    good = {datetime: str(MOMENT), int: 5}.get(kind)
    found = (
        rows("x value before", (0, stored, 1)) if good is None else rows("x value before", (0, good, 1), (0, stored, 1))
    )
    with pytest.raises(ConversionError) as caught:
        into_rows(found, shape)
    assert f"row {len(found)} of {len(found)}: column 'value' does not fit Shape" in caught.value.message
    assert message in caught.value.message
    assert ascii(stored) in caught.value.message
    assert "value" in caught.value.hint


def test_null_has_a_cure_of_its_own():
    """The error says how to allow NULL, or to replace it."""
    with pytest.raises(ConversionError) as caught:
        into_rows(rows("id", (None,)), UserData)
    assert "id: ... | None" in caught.value.hint
    assert "coalesce(id, ...)" in caught.value.hint


def test_single_values_that_do_not_fit_name_the_column():
    """With one column there is no doubt which it is."""
    with pytest.raises(ConversionError, match=r"row 2 of 2: column 'n' does not fit int"):
        into_rows(rows("n", (1,), ("x",)), int)


def test_a_long_value_is_shown_shortened():
    """An error never carries a megabyte of somebody's data."""
    with pytest.raises(ConversionError) as caught:
        into_rows(rows("id", ("x" * 1_000_000,)), UserData)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", [UserData, UserStruct, UserTuple, UserArray, UserDict])
def test_a_field_without_a_column(kind):
    """The error names the type, the field, what there is, and both cures."""
    with pytest.raises(ConversionError) as caught:
        into_rows(rows("name ids", ("Ann", 1)), kind)
    assert f"{kind.__name__} needs a column 'id', and the rows have name, ids" in caught.value.message
    assert "AS id" in caught.value.hint
    assert "default" in caught.value.hint


def test_a_gap_that_only_a_function_can_fill():
    """In an array-like Struct a made default before a column cannot be left out; it is asked for."""

    class Gap(msgspec.Struct, array_like=True):
        a: int
        tags: list[str] = msgspec.field(default_factory=list)
        c: int = 3

    assert (Gap(1, [], 3),) == into_rows(rows("a", (1,)), Gap)
    with pytest.raises(ConversionError, match="needs a column 'tags'"):
        into_rows(rows("a c", (1, 2)), Gap)


def test_unknown_columns_are_refused_where_a_struct_says_so():
    """``forbid_unknown_fields`` holds for columns as well."""

    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        id: int

    with pytest.raises(ConversionError, match="unknown field `more`") as caught:
        into_rows(rows("id more", (1, 2)), Strict)
    assert "Select only" in caught.value.hint


@pytest.mark.parametrize("kind", [UserData, UserTuple, dict])
def test_a_doubtful_name_is_refused(kind):
    """Two columns of the name that a field asks for: neither is taken."""
    with pytest.raises(ColumnError, match="2 columns are named so") as caught:
        into_rows(rows("id name id", (1, "Ann", 2)), kind)
    assert "AS t_id" in caught.value.hint


def test_doubtful_names_that_nobody_asks_for_are_left_out():
    """They trouble only who wants them."""
    assert (UserData(1),) == into_rows(rows("x id x", (0, 1, 0)), UserData)


@pytest.mark.parametrize("found", [(), rows("id", (1,))])
@pytest.mark.parametrize(
    "kind",
    [
        type("Plain", (), {}),
        dataclasses.make_dataclass("Odd", [("id", datetime | str)]),
        dataclasses.make_dataclass("Odd", [("id", Unsupported)]),
        dataclasses.make_dataclass("Odd", [("id", "Missing")]),
        "text",
        5,
    ],
)
def test_types_that_rows_cannot_become(kind, found):
    """A class without fields, an annotation that msgspec cannot check, or no type: said with or without rows."""
    with pytest.raises(ConversionError, match="rows cannot become") as caught:
        into_rows(found, kind)
    assert "dataclass" in caught.value.hint


def test_single_values_of_several_columns():
    """``into=int`` wants one column and says how many there are."""
    with pytest.raises(ConversionError, match="int takes rows of one column, and these have 2: a, b"):
        into_rows(rows("a b", (1, 2)), int)


def test_tuples_of_the_wrong_length():
    """``tuple[int, int]`` wants two columns."""
    with pytest.raises(ConversionError, match="row 1 of 1 does not fit"):
        into_rows(rows("a b c", (1, 2, 3)), tuple[int, int])


def test_a_type_that_refuses_a_row():
    """What ``__post_init__`` raises is told with the row."""

    @dataclass
    class Even:
        n: int

        def __post_init__(self):
            if self.n % 2:
                raise ValueError("it is odd")

    with pytest.raises(ConversionError, match="row 2 of 2 does not fit Even: it is odd"):
        into_rows(rows("n", (2,), (3,)), Even)
