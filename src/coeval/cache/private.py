"""Values that callers may share, and private copies of those that they may not.

A result that nobody can change is given to every caller as it is. Of any other the cache keeps a copy of its own, and each caller gets
one of that, so that what one does to a list or a dict is never seen by another.

Ring: policy.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import enum
import fractions
import inspect
import ipaddress
import uuid
from decimal import Decimal
from pathlib import PurePath
from sys import getsizeof
from types import FunctionType, ModuleType
from typing import Any

from ..rows import Row

#: Exact types whose values nobody can change.
_FIXED = frozenset(
    {
        type(None), bool, int, float, complex, str, bytes, Decimal, fractions.Fraction, uuid.UUID, dt.date, dt.time,
        dt.datetime, dt.timedelta, dt.timezone, range, type(Ellipsis), type(NotImplemented),
        ipaddress.IPv4Address, ipaddress.IPv6Address,
    }
)  # fmt: skip

#: How deep values may lie in one another, and how many of a large one are measured.
DEEPEST, SAMPLE = 20, 16


class Unkeepable(Exception):
    """A value that can be used once, or cannot be copied; the argument says why."""


class Private:
    """A value that callers may change: `copy` makes one for each."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        """Takes a copy. Raises Unkeepable."""
        self._value = _copied(value)

    def copy(self) -> Any:
        """One more."""
        return _copied(self._value)


def kept(value: Any) -> Any:
    """What the cache keeps for ``value``: itself, or a `Private` copy. Raises Unkeepable."""
    if fixed(value):
        return value
    if inspect.isgenerator(value) or inspect.isasyncgen(value) or inspect.isawaitable(value) or _iterator(value):
        raise Unkeepable(f"it returned a {type(value).__name__}, which can be read once; return a list")
    return Private(value)


def given(value: Any) -> Any:
    """What a caller gets of what the cache keeps."""
    return value.copy() if type(value) is Private else value


def fixed(value: Any, deep: int = DEEPEST) -> bool:
    """Whether nobody can change ``value``, or anything in it."""
    kind = type(value)
    if kind in _FIXED:
        return True
    if deep == 0:
        return False
    if isinstance(value, tuple) and (kind is tuple or isinstance(value, Row) or _bare(value)):
        return all(fixed(one, deep - 1) for one in value)
    if kind is frozenset:
        return all(fixed(one, deep - 1) for one in value)
    if isinstance(value, enum.Enum | PurePath):
        return True
    parameters = vars(kind).get("__dataclass_params__")  # its own: one that inherits them may have attributes besides
    if parameters is not None and parameters.frozen:
        return all(fixed(getattr(value, one.name), deep - 1) for one in dataclasses.fields(value))
    return False


def size(value: Any, deep: int = DEEPEST) -> int:
    """Bytes of ``value``, estimated: of many parts some are measured."""
    if type(value) is Private:
        value = value._value
    if isinstance(value, type | FunctionType | ModuleType):  # there without it
        return 0
    total = getsizeof(value)
    if deep == 0 or isinstance(value, str | bytes | int | float | None):
        return total
    if isinstance(value, dict):
        parts: Any = [one for pair in value.items() for one in pair]
    elif isinstance(value, tuple | list | set | frozenset):
        parts = value if isinstance(value, tuple | list) else list(value)
    else:
        parts = list(getattr(value, "__dict__", {}).values())
    count = len(parts)
    if count <= SAMPLE:
        return total + sum(size(one, deep - 1) for one in parts)
    step = count / SAMPLE
    return total + sum(size(parts[int(i * step)], deep - 1) for i in range(SAMPLE)) * count // SAMPLE


def _bare(value: Any) -> bool:
    """Whether it is a named tuple without a place for attributes, which anybody could change."""
    return hasattr(type(value), "_fields") and not hasattr(value, "__dict__")


def _iterator(value: Any) -> bool:
    return hasattr(value, "__next__") or hasattr(value, "__anext__")


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _FIXED:
        return value
    if kind is list:
        return [one if type(one) in _FIXED else _copied(one) for one in value]
    if kind is dict and all(type(name) in _FIXED for name in value):
        return {name: one if type(one) in _FIXED else _copied(one) for name, one in value.items()}
    if fixed(value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception as error:
        raise Unkeepable(f"a {kind.__name__} in it cannot be copied: {error}") from error
