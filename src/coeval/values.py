"""How Python values become SQLite values, and how declared column types become Python values again.

**In** (``adapt``): None, int, float, str and bytes go in as they are. Others are stored as:

    bool                      0 or 1
    datetime                  text, ``2024-01-31 12:30:00.000001+01:00``: fraction and offset only where there are any
    date, time                text, ``2024-01-31`` and ``12:30:00``
    Decimal                   text, ``1.50``
    UUID                      text, ``12345678-1234-5678-1234-567812345678``
    Enum                      its value, by these same rules
    bytearray, memoryview     a copy, as bytes
    subclasses of str, int, float and bytes    the plain value

Refused, because SQLite would change them without a word or cannot hold them: NaN (it would become NULL), integers of
more than 64 bits, text with a lone surrogate, Decimal NaN and Decimal infinities (as text they would sort above every
number and count as 0 in a sum; a float infinity is a number to SQLite and is fine), and everything else.

**Out** (``converters``): the first word of a column's declared type decides; case and ``(10, 2)`` do not matter.

    DATETIME, TIMESTAMP       text → datetime; a bare date is its midnight
    DATE, TIME                text → date, time
    DECIMAL                   text and numbers → Decimal
    UUID                      text and blobs of 16 bytes → UUID

Anything else in such a column passes unchanged: NULL is None, and the number of a Unix time stays a number. NUMERIC and
BOOLEAN are left alone. Text that does not parse raises ``ConversionError``. An expression has no declared type.

**Decimals.** A DECIMAL column has NUMERIC affinity: SQLite turns the text into a 64-bit integer where it can, else into
a float. So ``1.50`` comes back as ``Decimal("1.5")``, and ``0.00`` as ``Decimal("0")``: equal numbers without the
zeros. Up to 15 significant digits, and integers up to 64 bits, survive exactly; beyond that the digits are rounded
(``12345678901234567.89`` comes back as ``12345678901234568``). To keep every digit, declare the column TEXT (a STRICT
table has no DECIMAL anyway) and read it with ``into=`` a type that has a ``Decimal`` field. A Decimal parameter is
text: compared with a column it becomes a number, compared with an expression (``price * 2 > ?``) it does not, so write
``CAST(? AS REAL)`` there.

UUID, DATE, TIME, DATETIME and TIMESTAMP columns have that affinity too, which is why the forms above, never mistaken
for a number, are the ones that are written. Hex digits without dashes in a UUID column can turn into a number.

Ring: policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

from .errors import ConversionError, ParameterError

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Converter", "SQLiteValue", "adapt", "adapt_parameters", "convert_rows", "converters"]

SQLiteValue = None | int | float | str | bytes
"""What SQLite holds."""

Converter = Callable[[Any], Any]
"""Gives the Python value of a stored one; raises ValueError (decimal: ArithmeticError) where it does not parse."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_SHOWN_CHARACTERS = 60


# In ------------------------------------------------------------------------------------------------------------------


@overload
def adapt_parameters(params: Mapping[str, Any]) -> dict[str, SQLiteValue]: ...
@overload
def adapt_parameters(params: Sequence[Any]) -> tuple[SQLiteValue, ...]: ...
@overload
def adapt_parameters(
    params: Sequence[Any] | Mapping[str, Any],
) -> tuple[SQLiteValue, ...] | dict[str, SQLiteValue]: ...
def adapt_parameters(params: Sequence[Any] | Mapping[str, Any]) -> tuple[SQLiteValue, ...] | dict[str, SQLiteValue]:
    """The parameters of one statement, ready for SQLite, in an object that the caller cannot change any more.

    A tuple of plain values is returned as it is; ``True`` among them stays ``True``, which SQLite takes as 1. Raises
    ``ParameterError`` that names the parameter.
    """
    if type(params) is tuple:
        return params if all_plain(params) else _adapt_positions(params)
    if isinstance(params, Mapping):
        return _adapt_names(dict(params))
    if _is_list(params):
        values = tuple(params)
        return values if all_plain(values) else _adapt_positions(values)
    raise ParameterError(
        f"parameters come as a tuple, a list or a dict, and this is {_a(type(params))}",
        hint="One parameter alone is written as a tuple with a comma: (value,).",
    )


