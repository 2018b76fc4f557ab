"""Which hits are audited, and whether a kept result equals one computed again in a snapshot where it is valid.

The auditor must never cry wolf, so whatever could differ lawfully is left out, or no difference:

* A result in no order is a multiset. One cut off (LIMIT, OFFSET, `first`) in no order is any part of it, and is left out, as are
  group_concat and its like in no order. Ties at the cut of an ordered one are the auditor's to look at.
* Floats that a sum may have added up in another order equal within 1e-9. 1 and 1.0, text and bytes do not.

Ring: policy. Chance is an argument.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from ..coherence.names import fold
from ..rows import Row
from .private import DEEPEST

#: By how much floats may differ, of the larger one.
TOLERANCE = 1e-9

#: Values that are compared each with each at the most (law 10).
MOST_EACH = 300

#: Aggregates whose result depends on the order of what they are given.
_ORDERED = frozenset(
    "group_concat string_agg json_group_array json_group_object jsonb_group_array jsonb_group_object".split()
)

_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] | --[^\n]* | /\*.*?(?:\*/|\Z) | [:@$#?][\w$]*"""
    r"""| [^\W\d][\w$]* | [()]""",
    re.DOTALL | re.VERBOSE,
)


class IncomparableError(Exception):
    """Nothing can be said of two values."""


def gap(share: float, chance: float) -> int:
    """How many hits pass before the next that is audited, so that ``share`` of all are; ``chance`` is uniform in [0, 1)."""
    return 0 if share >= 1 else int(math.log(1.0 - chance) / math.log1p(-share))


class Text(NamedTuple):
    """What the text of a statement says of the order of its result."""

    ordered: bool  #: the result as a whole
    cut: bool  #: some part of it is cut off, or put together
    doubtful: bool  #: and that in no order
    aggregates: frozenset[str]  #: that depend on order, and are called in the text itself


def look(sql: str) -> Text:
    """Read ``sql``, without what stands in strings, quotes and comments; where it is not clear it is doubtful."""
    frames = [[False, False]]  # of each parenthesis: it is ordered; it has to be
    closed: list[list[bool]] = []
    aggregates: set[str] = set()
    before = ""
    for match in _TOKEN.finditer(sql):
        piece = fold(match[0])
        if piece.startswith(("'", "--", "/*")):
            continue
        word = piece.strip('"`[]')
        if piece == "(":
            frames.append([False, before in _ORDERED])
            aggregates.update({before} & _ORDERED)
        elif piece == ")" and len(frames) > 1:
            closed.append(frames.pop())
        elif piece == "by" and before == "order":
            frames[-1][0] = True
        elif piece in ("limit", "offset"):
            frames[-1][1] = True
        before = word
    needs = [ordered for ordered, must in (*closed, *frames) if must]
    return Text(frames[0][0], bool(needs), not all(needs), frozenset(aggregates))


def comparable(
    text: Text, functions: Collection[str], limit: int | None, computed: Sequence[Any]
) -> Sequence[Any] | None:
    """The part of ``computed`` that a kept result of ``limit`` rows has to equal; None where nothing can be said.

    ``functions`` are those that the statement calls, in views too; ``computed`` holds one row more than ``limit``, if there are so many.
    """
    if text.doubtful or _ORDERED.intersection(functions) - text.aggregates:
        return None
    if limit is None or len(computed) <= limit:
        return computed
    return computed[:limit] if text.ordered else None


def same_rows(kept: Sequence[Any], computed: Sequence[Any]) -> bool:
    """Whether two results hold the same rows, each as often, in whatever order, under the same names."""
    if len(kept) != len(computed) or {_names(row) for row in kept} != {_names(row) for row in computed}:
        return False
    left, right = Counter(map(_typed, kept)), Counter(map(_typed, computed))
    return _close(list((left - right).elements()), list((right - left).elements()))


def same_value(kept: Any, computed: Any) -> bool:
    """Whether what a function has returned twice is the same, part by part. Raises IncomparableError, and what an ``__eq__`` raises."""
    return _Comparison().same(kept, computed, DEEPEST)


