"""What goes into SQLite and what comes out again by declared type, with the real SQLite in the round trips."""

# ruff: noqa: DTZ001 - naive datetimes are what most SQLite files hold

import enum
import math
import random
import uuid
from collections import OrderedDict, UserDict, UserList
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from uuid import UUID
from zoneinfo import ZoneInfo

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.errors import ConversionError, ParameterError
from coeval.values import adapt, adapt_parameters, convert_rows, converters

ID = UUID("12345678-1234-5678-1234-567812345678")


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "another"


class Whole(int):
    pass


class Real(float):
    pass


class Blob(bytes):
    pass


class Colour(enum.Enum):
    RED = "red"
    BORN = date(2024, 1, 31)
    PAIR = (1, 2)
    WEIRD = math.nan


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    YES = "yes"


class Bits(enum.Flag):
    A = 1
    B = 2


class NoMoment(datetime):
    """Like pandas.NaT, which is a datetime that equals nothing."""

    __hash__ = datetime.__hash__

    def __ne__(self, other):
        return True


class Unreadable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (None, None),
        (1, 1),
        (1.5, 1.5),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        ("häß\0lich", "häß\0lich"),
        (b"\0", b"\0"),
        (1, True),
        (0, False),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (b"ab", bytearray(b"ab")),
        (b"ab", memoryview(b"ab")),
        (b"ac", memoryview(b"abc")[::2]),
        ("plain", Text("plain")),
        (7, Whole(7)),
        (1.5, Real(1.5)),
        (b"ab", Blob(b"ab")),
        ("red", Colour.RED),
        ("2024-01-31", Colour.BORN),
        (3, Level.HIGH),
        ("yes", Word.YES),
        (3, Bits.A | Bits.B),
        ("2024-01-31 12:30:00", datetime(2024, 1, 31, 12, 30)),
        ("2024-01-31 12:30:00.000001", datetime(2024, 1, 31, 12, 30, 0, 1)),
        ("2024-01-31 12:30:00+01:00", datetime(2024, 1, 31, 12, 30, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("2024-01-31", date(2024, 1, 31)),
        ("12:30:00", time(12, 30)),
        ("1.50", Decimal("1.50")),
        ("1E+3", Decimal("1E+3")),
        ("12345678-1234-5678-1234-567812345678", ID),
    ],
)
def test_a_value_goes_in_as(expected, value):
    """Each kind of value has one stored form, of exactly the type that SQLite knows."""
    stored = adapt(value)
    assert (type(expected), expected) == (type(stored), stored)


REFUSED = [
    ("an int of 64 bits", "float(value)", 2**63),
    ("an int of 64 bits", "TEXT column", -(2**63) - 1),
    ("an int of 71 bits", "float(value)", Whole(2**70)),
    ("NaN", "None", math.nan),
    ("NaN", "None", Real("nan")),
    ("lone surrogate", "surrogateescape", "a\ud800"),
    ("lone surrogate", "surrogateescape", Text("a\ud800")),
    ("Decimal('NaN')", "None", Decimal("NaN")),
    ("Decimal('sNaN')", "None", Decimal("sNaN")),
    ("Decimal('-Infinity')", 'float("inf")', Decimal("-Infinity")),
    ("NoMoment that is no moment", "None", NoMoment(2024, 1, 1)),
    ("(Colour.PAIR) is a tuple", "json.dumps", Colour.PAIR),
    ("(Colour.WEIRD) is a float that is NaN", "None", Colour.WEIRD),
    ("a list", "one ? for each", [1, 2]),
    ("a tuple", "one ? for each", (1, 2)),
    ("a set", "one ? for each", {1}),
    ("a dict", "json.dumps", {"a": 1}),
    ("a datetime.timedelta", "total_seconds", timedelta(1)),
    ("a fractions.Fraction", "Pass", Fraction(1, 3)),
    ("a complex", "Pass None", 1j),
    ("an object", "Pass None", object()),
    ("Unreadable", "Pass None", Unreadable()),
]


