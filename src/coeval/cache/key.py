"""Keys: the statement's text and its parameters, with their types, so that 1, True and 1.0 are three keys.

A key is ``(sql, parameters, types)``, with the number of rows wanted in front where not all are. Values that are
equal in Python and not in SQLite (0.0 and -0.0) are told apart by their text. Only adapted parameters are keys:
two Decimals or two datetimes that compare equal may be stored as different texts.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Key = tuple[Any, ...]

#: Exact types whose equality, given equal types, is SQLite's. A float is one unless it is zero.
PLAIN = frozenset({int, str, bytes, float, bool, type(None)})


def statement_key(sql: str, parameters: tuple[Any, ...] | Mapping[str, Any], limit: int | None = None) -> Key:
    """The key of a statement whose ``parameters`` are adapted: None, bool, int, float, str or bytes."""
    if isinstance(parameters, Mapping):
        names = tuple(sorted(parameters))
        values = tuple(parameters[name] for name in names)
        key: Key = (sql, names, *_typed(values))
    else:
        key = (sql, *_typed(parameters))
    return key if limit is None else (limit, *key)


def _typed(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    types: tuple[Any, ...] = tuple(map(type, values))
    if float in types and any(value == 0 and type(value) is float for value in values):
        types = tuple(repr(value) if type(value) is float else type(value) for value in values)
    return values, types
