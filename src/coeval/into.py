"""Rows as the reader's own types: what ``into=`` does.

A dataclass, ``msgspec.Struct``, attrs class, ``TypedDict``, ``NamedTuple`` or ``dict`` is filled by column names;
columns that it has no field for are left out (unless a Struct forbids unknown fields), and fields without a column
take their default. ``tuple[...]`` and ``list[...]`` are filled by position, and any other type (``int``, ``datetime``,
``date | None``) takes the one column of the row. msgspec does the work and checks every annotation:

    bool                  0 and 1 (no other number)
    int, float            numbers; text that is one; 3.0 is a whole number, 3.5 is not
    str                   text only
    bytes                 blobs only: text is not taken for base64
    datetime              ISO text with ' ' or 'T', naive where it has no offset; a bare date is its midnight;
                          a number is Unix seconds, in UTC
    date, time            ISO text
    Decimal               text with every digit; a REAL by its shortest digits (1.1, no binary noise); integers
    UUID                  text, or a blob of 16 bytes
    Enum, Literal         by value; the values are all str or all int
    X | None              NULL is None. The text ``null`` is taken for it too, except where X is str

Values that a declared column type has already made a datetime, date, time, Decimal or UUID fit fields of that type, and
``float`` takes a Decimal. What does not fit raises ``ConversionError``, and nothing is returned.

Every call makes new objects, so what one caller does to them no other sees.

Ring: policy.
"""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any, TypeVar

from .errors import ColumnError, ConversionError

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .rows import Row

__all__ = ["into_rows"]

T = TypeVar("T")

_Repair: typing.TypeAlias = "Callable[[Any], Any]"

_SHOWN_CHARACTERS = 60


def into_rows(rows: Sequence[Row], kind: type[T]) -> tuple[T, ...]:
    """The rows as objects of ``kind``, all or none.

    Raises ``ConversionError`` where ``kind`` is no type for rows, a field has neither column nor default, or a value
    does not fit; ``ColumnError`` where two columns have the name that a field asks for.
    """
    import msgspec

    if not rows:
        _described(kind)  # a kind that cannot work says so at the first call, not at the first row
        return ()
    plan = _plan(rows[0]._fields, kind)
    items = list(plan.items(rows))
    try:
        return typing.cast("tuple[T, ...]", msgspec.convert(items, plan.target, strict=False))
    except msgspec.ValidationError as error:
        raise _misfit(str(error), plan, rows, kind) from error