@pytest.mark.parametrize(("message", "hint", "value"), REFUSED)
def test_what_sqlite_cannot_hold_is_refused(message, hint, value):
    """The error names the place or the name of the parameter, its type, and the cure."""
    with pytest.raises(ParameterError) as by_place:
        adapt_parameters((1, value))
    assert by_place.value.message.startswith("parameter 2 ")
    with pytest.raises(ParameterError) as by_name:
        adapt_parameters({"one": 1, "region": value})
    assert by_name.value.message.startswith("parameter :region ")
    for caught in (by_place, by_name):
        assert message in caught.value.message
        assert hint in caught.value.hint


def test_a_long_value_is_shown_shortened():
    """An error never carries a megabyte of somebody's data."""
    with pytest.raises(ParameterError) as caught:
        adapt([0] * 1_000_000)
    assert len(str(caught.value)) < 300


def test_plain_parameters_pass_as_they_are():
    """A tuple of plain values is not even copied, and True stays a value of its own."""
    plain = (None, 1, 1.5, "ä", b"b", True)
    assert plain is adapt_parameters(plain)
    assert True is adapt_parameters((True,))[0]
    assert True is adapt_parameters((True, ID))[0]


@pytest.mark.parametrize(
    ("expected", "params"),
    [
        ((1, "red"), (1, Colour.RED)),
        ((1, 2), [1, 2]),
        ((1, "red"), [1, Colour.RED]),
        ((1, "red"), UserList([1, Colour.RED])),
        ((0, 1), range(2)),
        ((), ()),
        ({"a": 1}, {"a": 1}),
        ({"a": "red"}, {"a": Colour.RED}),
        ({"a": "red"}, OrderedDict(a=Colour.RED)),
        ({"a": "red"}, UserDict(a=Colour.RED)),
        ({"a": 1}, MappingProxyType({"a": 1})),
    ],
)
def test_parameters_come_in_any_list_or_mapping(expected, params):
    """What SQLite gets is an exact tuple or an exact dict."""
    adapted = adapt_parameters(params)
    assert (type(expected), expected) == (type(adapted), adapted)


@pytest.mark.parametrize("params", [[1, 2], {"a": 1}, [Colour.RED], {"a": Colour.RED}])
def test_the_callers_parameters_are_not_kept(params):
    """What the caller does to the list or dict afterwards changes nothing, and it is not written into."""
    before = params.copy()
    adapted = adapt_parameters(params)
    kept = adapted if isinstance(adapted, tuple) else dict(adapted)
    assert before == params
    params.clear()
    assert kept == adapted


def test_a_buffer_is_copied():
    """What the caller does to a bytearray afterwards changes nothing."""
    buffer = bytearray(b"ab")
    (stored,) = adapt_parameters((buffer,))
    buffer[0] = 0
    assert b"ab" == stored


@pytest.mark.parametrize("params", ["abc", b"abc", {1, 2}, 5, None, iter([1])])
def test_parameters_that_are_no_list_are_refused(params):
    """Text is not taken for a list of letters, nor anything else for what it is not."""
    with pytest.raises(ParameterError, match="parameters come as a tuple, a list or a dict"):
        adapt_parameters(params)


def test_names_of_parameters_are_text():
    """A dict that counts its parameters is told how to write it."""
    with pytest.raises(ParameterError, match="1 is an int") as caught:
        adapt_parameters({1: "a"})  # type: ignore[dict-item]
    assert "?1" in caught.value.hint


# Out, by declared type


def convert(declared, *values):
    found = converters([declared])
    rows = [(value,) for value in values]
    return [value for (value,) in convert_rows(rows, found, ["c"])] if found else list(values)


