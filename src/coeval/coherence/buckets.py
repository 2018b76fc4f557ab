"""Buckets: scopes finer than a table, for the values of a column that is tracked (laws 1 and 3; hole 11).

A tracked column has 1,024 buckets, and a row belongs to the one of its value. `bucket` says in Python which that is, `bucket_sql`
in plain SQL, for triggers that run in any program: masks and functions that never raise and that hardly anybody replaces. The two
agree wherever `exact` says that a value is compared by plain equality. What else may stand in such a column equals no such value, so
its bucket does not matter; NULL, which equals nothing at all, has none.

Ring: policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from .scopes import BLOCK, Scope, table_scope

#: Of one column. A power of two, because & takes the remainder.
BUCKETS = 1024

#: Columns of one table that can be tracked.
SLOTS = BLOCK // BUCKETS - 1

#: What the triggers call. Who replaces one of these would have them write other stamps than all else reads, or the same ones again.
FUNCTIONS = frozenset({"random", "length", "substr", "unicode", "coalesce"})

Affinity = Literal["INTEGER", "TEXT"]

#: Which characters of a text count, from 1 on or from the end, and for how much: numbers at the end are told apart by their last digits.
_PLACES = (
    *((1, 29), (2, 331), (3, 173), (4, 607), (5, 419), (6, 263), (7, 911), (8, 739)),
    *((-7, 857), (-6, 67), (-5, 391), (-4, 1009), (-3, 113), (-2, 11), (-1, 1)),
)
_LENGTH, _MIDDLE = 197, 547

#: Characters that SQLite's versions do not agree on: where a text ends, and what stands for a broken character.
_ODD = re.compile("[\0\ud800-\udfff\ufffd-\uffff]")


class Tracked(NamedTuple):
    """A tracked column. ``slot``: from 1 on, which of its table's it is."""

    slot: int
    name: str
    affinity: Affinity


def column_scope(number: int, slot: int) -> Scope:
    """The first of the scopes of column ``slot`` of table ``number``; its bucket 0."""
    if not 1 <= slot <= SLOTS:
        raise ValueError(f"columns have slots from 1 to {SLOTS}, not {slot}")
    return table_scope(number) + slot * BUCKETS


def exact(value: Any, affinity: Affinity) -> bool:
    """Whether ``column = value`` is plain equality in a column of ``affinity``: nothing is converted, and `bucket` knows it."""
    if affinity == "TEXT":
        return type(value) is str and _ODD.search(value) is None
    return (type(value) is int or type(value) is bool) and -(2**63) <= value < 2**63


def bucket(value: int | str) -> int:
    """The bucket of a value that is `exact`."""
    if not isinstance(value, str):
        return value & BUCKETS - 1
    length = len(value)
    total = length * _LENGTH
    if length:
        total += ord(value[length // 2]) * _MIDDLE
    for place, weight in _PLACES:
        if -length <= place <= length:
            total += ord(value[place - 1 if place > 0 else place]) * weight
    return total & BUCKETS - 1


def bucket_sql(expression: str, affinity: Affinity) -> str:
    """SQL for the bucket of ``expression``, an operand of any type out of a column of ``affinity``; NULL for NULL."""
    if affinity == "INTEGER":
        return f"({expression} & {BUCKETS - 1})"
    parts = [f"length({expression}) * {_LENGTH}", _code_sql(expression, f"length({expression}) / 2 + 1", _MIDDLE)]
    parts += [_code_sql(expression, str(place), weight) for place, weight in _PLACES]
    return f"({' + '.join(parts)} & {BUCKETS - 1})"


def scopes_sql(scopes: Iterable[str]) -> str:
    """The body of a trigger that gives new stamps to ``scopes``, SQL expressions, each once; an UPDATE for each is cheaper than IN."""
    return "".join(
        f"UPDATE _coeval_stamps SET stamp = random() WHERE id = {scope}; " for scope in dict.fromkeys(scopes)
    )


def _code_sql(expression: str, place: str, weight: int) -> str:
    return f"coalesce(unicode(substr({expression}, {place}, 1)), 0) * {weight}"
