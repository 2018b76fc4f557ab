"""Python's values to SQLite and back: adapters, converters, and the values of a statement's placeholders.

Ring: shell.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import apsw

from .deprecated import deprecated
from .errors import ProgrammingError
from .plan import Plan

Binary = memoryview
Date = dt.date
Time = dt.time
Timestamp = dt.datetime


class PrepareProtocol:
    """What ``__conform__`` is asked for when a value is to be bound."""


#: By type and protocol: what makes a value SQLite's.
adapters: dict[tuple[Any, Any], Callable[[Any], Any]] = {}
#: By the upper-case name of a declared type: what makes a value from the bytes that SQLite has.
converters: dict[str, Callable[[bytes], Any]] = {}

#: Types that are bound as they are. A type for which an adapter is registered leaves it.
_plain: set[type] = {int, float, str, bytes, bytearray, type(None), bool}
_MISSING: Any = object()


def DateFromTicks(ticks: float) -> dt.date:  # noqa: N802 - PEP 249's name
    """The local date of ``ticks`` seconds since 1970."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> dt.time:  # noqa: N802 - PEP 249's name
    """The local time of day of ``ticks`` seconds since 1970."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> dt.datetime:  # noqa: N802 - PEP 249's name
    """The local date and time of ``ticks`` seconds since 1970."""
    return Timestamp(*time.localtime(ticks)[:6])


def register_adapter(type: type, adapter: Callable[[Any], Any], /) -> None:
    """From now on bind values of exactly ``type`` as what ``adapter(value)`` returns, on every connection of this module."""
    _plain.discard(type)
    adapters[type, PrepareProtocol] = adapter


def register_converter(typename: str, converter: Callable[[bytes], Any], /) -> None:
    """From now on make values of columns of type ``typename`` by ``converter(bytes)``, where ``detect_types`` asks for it."""
    converters[typename.upper()] = converter


def adapt(obj: Any, proto: Any = PrepareProtocol, alt: Any = _MISSING, /) -> Any:
    """What stands for ``obj`` under ``proto``: by a registered adapter, ``__adapt__`` or ``__conform__``; else ``alt``.

    Raises ProgrammingError where nothing does and no ``alt`` is given.
    """
    adapter = adapters.get((type(obj), proto))
    if adapter is not None:
        return adapter(obj)
    for owner, method, argument in ((proto, "__adapt__", obj), (obj, "__conform__", proto)):
        call = getattr(owner, method, None)
        if call is not None:
            try:
                adapted = call(argument)
            except TypeError:
                continue
            if adapted is not None:
                return adapted
    if alt is not _MISSING:
        return alt
    raise ProgrammingError("can't adapt")


def bind(plan: Plan, parameters: Any) -> tuple[Any, ...]:
    """The values of a statement's placeholders, in order; raises ProgrammingError where they do not fit."""
    if isinstance(parameters, dict):
        values = _by_name(plan, parameters)
    elif isinstance(parameters, tuple | list) or hasattr(type(parameters), "__getitem__"):
        values = _by_position(plan, parameters)
    else:
        raise ProgrammingError("parameters are of unsupported type")
    for value in values:
        if type(value) not in _plain:
            # An adapter may change the list that the values are in, and then what is there is bound, or IndexError raised.
            given = parameters if type(parameters) is list else values
            return tuple([_bindable(plan, given[place], place, parameters) for place in range(plan.places)])
    return values


def _by_position(plan: Plan, parameters: Any) -> tuple[Any, ...]:
    count = len(parameters)
    if count != plan.places:
        raise ProgrammingError(
            f"Incorrect number of bindings supplied. The current statement uses {plan.places}, and there are {count} supplied."
        )
    if sys.version_info >= (3, 12) and plan.named:
        for number, name in enumerate(plan.names, 1):
            if name is not None and not name.isdigit():
                deprecated(
                    f"Binding {number} ('{_spelled(plan, name)}') is a named parameter, but you supplied a sequence "
                    "which requires nameless (qmark) placeholders. Starting with Python 3.14 an sqlite3.ProgrammingError "
                    "will be raised."
                )
    if type(parameters) in {tuple, list}:
        return tuple(parameters)
    return tuple(parameters[number] for number in range(count))


def _by_name(plan: Plan, parameters: dict[str, Any]) -> tuple[Any, ...]:
    values = []
    for number, name in enumerate(plan.names, 1):
        if name is None:
            raise ProgrammingError(
                f"Binding {number} has no name, but you supplied a dictionary (which has only names)."
            )
        try:
            values.append(parameters[name])
        except LookupError:
            raise ProgrammingError(f"You did not supply a value for binding parameter :{name}.") from None
    return tuple(values)


def _bindable(plan: Plan, value: Any, number: int, parameters: Any) -> Any:
    if type(value) not in _plain:
        value = adapt(value, PrepareProtocol, value)
    if value is None or isinstance(value, int | float | str | bytes | bytearray | memoryview):
        return value
    try:
        return contiguous(value)
    except TypeError:
        name = plan.names[number] if isinstance(parameters, dict) else None
        place = f"':{name}'" if name else str(number + 1)
        raise ProgrammingError(
            f"Error binding parameter {place}: type '{type(value).__name__}' is not supported"
        ) from None


def contiguous(data: Any) -> bytes:
    """The bytes of a bytes-like object; raises TypeError where it is none, BufferError where they do not lie in a row."""
    with memoryview(data) as view:
        if not view.c_contiguous:
            raise BufferError("underlying buffer is not C-contiguous")
        return view.tobytes()


def _spelled(plan: Plan, name: str) -> str:
    found = re.search(rf"[:@$]{re.escape(name)}", plan.text)
    return found[0] if found else f":{name}"


# ── Bytes as SQLite has them, for converters ─────────────────────────────────────────────────────────────────────────

_asking = threading.Lock()
_calculator = apsw.Connection(":memory:")


def as_bytes(value: Any) -> bytes:
    """A value of a column as the bytes of its text."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, float):
        with _asking:
            value = _calculator.execute("SELECT CAST(? AS TEXT)", (value,)).get
    return str(value).encode()


# ── Those that are registered from the start ─────────────────────────────────────────────────────────────────────────


def _deprecated(what: str) -> None:
    if sys.version_info >= (3, 12):
        deprecated(
            f"The default {what} is deprecated as of Python 3.12; see the sqlite3 documentation for suggested "
            "replacement recipes"
        )


def _adapt_date(value: dt.date) -> str:
    _deprecated("date adapter")
    return value.isoformat()


def _adapt_datetime(value: dt.datetime) -> str:
    _deprecated("datetime adapter")
    return value.isoformat(" ")


def _convert_date(value: bytes) -> dt.date:
    _deprecated("date converter")
    return dt.date(*map(int, value.split(b"-")))


def _convert_timestamp(value: bytes) -> dt.datetime:
    """Without a zone: what follows the time is passed over, as the standard module does."""
    _deprecated("timestamp converter")
    day, clock = value.split(b" ")
    seconds, _, fraction = clock.partition(b".")
    hour, minute, second = map(int, seconds.split(b":"))
    year, month, date = map(int, day.split(b"-"))
    return dt.datetime(year, month, date, hour, minute, second, int(f"{fraction.decode():0<6.6}"))  # noqa: DTZ001


register_adapter(dt.date, _adapt_date)
register_adapter(dt.datetime, _adapt_datetime)
register_converter("date", _convert_date)
register_converter("timestamp", _convert_timestamp)