#: What SQLite takes as it is, whatever the value; too large integers and text that is no Unicode it refuses by itself.
SIMPLE = frozenset({int, str, bytes, bool, type(None)})


def _is_list(params: object) -> bool:
    """Text and bytes are sequences of their pieces, which nobody means."""
    return isinstance(params, Sequence) and not isinstance(params, (str, bytes, bytearray, memoryview))


def adapt(value: object, where: str = "a parameter") -> SQLiteValue:
    """What SQLite stores for ``value``; ``where`` names the parameter in errors (``ParameterError``)."""
    kind = type(value)
    if kind is bool:
        return 1 if value else 0
    if all_plain((value,)):
        return value  # type: ignore[return-value]
    return _adapt_other(value, where)


def all_plain(values: Iterable[Any]) -> bool:
    """Whether SQLite can take all of these as they are. This runs for every statement: it is one loop, no calls."""
    for value in values:
        kind = type(value)
        if kind is str:
            if not value.isascii() and not _is_unicode(value):
                return False
        elif kind is int:
            if not _SMALLEST <= value <= _LARGEST:
                return False
        elif kind is float:
            if value != value:  # noqa: PLR0124 - NaN and nothing else
                return False
        elif value is not None and kind is not bytes and kind is not bool:
            return False
    return True


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _adapt_positions(values: tuple[Any, ...]) -> tuple[SQLiteValue, ...]:
    return tuple(
        value if type(value) is bool else adapt(value, f"parameter {place}") for place, value in enumerate(values, 1)
    )


def _adapt_names(values: dict[Any, Any]) -> dict[str, SQLiteValue]:
    for name in values:
        if not isinstance(name, str):
            raise ParameterError(
                f"the names of parameters are text, and {_shorten(name)} is {_a(type(name))}",
                hint='Write {"name": value} for :name, or pass a tuple for ? and ?1.',
            )
    if all_plain(values.values()):
        return values
    return {
        name: value if type(value) is bool else adapt(value, f"parameter :{name}") for name, value in values.items()
    }


def _adapt_other(value: Any, where: str) -> SQLiteValue:
    """Everything that is not plain, or plain and refused. Enum is first: its members can be str or int as well."""
    from decimal import Decimal  # not for everybody who imports this
    from uuid import UUID

    if isinstance(value, Enum):
        return adapt(value.value, f"{where} ({type(value).__name__}.{value.name})")
    if isinstance(value, str):
        return _adapt_text(str.__str__(value), where)
    if isinstance(value, int):
        return _adapt_integer(int.__int__(value), where)
    if isinstance(value, float):
        return _adapt_float(float.__float__(value), where)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(memoryview(value))
    if isinstance(value, (datetime, date, time)):
        return _adapt_moment(value, where)
    if isinstance(value, Decimal):
        return _adapt_decimal(value, where)
    if isinstance(value, UUID):
        return str(value)
    raise ParameterError(
        f"{where} is {_a(type(value))}, which SQLite cannot hold: {_shorten(value)}", hint=_cure(value)
    )


def _adapt_text(text: str, where: str) -> str:
    if not _is_unicode(text):
        raise ParameterError(
            f"{where} is a str with a lone surrogate, which no UTF-8 text can hold: {_shorten(text)}",
            hint='Store the bytes, value.encode(errors="surrogateescape"), or replace it with errors="replace".',
        )
    return text


def _adapt_integer(number: int, where: str) -> int:
    if not _SMALLEST <= number <= _LARGEST:
        raise ParameterError(
            f"{where} is an int of {number.bit_length()} bits, and SQLite holds 64 with the sign",
            hint="Store it as text, str(value), in a TEXT column, or as float(value) if it may be rounded.",
        )
    return number


def _adapt_float(number: float, where: str) -> float:
    if math.isnan(number):
        raise ParameterError(
            f"{where} is a float that is NaN, and SQLite would store NULL", hint="Pass None where NULL is meant."
        )
    return number


def _adapt_moment(value: datetime | date | time, where: str) -> str:
    if value != value:  # noqa: PLR0124 - pandas.NaT calls itself a datetime
        raise ParameterError(
            f"{where} is {_a(type(value))} that is no moment: {_shorten(value)}",
            hint="Pass None where NULL is meant.",
        )
    return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()