class _Comparison:
    """Of two values whose parts may lie in several places, or in themselves: each pair is looked at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}
        self._alive: list[Any] = []  # so that no identity becomes another's

    def same(self, kept: Any, computed: Any, deep: int) -> bool:
        kind: Any = type(kept)
        if not (kind is type(computed) or (isinstance(kept, Row) and isinstance(computed, Row))):
            return False
        if kind is float:
            return math.isclose(kept, computed, rel_tol=TOLERANCE) or (math.isnan(kept) and math.isnan(computed))
        if isinstance(kept, Row):
            return same_rows((kept,), (computed,))
        pair = id(kept), id(computed)
        if pair not in self._known:
            if deep == 0:
                raise IncomparableError(f"a {kind.__name__} lies too deep")
            self._alive.append((kept, computed))
            self._known[pair] = True  # as long as nothing speaks against it
            self._known[pair] = self._same_parts(kind, kept, computed, deep - 1)
        return self._known[pair]

    def _same_parts(self, kind: Any, kept: Any, computed: Any, deep: int) -> bool:
        if isinstance(kept, list | tuple):
            return len(kept) == len(computed) and self._same_all(kept, computed, deep)
        if isinstance(kept, dict):
            return kept.keys() == computed.keys() and self._each(((kept[key], computed[key]) for key in kept), deep)
        if dataclasses.is_dataclass(kind):
            names = [one.name for one in dataclasses.fields(kind)]
            return self._each(((getattr(kept, name), getattr(computed, name)) for name in names), deep)
        if kind.__eq__ is object.__eq__ and kept is not computed:
            mine, other = _parts(kept), _parts(computed)
            return mine.keys() == other.keys() and self._each(((mine[name], other[name]) for name in mine), deep)
        return bool(kept == computed)

    def _same_all(self, kept: Sequence[Any], computed: Sequence[Any], deep: int) -> bool:
        """In this order, else in any: a cache puts nothing in another order, and a statement may."""
        if self._each(zip(kept, computed, strict=True), deep):
            return True
        if all(isinstance(one, Row) for one in (*kept, *computed)):
            return same_rows(kept, computed)
        return _paired(kept, computed, lambda one, other: self.same(one, other, deep))

    def _each(self, pairs: Iterable[tuple[Any, Any]], deep: int) -> bool:
        return all(self.same(kept, computed, deep) for kept, computed in pairs)


def _parts(thing: Any) -> dict[str, Any]:
    parts: dict[str, Any] | None = getattr(thing, "__dict__", None)
    if parts is None:
        raise IncomparableError(f"a {type(thing).__name__} says nothing of what equals it")
    return parts


def _names(row: Any) -> tuple[str, ...]:
    return row._fields if isinstance(row, Row) else ()


def _typed(row: Iterable[Any]) -> tuple[Any, ...]:
    return tuple((type(value), value) for value in row)


def _close(kept: list[Any], computed: list[Any]) -> bool:
    """Whether rows that differ, differ by no more than floats may. Those with the same other values are paired by their floats."""
    groups: defaultdict[Any, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((kept, computed)):
        for row in rows:
            others = tuple(kind if kind is float else (kind, value) for kind, value in row)
            groups[others][side].append(tuple(value for kind, value in row if kind is float))
    return all(
        len(left) == len(right) and _close_floats(sorted(left), sorted(right)) for left, right in groups.values()
    )


def _close_floats(kept: list[Any], computed: list[Any]) -> bool:
    def close(one: Any, other: Any) -> bool:
        return all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(one, other, strict=True))

    return all(map(close, kept, computed)) or (len(kept) <= MOST_EACH and _paired(kept, computed, close))


def _paired(kept: Sequence[Any], computed: Sequence[Any], same: Callable[[Any, Any], bool]) -> bool:
    """Whether each of the one is the same as one of the other of its own. Raises IncomparableError for too many."""
    if len(kept) > MOST_EACH:
        raise IncomparableError(f"{len(kept)} values in another order")
    left = list(computed)
    for one in kept:
        place = next((place for place, other in enumerate(left) if same(one, other)), None)
        if place is None:
            return False
        del left[place]
    return True
