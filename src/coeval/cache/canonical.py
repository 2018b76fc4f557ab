"""Canonical values: what stands for an argument in a key.

For each value two things that can be hashed, its shape and its contents, which are both equal for equal values of the same types alone. A
plain value has its type for a shape; any other has something that is no type. Only what is in the value counts, all the way down: an
object whose equality is that of a name or a number may have changed in what the answer depends on, so objects are not taken at their
word, and refused.

Ring: policy.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import fractions
import inspect
import ipaddress
import uuid
from collections import defaultdict
from collections.abc import Container
from decimal import Decimal
from functools import cached_property
from pathlib import PurePath
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

from .key import PLAIN

#: Values that are equal where their types and texts are.
_BY_TEXT = (
    Decimal,
    fractions.Fraction,
    complex,
    uuid.UUID,
    PurePath,
    dt.date,
    dt.time,
    dt.timedelta,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    range,
)

#: Plain types, to look at values of their subclasses as.
_BASES = (str, int, float, bytes)

#: Where classes are whose values are told by what is looked at here.
_MODULES = frozenset(
    {
        "builtins",
        "collections",
        "datetime",
        "decimal",
        "fractions",
        "ipaddress",
        "pathlib",
        "pathlib._local",
        "types",
        "uuid",
        "zoneinfo",
    }
)

#: How deep values may lie in one another.
DEEPEST = 20


class NotCanonical(Exception):
    """A value that cannot be part of a key; the argument says why."""


def canonical(value: Any, deep: int = DEEPEST) -> tuple[Any, Any]:
    """The shape and the contents of ``value``. Raises NotCanonical."""
    kind = type(value)
    if kind in PLAIN:
        odd = kind is float and (value == 0 or value != value)  # noqa: PLR0124 - NaN
        return ((kind,), repr(value)) if odd else (kind, value)
    if deep == 0:
        raise NotCanonical("lies too deep, or in itself")
    if isinstance(value, enum.Enum):
        return (kind,), (value.name, canonical(value.value, deep - 1) if isinstance(value, enum.Flag) else None)
    if isinstance(value, dt.tzinfo):
        return (kind,), _text(value)
    if kind.__module__ == "fastapi.params":
        raise NotCanonical("stands for what FastAPI would give: the function was called without it")
    if not dataclasses.is_dataclass(kind):
        _refuse_more(value)
    if isinstance(value, dt.datetime | dt.time) and value.tzinfo is not None:
        return (kind, "in a zone"), (repr(value.replace(tzinfo=None)), canonical(value.tzinfo, deep - 1))
    if isinstance(value, _BY_TEXT):
        return (kind,), _text(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}
        _refuse_more(value, fields)
        return (kind,), tuple((name, canonical(one, deep - 1)) for name, one in fields.items())
    if isinstance(value, tuple | list):
        base: Any = tuple if isinstance(value, tuple) else list
        return (kind,), tuple(canonical(one, deep - 1) for one in base.__iter__(value))
    if kind is bytearray:
        return (kind,), bytes(value)
    if kind is memoryview:
        return (kind, value.format, value.shape), value.tobytes()
    if isinstance(value, set | frozenset):
        base = set if isinstance(value, set) else frozenset
        return (kind,), frozenset(canonical(one, deep - 1) for one in base.__iter__(value))
    if isinstance(value, dict | MappingProxyType):  # in their order, which the function can see
        items = dict.items(value) if isinstance(value, dict) else value.items()
        more = canonical(value.default_factory, deep - 1) if isinstance(value, defaultdict) else None
        return (kind,), (more, tuple((canonical(k, deep - 1), canonical(v, deep - 1)) for k, v in items))
    if inspect.isfunction(value) and ("<" in value.__qualname__ or value.__closure__):
        raise NotCanonical("may be made anew for each call, and equals no other")
    if isinstance(value, type) or inspect.isfunction(value) or inspect.ismodule(value):
        return (kind, id(value)), value  # itself, which equals nothing else as long as the key has it
    for base in _BASES:
        if isinstance(value, base):
            return (kind,), canonical(_base(base, value))
    raise NotCanonical("is of a type that has no place in a key")


def _refuse_more(value: Any, known: Container[str] = ()) -> None:
    """Raise NotCanonical where one of a subclass has attributes beside what is ``known``, and beside what its base is equal by."""
    kind = type(value)
    if isinstance(value, type | FunctionType | ModuleType) or kind.__module__ in _MODULES:
        return
    for one in kind.__mro__:
        slots = vars(one).get("__slots__", ()) if one.__module__ not in _MODULES else ()
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in known and name not in ("__dict__", "__weakref__"):
                raise NotCanonical(f"has a place for {name!r} beside its value")
    for name in getattr(value, "__dict__", ()):
        if name not in known and not isinstance(inspect.getattr_static(kind, name, None), cached_property):
            raise NotCanonical(f"has an attribute {name!r} beside its value")


def _text(value: object) -> str:
    if type(value).__repr__ is object.__repr__:  # it tells an address, which another may have afterwards
        raise NotCanonical("does not say what it is (__repr__)")
    return repr(value)


def _base(base: Any, value: Any) -> Any:
    """The plain value under one of a subclass, whatever that makes of itself."""
    return base.__getitem__(value, slice(None)) if base in (str, bytes) else base.__pos__(value)