def _adapt_decimal(number: Decimal, where: str) -> str:
    if not number.is_finite():
        raise ParameterError(
            f"{where} is Decimal({str(number)!r}); as text it would sort above every number and add up as 0",
            hint='Pass None for "not known", or float("inf"), which SQLite holds as a number.',
        )
    return str(number)


def _cure(value: object) -> str:
    if isinstance(value, (list, tuple, set, frozenset)):
        return (
            "Values are given one by one: query(sql, 1, 2), not query(sql, (1, 2)). For IN (...), write one ? for each; "
            "to store a list, pass json.dumps(list(value))."
        )
    if isinstance(value, dict):
        return "Store it as JSON text: json.dumps(value). A dict of named parameters comes alone, after the SQL."
    if type(value).__name__ == "timedelta":
        return "Store value.total_seconds()."
    if hasattr(value, "__index__"):
        return "Pass int(value)."
    if hasattr(value, "__float__"):
        return "Pass float(value), or str(value) to keep every digit."
    return "Pass None, int, float, str, bytes, datetime, date, time, Decimal, UUID or an Enum of these."


# Out -----------------------------------------------------------------------------------------------------------------


def converters(declared: Sequence[str | None]) -> tuple[Converter | None, ...] | None:
    """What to do with each column of these declared types, or None when nothing is to be done."""
    return _converters(tuple(declared))


@lru_cache(maxsize=1024)
def _converters(declared: tuple[str | None, ...]) -> tuple[Converter | None, ...] | None:
    found = tuple(_BY_TYPE.get(_first_word(kind)) if kind else None for kind in declared)
    return found if any(found) else None


def _first_word(declared: str) -> str:
    words = declared.partition("(")[0].split()
    return words[0].upper() if words else ""


def convert_rows(
    rows: Iterable[tuple[Any, ...]], converters: Sequence[Converter | None], names: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """The rows with every column converted, one by one; ``names`` are for the ``ConversionError``."""
    pairs = [(place, convert) for place, convert in enumerate(converters) if convert is not None]
    for number, row in enumerate(rows, 1):
        values = list(row)
        for place, convert in pairs:
            try:
                values[place] = convert(values[place])
            except (ValueError, ArithmeticError) as error:
                raise _misfit(number, names[place], _WANTED[convert], values[place]) from error
        yield tuple(values)


def _misfit(number: int, name: str, wanted: str, value: object) -> ConversionError:
    return ConversionError(
        f"row {number}: column {name!r} is declared to hold a {wanted}, and this text is none: {_shorten(value)}",
        hint=f"Correct the value, read it as it is with CAST({name} AS TEXT), or open the database with convert=False.",
    )


def _to_datetime(value: Any) -> Any:
    return datetime.fromisoformat(value) if type(value) is str else value


def _to_date(value: Any) -> Any:
    return date.fromisoformat(value) if type(value) is str else value


def _to_time(value: Any) -> Any:
    return time.fromisoformat(value) if type(value) is str else value


def _to_decimal(value: Any) -> Any:
    """A float is taken by its shortest digits: the REAL 1.1 is ``Decimal("1.1")``, without binary noise."""
    from decimal import Decimal  # not for everybody who imports this

    if type(value) is float:
        return Decimal(repr(value))
    return Decimal(value) if type(value) is str or type(value) is int else value


def _to_uuid(value: Any) -> Any:
    from uuid import UUID  # not for everybody who imports this

    if type(value) is str:
        return UUID(value)
    return UUID(bytes=value) if type(value) is bytes and len(value) == 16 else value


_BY_TYPE: dict[str, Converter] = {
    "DATETIME": _to_datetime,
    "TIMESTAMP": _to_datetime,
    "DATE": _to_date,
    "TIME": _to_time,
    "DECIMAL": _to_decimal,
    "UUID": _to_uuid,
}

_WANTED: dict[Converter, str] = {
    _to_datetime: "date and time (ISO 8601)",
    _to_date: "date (YYYY-MM-DD)",
    _to_time: "time (HH:MM:SS)",
    _to_decimal: "decimal number",
    _to_uuid: "UUID",
}


# Words ---------------------------------------------------------------------------------------------------------------


def _a(kind: type[Any]) -> str:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _shorten(value: object) -> str:
    try:
        text = ascii(value)
    except Exception:  # somebody's own __repr__ must not hide the error that we are about to raise
        return "(it has no readable form)"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
