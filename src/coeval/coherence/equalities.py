"""Which values the columns of one SELECT must have in every row that counts, by the conditions after WHERE and ON (law 3).

Three facts make the proof. A row that fails WHERE, or the ON of an inner join, never counts, whatever else is written. A row of the right
side of a LEFT JOIN that fails its ON is never met; so ON binds the right side and never the left. Two columns of the same affinity with
the collation BINARY that are equal are equal to the same values.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .references import Source
from .relations import Scope, Slot
from .syntax import Node, bare, listed, source

Bound = dict[Slot, tuple[Source, ...]]


class Binds(NamedTuple):
    """``slot`` equals one of ``sources``."""

    slot: Slot
    sources: tuple[Source, ...]


class Equals(NamedTuple):
    """Two columns of one affinity are equal."""

    one: Slot
    other: Slot


Fact = Binds | Equals


def bound(scope: Scope, where: Node | None, numbers: Mapping[str, int]) -> Bound:
    """For each column that is bound: one of its values is in every row of ``scope`` that counts.

    For a relation at the right of a LEFT JOIN: or the whole row is missing there. Then no row of it with another value is ever met.
    """
    if scope.muddled is not None:
        return {}
    everywhere = list(_facts(where, scope, numbers))
    matched: list[tuple[int, list[Fact]]] = []
    for join in scope.joins:
        # A condition on what comes only later in the FROM clause is left out: SQLite may take it, and not for what it seems.
        facts = [*_facts(join.condition, scope, numbers), *_using(scope, join.place, join.using)]
        facts = [fact for fact in facts if _last(fact) <= join.place]
        if join.left:
            matched.append((join.place, facts))
        else:
            everywhere += facts
    found: Bound = {}
    while True:
        before = len(found)
        for fact in everywhere:
            _spread(fact, found, None)
        for place, facts in matched:
            for fact in facts:
                _spread(fact, found, place)
        if len(found) == before:
            return found


def _spread(fact: Fact, found: Bound, place: int | None) -> None:
    """Take ``fact`` in. ``place``: of the right side of a LEFT JOIN, which is all that the fact binds."""
    if isinstance(fact, Binds):
        if place is None or fact.slot.place == place:
            kept = found.get(fact.slot)
            if kept is None or len(fact.sources) < len(kept):
                found[fact.slot] = fact.sources
        return
    for one, other in (fact, (fact.other, fact.one)):
        if one in found and other not in found and (place is None or other.place == place):
            found[other] = found[one]


def _last(fact: Fact) -> int:
    return fact.slot.place if isinstance(fact, Binds) else max(fact.one.place, fact.other.place)


def _using(scope: Scope, place: int, columns: Iterable[str]) -> Iterable[Fact]:
    """USING(x) is left.x = right.x, where left is the first on the left side that has an x."""
    if any(relation.columns is None for relation in scope.relations[:place]):
        return
    for column in columns:
        holders = scope.holders(column, place)
        if holders:
            one, other = Slot(holders[0], column), Slot(place, column)
            if scope.affinity(one) is not None and scope.affinity(one) == scope.affinity(other):
                yield Equals(one, other)


def _facts(node: Any, scope: Scope, numbers: Mapping[str, int]) -> Iterable[Fact]:
    """What is true of a row for which the condition ``node`` is true."""
    node = bare(node)
    if node is None:
        return
    kind = node["type"]
    if kind == "BinaryExpr" and node["op"] == "AND":
        yield from _facts(node["left"], scope, numbers)
        yield from _facts(node["right"], scope, numbers)
    elif kind == "BinaryExpr" and node["op"] == "OR":
        yield from _either(list(_facts(node["left"], scope, numbers)), list(_facts(node["right"], scope, numbers)))
    elif kind == "BinaryExpr" and node["op"] in ("EQ", "EQ_DOUBLE"):
        for one, other in _pairs(bare(node["left"]), bare(node["right"])):
            yield from _equal(one, other, scope, numbers)
    elif kind == "IsExpr" and node["op"] in ("IS", "IS_NOT_DISTINCT"):
        # Of a bare literal alone: a parameter may be NULL, and so may a column, and then IS takes them for equal.
        one, other = bare(node["left"]), bare(node["right"])
        for column, value in ((one, other), (other, one)):
            if value["type"] in ("Literal", "UnaryExpr"):
                yield from _among(column, [value], scope, numbers)
    elif kind == "InExpr" and not node["negated"] and (node["source"] or {}).get("type") == "ExprList":
        yield from _among(node["operand"], listed(node["source"]), scope, numbers)


def _either(one: list[Fact], other: list[Fact]) -> Iterable[Fact]:
    """What is true where ``one`` is or ``other``."""
    for first in one:
        for second in other:
            if isinstance(first, Binds) and isinstance(second, Binds) and first.slot == second.slot:
                yield Binds(first.slot, tuple(dict.fromkeys(first.sources + second.sources)))


def _pairs(one: Node, other: Node) -> list[tuple[Node, Node]]:
    """What a comparison compares, row values by their parts."""
    if one["type"] == other["type"] == "RowValue":
        parts, others = listed(one["items"]), listed(other["items"])
        return list(zip(parts, others, strict=True)) if len(parts) == len(others) else []
    return [(one, other)]


def _equal(one: Node, other: Node, scope: Scope, numbers: Mapping[str, int]) -> Iterable[Fact]:
    one, other = bare(one), bare(other)
    if other["type"] == "ColumnRef":
        one, other = other, one
    if one["type"] != "ColumnRef":
        return
    first = scope.resolve(one)
    if other["type"] != "ColumnRef":
        if first is not None and first[0] is scope:
            yield from _among(one, [other], scope, numbers)
        return
    second = scope.resolve(other)
    if first is None or second is None:
        return
    affinity = first[0].affinity(first[1])
    if affinity is None or affinity != second[0].affinity(second[1]):
        return
    if first[0] is scope and second[0] is scope:
        yield Equals(first[1], second[1])
    for (inner, slot), (outer, fixed) in ((first, second), (second, first)):
        # Of a SELECT around, only rows that count there matter: the column has one of its own values in them.
        if inner is scope and outer is not scope and fixed in outer.bound:
            yield Binds(slot, outer.bound[fixed])


def _among(node: Node, values: list[Node], scope: Scope, numbers: Mapping[str, int]) -> Iterable[Fact]:
    node = bare(node)
    place = scope.resolve(node) if node["type"] == "ColumnRef" else None
    if place is None or place[0] is not scope:
        return
    affinity = scope.affinity(place[1])
    if affinity is None:
        return
    sources = [source(value, numbers, affinity) for value in values]
    if sources and None not in sources:
        yield Binds(place[1], tuple(dict.fromkeys(value for value in sources if value is not None)))