@pytest.mark.parametrize(
    ("expected", "declared", "value"),
    [
        (datetime(2024, 1, 31, 12, 30), "DATETIME", "2024-01-31 12:30:00"),
        (datetime(2024, 1, 31, 12, 30), "datetime", "2024-01-31T12:30"),
        (datetime(2024, 1, 31), "TIMESTAMP", "2024-01-31"),
        (datetime(2024, 1, 31, 12, tzinfo=UTC), "TIMESTAMP WITH TIME ZONE", "2024-01-31T12:00:00Z"),
        (datetime(2024, 1, 31, 12, 0, 0, 500000), "Timestamp(3)", "2024-01-31 12:00:00.500"),
        (1700000000, "DATETIME", 1700000000),
        (2460340.5, "DATETIME", 2460340.5),
        (b"2024", "DATETIME", b"2024"),
        (None, "DATETIME", None),
        (date(2024, 1, 31), "DATE", "2024-01-31"),
        (20240131, "DATE", 20240131),
        (time(12, 30), "TIME", "12:30:00"),
        (Decimal("1.50"), "DECIMAL", "1.50"),
        (Decimal("1.1"), "DECIMAL(10, 2)", 1.1),
        (Decimal(3), " decimal (10,2)", 3),
        (b"1.5", "DECIMAL", b"1.5"),
        (None, "DECIMAL", None),
        (ID, "UUID", str(ID)),
        (ID, "UUID", ID.hex),
        (ID, "uuid", ID.bytes),
        (b"short", "UUID", b"short"),
        (5, "UUID", 5),
        ("2024-01-31", "TEXT", "2024-01-31"),
        (1.5, "NUMERIC(10,2)", 1.5),
        (1, "BOOLEAN", 1),
        ("2024-01-31", "", "2024-01-31"),
        ("2024-01-31", "(5)", "2024-01-31"),
        ("2024-01-31", None, "2024-01-31"),
        ("2024-01-31", "DATED", "2024-01-31"),
    ],
)
def test_a_declared_type_decides_what_comes_out(expected, declared, value):
    """Text of the right form becomes the Python type, and every other storage class passes unchanged."""
    (out,) = convert(declared, value)
    assert (type(expected), expected) == (type(out), out)


def test_nothing_to_convert_is_said_at_once():
    """Most results have no such column, and pay nothing; the answer is made once."""
    assert converters(["TEXT", None, "INTEGER"]) is None
    assert converters([]) is None
    assert converters(["TEXT", "DATE"]) is converters(("TEXT", "DATE"))
    assert [True, False] == [c is None for c in converters(["TEXT", "DATE"]) or ()]


@pytest.mark.parametrize(
    ("declared", "value"),
    [("DATETIME", "soon"), ("DATE", "2024-02-30"), ("TIME", "25:00"), ("DECIMAL", "abc"), ("UUID", "12"), ("DATE", "")],
)
def test_text_that_does_not_parse_raises(declared, value):
    """The error names the row, the column, the value and three ways out."""
    rows = convert_rows([(1, None), (2, value)], converters(["INTEGER", declared]) or (), ["id", "made"])
    assert (1, None) == next(rows)
    with pytest.raises(ConversionError) as caught:
        next(rows)
    assert "row 2: column 'made'" in caught.value.message
    assert repr(value) in caught.value.message
    assert "CAST(made AS TEXT)" in caught.value.hint
    assert "convert=False" in caught.value.hint


def test_a_long_text_that_does_not_parse_is_shortened():
    """The error shows the beginning of a megabyte."""
    with pytest.raises(ConversionError) as caught:
        convert("DATE", "x" * 1_000_000)
    assert len(str(caught.value)) < 400


def test_rows_are_converted_one_by_one():
    """A stream stays a stream: nothing is read ahead."""
    source = iter([("2024-01-31",), ("2024-02-01",)])
    assert (date(2024, 1, 31),) == next(convert_rows(source, converters(["DATE"]) or (), ["day"]))
    assert [("2024-02-01",)] == list(source)


# There and back, through SQLite


