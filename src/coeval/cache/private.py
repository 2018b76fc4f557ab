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
from functools import cached_property
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

#: Those of them that have nothing inside.
_FLAT = frozenset({type(None), bool, int, float, str, bytes})

#: How deep values may lie in one another, and how many of a large one are measured.
DEEPEST, SAMPLE = 20, 16

#: Bytes of what does not say how large it is.
UNKNOWN = 1024


class Unkeepable(Exception):
    """A value that can be used once, or cannot be copied; the argument says why."""


class Private:
    """A value that callers may change: `copy` makes one for each."""

    __slots__ = ("_copied", "_value")

    def __init__(self, value: Any) -> None:
        """Takes a copy. Raises Unkeepable."""
        #: what has one thing in two places, or other things than lists and dicts to change, is copied as a whole
        self._copied = _branches if _tree(value, set()) else _deep
        self._value = self._copied(value)

    def copy(self) -> Any:
        """One more. Raises Unkeepable."""
        return self._copied(self._value)


def kept(value: Any) -> Any:
    """What the cache keeps for ``value``: itself, or a `Private` copy. Raises Unkeepable."""
    try:
        shared = fixed(value)
    except Exception as error:  # its class is odd
        raise Unkeepable(f"a {type(value).__name__} in it cannot be looked at: {error}") from error
    if shared:
        return value
    if why := unawaited(value):
        raise Unkeepable(why)
    if inspect.isgenerator(value) or inspect.isasyncgen(value) or inspect.isawaitable(value) or _iterator(value):
        raise Unkeepable(f"it returned a {type(value).__name__}, which can be read once; return a list")
    return Private(value)


def unawaited(value: Any) -> str:
    """Why ``value`` is no answer but what is to be awaited for one; "" where it is not."""
    if not inspect.iscoroutine(value):
        return ""
    return "it returned a coroutine, which was not awaited; await it in there, or cache the `async def` function itself"


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
        return not hasattr(value, "__dict__") and all(fixed(one, deep - 1) for one in value)
    if kind is frozenset:
        return all(fixed(one, deep - 1) for one in value)
    if isinstance(value, enum.Enum | PurePath):
        return True
    parameters = vars(kind).get("__dataclass_params__")  # its own: one that inherits them may have attributes besides
    if parameters is not None and parameters.frozen and not _remembers(kind):
        fields = {one.name for one in dataclasses.fields(value)}
        if fields.issuperset(getattr(value, "__dict__", ())):
            return all(hasattr(value, one) and fixed(getattr(value, one), deep - 1) for one in fields)
    return False


def size(value: Any, deep: int = DEEPEST) -> int:
    """Bytes of ``value``, estimated: of many parts some are measured."""
    kind = type(value)
    if kind in _FLAT:
        return getsizeof(value)
    if kind is Private:
        value = value._value
    if isinstance(value, type | FunctionType | ModuleType):  # there without it
        return 0
    try:
        total, inside = getsizeof(value), getattr(value, "__dict__", {})
    except Exception:  # its class is odd
        return UNKNOWN
    if deep == 0 or isinstance(value, str | bytes | int | float | None):
        return total
    if isinstance(value, dict):
        parts: Any = [one for pair in value.items() for one in pair]
    elif isinstance(value, tuple | list | set | frozenset):
        parts = value if isinstance(value, tuple | list) else list(value)
    else:
        parts = list(inside.values())
    count = len(parts)
    if count <= SAMPLE:
        return total + sum(size(one, deep - 1) for one in parts)
    step = count / SAMPLE
    return total + sum(size(parts[int(i * step)], deep - 1) for i in range(SAMPLE)) * count // SAMPLE


def _bare(value: Any) -> bool:
    """Whether it is a named tuple without a place for attributes, which anybody could change."""
    return hasattr(type(value), "_fields") and not hasattr(value, "__dict__")


def _remembers(kind: type) -> bool:
    """Whether its values may keep more than they were made with: a list that a property has made, say."""
    return any(isinstance(one, cached_property) for base in kind.__mro__ for one in vars(base).values())


def _iterator(value: Any) -> bool:
    return hasattr(value, "__next__") or hasattr(value, "__anext__")


def _tree(value: Any, seen: set[int], deep: int = DEEPEST) -> bool:
    """Whether ``value`` is lists and dicts of what nobody can change, none of them in two places, or in itself."""
    kind = type(value)
    if kind in _FIXED:
        return True
    if kind is not list and kind is not dict:
        return fixed(value, deep)
    if deep == 0 or id(value) in seen:
        return False
    seen.add(id(value))
    if kind is dict:
        return all(type(name) in _FIXED for name in value) and all(_tree(one, seen, deep - 1) for one in value.values())
    return all(_tree(one, seen, deep - 1) for one in value)


def _branches(value: Any) -> Any:
    """A copy of what is a `_tree`."""
    kind = type(value)
    if kind is list:
        return [one if type(one) in _FIXED else _branches(one) for one in value]
    if kind is dict:
        return {name: one if type(one) in _FIXED else _branches(one) for name, one in value.items()}
    return value


def _deep(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception as error:
        raise Unkeepable(f"a {type(value).__name__} in it cannot be copied: {error}") from error
