"""Keys: the statement's text and its parameters, with their types, so that 1, True and 1.0 are three keys.

A key is ``(sql,)``, ``(sql, value, type)``, ``(sql, values, types)`` or ``(sql, names, values, types)``, with the number of rows
wanted in front where not all are: flat for few parameters, because a hit costs little more than its key. Values that are
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
    if type(parameters) is not tuple:
        names = tuple(sorted(parameters))
        values = tuple(parameters[name] for name in names)
        key: Key = (sql, names, values, _types(values))
    else:
        types = _types(parameters)
        match parameters:
            case ():
                key = (sql,)
            case (value,):
                key = (sql, value, types[0])
            case _:
                key = (sql, parameters, types)
    return key if limit is None else (limit, *key)


def quick_key(sql: str, params: tuple[Any, ...], limit: int) -> Key:
    """`statement_key` of values as the caller gave them; it finds an entry only where they are plain already."""
    match params:
        case ():
            return (limit, sql)
        case (value,):
            return (limit, sql, value, type(value))
        case _:
            return (limit, sql, params, tuple(map(type, params)))


def _types(values: tuple[Any, ...]) -> tuple[Any, ...]:
    types: tuple[Any, ...] = tuple(map(type, values))
    if float in types and any(value == 0 and type(value) is float for value in values):
        return tuple(repr(value) if type(value) is float else type(value) for value in values)
    return types


def asked(key: Key) -> tuple[str, tuple[Any, ...] | dict[str, Any], int | None]:
    """The statement, parameters and limit that `statement_key` made ``key`` of."""
    limit, rest = (key[0], key[1:]) if type(key[0]) is int else (None, key)
    match rest:
        case (sql,):
            return sql, (), limit
        case (sql, tuple() as values, tuple()):
            return sql, values, limit
        case (sql, value, _):
            return sql, (value,), limit
        case (sql, names, values, _):
            return sql, dict(zip(names, values, strict=True)), limit
    raise ValueError(f"not the key of a statement: {key!r}")
