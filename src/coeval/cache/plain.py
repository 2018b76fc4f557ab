"""Keys of plain values, and the scopes that they have.

A key is any text, or plain values and tuples of them, in the canonical form that arguments of calls have: 1, True, 1.0 and "1" are
four. Its scope is a digest of a text that is the same in every process of the machine, whatever module a class was imported by; keys that
share a scope are invalidated together, which costs a miss and nothing else.

Ring: policy.
"""

from __future__ import annotations

import inspect
from typing import Any

from ..coherence.scopes import Scope, value_scope
from ..errors import KeyArgumentError
from .arguments import DEEPEST, Arguments
from .key import PLAIN, Key

#: What the keys of plain values begin with; no statement and no call has it.
SPACE = ("value",)

#: Types of values that a tuple may hold to be its own canonical form; a float may be zero, or no number.
_QUICK = PLAIN - {float}


def plain_key(key: Any) -> Key:
    """The key of the plain value that the user calls ``key``. Raises KeyArgumentError, which names it."""
    if type(key) is str:
        return (SPACE, key)
    if type(key) is tuple and _QUICK.issuperset(types := tuple(map(type, key))):
        return (SPACE, key, types)
    shape, value = _keys._canonical(key, "key", DEEPEST)
    return (SPACE, value, shape)


def plain_scope(key: Key) -> Scope:
    """The scope of the plain value with this key of `plain_key`."""
    return value_scope(key[1] if len(key) == 2 else _text(key[1:]))


def _text(value: Any) -> str:
    """The same for the same key in every process: no address, no order of a set, no name of a module."""
    if isinstance(value, tuple):
        return f"({','.join(map(_text, value))})"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_text, value)))}}}"
    if isinstance(value, type):
        return value.__qualname__
    return f"{value:x}" if type(value) is int else repr(value)


class _Keys(Arguments):
    """Canonical forms, without what is another thing in another process."""

    def _canonical(self, value: Any, name: str, deep: int) -> tuple[Any, Any]:
        if isinstance(value, type) or inspect.isroutine(value) or inspect.ismodule(value):
            raise self._refused(name, value, "is no plain value")
        shape, plain = super()._canonical(value, name, deep)
        if type(value) not in (str, bytes) and isinstance(plain, str) and " at 0x" in plain:
            raise self._refused(name, value, "says where it lies in memory, which is elsewhere in another process")
        return shape, plain

    def _refused(self, name: str, value: object, why: str) -> KeyArgumentError:  # noqa: ARG002 - as of Arguments
        return KeyArgumentError(
            f"The key {value!r:.80} of db.cache, a {type(value).__qualname__}, {why}",
            hint='A key is a text, or numbers, dates and the like, or a tuple of them: ("user", 7).',
        )


def _named(key: Any) -> None:
    """For the canonical form of a key."""


_keys = _Keys(_named, SPACE, ())
