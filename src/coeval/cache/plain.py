"""Keys of plain values, and the scopes that they have.

A key is any text, or plain values and tuples of them, in the canonical form that arguments of calls have: 1, True, 1.0 and "1" are
four. Its scope is a digest of a text that is the same in every process of the machine, whatever module a class was imported by; keys that
share a scope are invalidated together, which costs a miss and nothing else.

Ring: policy.
"""

from __future__ import annotations

from typing import Any

from ..coherence.scopes import Scope, value_scope
from ..errors import KeyArgumentError
from .canonical import NotCanonical, canonical
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
    try:
        shape, value = canonical(key)
        _refuse_local((shape, value))
    except NotCanonical as error:
        raise KeyArgumentError(
            f"The key {key!r:.80} of db.cache, a {type(key).__qualname__}, {error}",
            hint='A key is a text, or numbers, dates and the like, or a tuple of them: ("user", 7).',
        ) from None
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


def _refuse_local(part: Any) -> None:
    """Raise NotCanonical where something in a canonical form is another thing in another process."""
    match part:
        case type() as kind, int() if kind not in PLAIN:  # a class, a function, a module, by its address
            raise NotCanonical("is no plain value, or has one in it that is none")
        case tuple(), str() as text if " at 0x" in text:
            raise NotCanonical("says where it lies in memory, which is elsewhere in another process")
    if isinstance(part, tuple | frozenset):
        for one in part:
            _refuse_local(one)