def there_and_back(declared, value):
    db = apsw.Connection(":memory:")
    try:
        db.execute(f"CREATE TABLE t (c {declared})")
        db.execute("INSERT INTO t VALUES (?)", adapt_parameters((value,)))
        cursor = db.execute("SELECT c FROM t")
        found = converters([kind for _, kind in cursor.get_description()])
        rows = list(cursor)
        ((out,),) = convert_rows(rows, found, ["c"]) if found else rows
        return out
    finally:
        db.close()


# Offsets as SQLite's users have them: whole minutes. isoformat() and fromisoformat() carry seconds too.
offsets = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.none() | offsets))
def test_datetimes_come_back(value):
    """Microseconds and offset included, naive as naive."""
    out = there_and_back("DATETIME", value)
    assert (value, value.utcoffset()) == (out, out.utcoffset())


@given(st.dates())
def test_dates_come_back(value):
    """From year 1 to year 9999."""
    assert value == there_and_back("DATE", value)


@given(st.times(timezones=st.none() | offsets))
def test_times_come_back(value):
    """Microseconds and offset included."""
    assert value.isoformat() == there_and_back("TIME", value).isoformat()


@given(st.uuids())
def test_uuids_come_back(value):
    """Never mistaken for a number, whatever the digits."""
    assert value == there_and_back("UUID", value)


@pytest.mark.parametrize("value", [UUID(int=0), UUID(int=5), UUID("12345678123456781234567812345678"), UUID("1" * 32)])
def test_uuids_of_digits_come_back(value):
    """The dashes keep SQLite from reading a number."""
    assert value == there_and_back("UUID", value)


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: len(d.as_tuple().digits) <= 15))
def test_decimals_of_15_digits_come_back_equal(value):
    """In a DECIMAL column, where the exponent is within a float's, the number survives, though not its zeros."""
    if -290 < value.adjusted() < 290:
        assert value == there_and_back("DECIMAL(15, 5)", value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_decimals_of_64_bits_come_back_equal(value):
    """SQLite turns them into integers, which lose nothing."""
    assert Decimal(value) == there_and_back("DECIMAL", Decimal(value))


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_in_text_columns_keep_every_digit(value):
    """A TEXT column holds what str() gave, zeros and all."""
    assert str(value) == there_and_back("TEXT", value)


def test_what_a_decimal_column_does_to_decimals():
    """As the module's docstring says: zeros go, and digits beyond 15 are rounded."""
    assert "1.5" == str(there_and_back("DECIMAL", Decimal("1.50")))
    assert "0" == str(there_and_back("DECIMAL", Decimal("0.00")))
    assert "12345678901234568" == str(there_and_back("DECIMAL", Decimal("12345678901234567.89")))


@given(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
)
def test_plain_values_come_back(value):
    """In a column without a type they are exactly what went in, text with NUL characters too."""
    assert value == there_and_back("", value)


@given(st.sampled_from(list(Colour)[:2]) | st.sampled_from(list(Level)) | st.sampled_from(list(Word)))
def test_enums_come_back_by_value(value):
    """What is stored finds the member again."""
    stored = there_and_back("", value)
    assert value is type(value)(date.fromisoformat(stored) if value is Colour.BORN else stored)


@given(st.lists(st.none() | st.integers() | st.floats() | st.text(st.characters()) | st.decimals() | st.uuids()))
def test_parameters_are_held_or_refused(values):
    """Whatever is not refused goes into SQLite, which gives back what was adapted."""
    try:
        adapted = adapt_parameters(values)
    except ParameterError:
        return
    if adapted:
        db = apsw.Connection(":memory:")
        marks = ", ".join("?" * len(adapted))
        assert adapted == db.execute(f"SELECT {marks}", adapted).fetchone()
        db.close()


def test_random_blobs_in_uuid_columns_come_back():
    """A UUID stored as its 16 bytes by another program is read as well."""
    for _ in range(100):
        value = UUID(bytes=random.randbytes(16))
        assert value == there_and_back("UUID", value.bytes)
    assert uuid.UUID is UUID