# How a row of these names becomes an object of this kind -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """Made once for each list of names and kind.

    ``keys`` are the names of the values in a mapping, ``picked`` the places of the values in an array (those beyond the
    row are ``constants``); both None: the only value.
    """

    target: Any
    keys: tuple[str, ...] | None = None
    picked: tuple[int, ...] | None = None
    constants: tuple[Any, ...] = ()
    repairs: tuple[tuple[int, _Repair], ...] = ()

    def items(self, rows: Sequence[Row]) -> Iterator[Any]:
        for row in rows:
            values = self._repaired(row) if self.repairs else row
            if self.keys is not None:
                yield dict(zip(self.keys, values, strict=True))
            elif self.picked is not None:
                source = (*values, *self.constants)
                yield [source[place] for place in self.picked]
            else:
                (value,) = values
                yield value

    def _repaired(self, row: Row) -> list[Any]:
        values = list(row)
        for place, repair in self.repairs:
            values[place] = repair(values[place])
        return values

    def column(self, path: str) -> int | None:
        """The place of the column that a path like ``.field`` or ``[2]`` in an error begins with."""
        if self.keys is not None:
            return next(
                (at for at, key in enumerate(self.keys) if re.match(rf"\.{re.escape(key)}(?![^.\[])", path)), None
            )
        if self.picked is None:
            return 0
        found = re.match(r"\[(\d+)\]", path)
        return self.picked[int(found[1])] if found else None


def _make_plan(names: tuple[str, ...], kind: Any) -> _Plan:
    from msgspec import inspect

    described = _described(kind)
    target = tuple[kind, ...]
    match described:
        case inspect.NamedTupleType() | inspect.StructType(array_like=True):
            return _plan_array(names, kind, described.fields, target)
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            return _plan_fields(names, kind, described.fields, target)
        case inspect.DictType():
            _refuse_doubtful(names, names, kind)
            return _Plan(target, keys=names, repairs=_repairs(enumerate([described.value_type] * len(names))))
        case inspect.TupleType():
            return _plan_positions(names, described.item_types, target)
        case inspect.VarTupleType() | inspect.ListType():
            return _plan_positions(names, [described.item_type] * len(names), target)
        case inspect.UnionType() if any(hasattr(member, "fields") for member in described.types):
            _refuse_doubtful(names, names, kind)
            return _Plan(target, keys=names)
    if len(names) != 1:
        raise ConversionError(
            f"{_name(kind)} takes rows of one column, and these have {len(names)}: {', '.join(names)}",
            hint="Select one column, or pass a dataclass, msgspec.Struct, TypedDict or NamedTuple.",
        )
    return _Plan(target, repairs=_repairs([(0, described)]))


_kept_plan = lru_cache(maxsize=512)(_make_plan)


def _plan(names: tuple[str, ...], kind: Any) -> _Plan:
    try:
        hash(kind)
    except TypeError:  # an Annotated with a dict inside
        return _make_plan(names, kind)
    return _kept_plan(names, kind)


def _plan_fields(names: tuple[str, ...], kind: Any, fields: Sequence[Any], target: Any) -> _Plan:
    keys = list(names)
    columns = []
    for field in fields:
        place = _place(names, field, kind)
        if place is not None:
            keys[place] = field.encode_name
            columns.append((place, field.type))
    return _Plan(target, keys=tuple(keys), repairs=_repairs(columns))


def _plan_positions(names: tuple[str, ...], members: Sequence[Any], target: Any) -> _Plan:
    repairs = _repairs(enumerate(members[: len(names)]))
    return _Plan(target, picked=tuple(range(len(names))), repairs=repairs)


def _plan_array(names: tuple[str, ...], kind: Any, fields: Sequence[Any], target: Any) -> _Plan:
    picked: list[int] = []
    constants: list[Any] = []
    columns = []
    places = [_place(names, field, kind) for field in fields]
    while places and places[-1] is None:  # the type fills the end by itself
        places.pop()
    for place, field in zip(places, fields, strict=False):
        if place is not None:
            picked.append(place)
            columns.append((place, field.type))
        elif callable(field.default_factory):
            raise _no_column(names, field, kind)
        else:
            picked.append(len(names) + len(constants))
            constants.append(field.default)
    return _Plan(target, picked=tuple(picked), constants=tuple(constants), repairs=_repairs(columns))


def _place(names: tuple[str, ...], field: Any, kind: Any) -> int | None:
    """The column of a field: the name it is encoded by, else its own; None where its default is to be taken."""
    for name in (field.encode_name, field.name):
        if name in names:
            _refuse_doubtful(names, (name,), kind)
            return names.index(name)
    if field.required:
        raise _no_column(names, field, kind)
    return None


def _described(kind: Any) -> Any:
    """What msgspec knows about the type."""
    from msgspec import inspect

    try:
        found = inspect.type_info(kind)
    except Exception as error:  # msgspec and the annotations it evaluates raise whatever they like
        raise ConversionError(
            f"rows cannot become {_name(kind)}: {error}",
            hint="Use a dataclass, msgspec.Struct, TypedDict or NamedTuple whose annotations msgspec supports.",
        ) from error
    if isinstance(found, inspect.CustomType) and kind is not object:
        raise ConversionError(
            f"rows cannot become {_name(kind)}: it declares no fields",
            hint="Make it a dataclass (@dataclass) or a msgspec.Struct.",
        )
    return found


# Values that msgspec would misread -----------------------------------------------------------------------------------


def _repairs(columns: Any) -> tuple[tuple[int, _Repair], ...]:
    """For ``(place, described type)`` pairs, what must be done to the values before msgspec sees them."""
    return tuple((place, repair) for place, described in columns if (repair := _repair(described)) is not None)


def _repair(described: Any) -> _Repair | None:
    members = getattr(described, "types", (described,))
    found = (_REPAIRS.get(type(member).__name__) for member in members)
    return next((repair for repair in found if repair is not None), None)


def _repair_datetime(value: Any) -> Any:
    """msgspec wants seconds; SQLite and people also write ``2024-01-31`` and ``2024-01-31 12:30``."""
    if type(value) is str:
        return _parsed(datetime.fromisoformat, value)
    return datetime.combine(value, time()) if type(value) is date else value


def _repair_time(value: Any) -> Any:
    return _parsed(time.fromisoformat, value) if type(value) is str else value


def _repair_bytes(value: Any) -> Any:
    """msgspec reads text as base64, which nobody has written into a SQLite file. It refuses types it does not know."""
    return _NOT_BYTES if type(value) is str else value


_NOT_BYTES = type("text", (), {})()


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return text  # msgspec says what is wrong with it, and where


_REPAIRS: dict[str, _Repair] = {
    "DateTimeType": _repair_datetime,
    "TimeType": _repair_time,
    "BytesType": _repair_bytes,
    "ByteArrayType": _repair_bytes,
    "MemoryViewType": _repair_bytes,
}


# Errors --------------------------------------------------------------------------------------------------------------


_WHERE = re.compile(r"(?P<reason>.*) - at `\$\[(?P<row>\d+)\](?P<path>.*)`", re.DOTALL)


def _misfit(message: str, plan: _Plan, rows: Sequence[Row], kind: Any) -> ConversionError:
    found = _WHERE.fullmatch(message)
    if found is None:
        return ConversionError(f"rows do not fit {_name(kind)}: {message}", hint=_hint(message, "column"))
    number = int(found["row"])
    row, reason = rows[number], found["reason"][:1].lower() + found["reason"][1:]
    at = plan.column(found["path"])
    if at is None or at >= len(row):
        return ConversionError(
            f"row {number + 1} of {len(rows)} does not fit {_name(kind)}: {reason}",
            hint=_hint(reason, "column"),
        )
    name, shown = row._fields[at], _shorten(row[at])
    return ConversionError(
        f"row {number + 1} of {len(rows)}: column {name!r} does not fit {_name(kind)}: {reason}; it is {shown}",
        hint=_hint(reason, name),
    )


def _hint(reason: str, name: str) -> str:
    if reason.endswith("got `null`"):
        return (
            f"Allow it in the annotation ({name}: ... | None), or write coalesce({name}, ...) AS {name} in the SELECT."
        )
    if "unknown field" in reason:
        return "Select only the columns that the type has fields for."
    return f"Change the annotation, or the value in the SELECT: CAST({name} AS ...) AS {name}."


def _no_column(names: tuple[str, ...], field: Any, kind: Any) -> ConversionError:
    return ConversionError(
        f"{_name(kind)} needs a column {field.encode_name!r}, and the rows have {', '.join(names)}",
        hint=f"Select it (... AS {field.encode_name}), or give the field a default.",
    )


def _refuse_doubtful(names: tuple[str, ...], wanted: Sequence[str], kind: Any) -> None:
    for name in wanted:
        if names.count(name) > 1:
            raise ColumnError(
                f"{_name(kind)} asks for a column {name!r}, and {names.count(name)} columns are named so",
                hint=f"Give each a name of its own in the SELECT, like t.{name} AS t_{name}.",
            )


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind).replace("typing.", "")


def _shorten(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
