"""The FROM clause of one SELECT: its relations, how they are joined, and which column a name means there (law 3).

A name that cannot be traced to one column of one table for certain means nothing here. A statement reaches this only after SQLite
has compiled it, so names that it would refuse do not occur.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .references import Schema, Source, Table
from .syntax import QUERIES, Node, Unclear, alias, bare, identifier, listed

_INNER = frozenset({"COMMA", "INNER", "CROSS", "NATURAL_INNER", "NATURAL_CROSS"})
_LEFT = frozenset({"LEFT", "NATURAL_LEFT"})


class Slot(NamedTuple):
    """A column of the relation at ``place`` in the FROM clause."""

    place: int
    column: str


class Relation(NamedTuple):
    """A term of the FROM clause. ``name``: by which columns are qualified. ``table``: None where it is not one of the schema.

    ``columns``: None where they are not known. ``query``: the subquery that it is.
    """

    name: str | None
    table: str | None
    columns: tuple[str, ...] | None
    renamed: bool = False
    query: Node | None = None


class Join(NamedTuple):
    """How the relation at ``place`` is joined to those before it. ``condition``: after ON."""

    place: int
    left: bool
    condition: Node | None
    using: tuple[str, ...]


@dataclass(slots=True)
class Scope:
    """The names of one SELECT. ``bound``: what its columns must equal in every row that counts; ``outer``: the SELECT around it.

    ``muddled``: why nothing that is named here can be told; then the relations are only those that were found.
    """

    tables: Mapping[str, Table]
    relations: list[Relation] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    conditions: list[Node] = field(default_factory=list)  #: all that stand after ON
    bound: Mapping[Slot, tuple[Source, ...]] = field(default_factory=dict)
    outer: Scope | None = None
    muddled: str | None = None

    def resolve(self, node: Node) -> tuple[Scope, Slot] | None:
        """The column of a table that ``node`` means, here or, if it is qualified, in a SELECT around; None: that is not certain."""
        column = identifier(node["column"])
        if node["table"] is None:
            slot = self._unqualified(column)
            return None if slot is None else (self, slot)
        name = identifier(node["table"])
        scope: Scope | None = self
        while scope is not None and scope.muddled is None:
            places = [place for place, relation in enumerate(scope.relations) if relation.name == name]
            if places:
                slot = Slot(places[0], column)
                certain = len(places) == 1 and scope._has(slot) and scope._schema_fits(node, places[0])
                return (scope, slot) if certain else None
            scope = scope.outer
        return None

    def _unqualified(self, column: str) -> Slot | None:
        if self.muddled is not None or any(relation.columns is None for relation in self.relations):
            return None
        holders = self.holders(column, len(self.relations))
        merged = {join.place for join in self.joins if column in join.using}
        # Of a column that joins by USING, with neither RIGHT nor FULL, SQLite takes the leftmost.
        certain = holders and merged.issuperset(holders[1:]) and self._has(Slot(holders[0], column))
        return Slot(holders[0], column) if certain else None

    def holders(self, column: str, end: int) -> list[int]:
        """The relations before place ``end`` that have, or may have, ``column``."""
        return [
            place
            for place, found in enumerate(self.relations[:end])
            if found.columns is None or column in found.columns
        ]

    def _has(self, slot: Slot) -> bool:
        relation = self.relations[slot.place]
        return relation.table is not None and slot.column in (relation.columns or ())

    def _schema_fits(self, node: Node, place: int) -> bool:
        return node["schema"] is None or (identifier(node["schema"]) == "main" and not self.relations[place].renamed)

    def affinity(self, slot: Slot) -> str | None:
        """Of a column with the collation BINARY; None where it has another, or is not known."""
        name = self.relations[slot.place].table
        table = None if name is None else self.tables.get(name)
        return None if table is None else table.tracked.get(slot.column, table.plain.get(slot.column))


class Names:
    """What a relation's name means in one statement: of its CTEs and of the schema."""

    def __init__(self, schema: Schema, ctes: Iterator[Node]) -> None:
        """``ctes``: all of the statement, wherever they stand."""
        self.schema = schema
        self.mentions = 0  #: looked up so far
        self._ctes: dict[str, tuple[str, ...] | None] = {}
        for node in ctes:
            name = identifier(node["cte_name"])
            named = tuple(identifier(column["column"]) for column in listed(node["columns"])) or outputs(node["select"])
            self._ctes[name] = None if name in self._ctes else named
        #: tables that share their name with a CTE: which of the two is meant is not looked into
        self.hidden = frozenset(self._ctes.keys() & schema.tables.keys())

    def relation(self, node: Node) -> Relation:
        """What a table's name stands for in FROM or after IN. Raises Unclear where it is no table of the main schema and no CTE."""
        self.mentions += 1
        name = identifier(node["table_name"])
        if node["schema"] is not None and identifier(node["schema"]) != "main":
            raise Unclear(f"{node['schema']}.{node['table_name']} lies outside the main schema")
        if node["has_parens"] or node["args"] is not None:
            raise Unclear(f"{node['table_name']}() is a table-valued function")
        called = alias(node)
        if name in self.schema.views:
            raise Unclear(f"it reads the view {node['table_name']}")
        if name in self.hidden:
            return Relation(called or name, None, None, called is not None)
        if name in self._ctes and node["schema"] is None:
            return Relation(called or name, None, self._ctes[name], called is not None)
        if name not in self.schema.tables:
            raise Unclear(f"{node['table_name']} is not an ordinary table")
        return Relation(called or name, name, self.schema.tables[name].columns, called is not None)

    def scope(self, clause: Node | None, outer: Scope | None) -> Scope:
        """The names of a SELECT with this FROM clause."""
        scope = Scope(self.schema.tables, outer=outer)
        if clause is not None:
            self._read(clause, scope)
        return scope

    def _read(self, node: Node, scope: Scope) -> None:
        kind = node["type"]
        if kind == "ParenTableSource":
            if node["alias"] is not None or bare_source(node)["type"] == "JoinClause":
                scope.muddled = "a join stands in parentheses"
            self._read(bare_source(node), scope)
        elif kind == "JoinClause":
            scope.conditions += [] if node["on_expr"] is None else [node["on_expr"]]
            self._read(node["left"], scope)
            before = len(scope.relations)
            self._read(node["right"], scope)
            if node["join_type"] not in _INNER | _LEFT:
                scope.muddled = f"of a {node['join_type'].replace('_', ' ')} JOIN nothing is proved"
            elif len(scope.relations) == before + 1:
                using = tuple(identifier(bare(column)["column"]) for column in listed(node["using_columns"]))
                scope.joins.append(Join(before, node["join_type"] in _LEFT, node["on_expr"], using))
            else:
                scope.muddled = "a join stands in parentheses"
        elif kind == "TableRef":
            scope.relations.append(self.relation(node))
        elif kind == "SubqueryTableSource":
            scope.relations.append(Relation(alias(node), None, outputs(node["select"]), query=node["select"]))
        else:
            raise Unclear("its FROM clause cannot be read")


def bare_source(node: Node) -> Node:
    """A term of a FROM clause without parentheses around it."""
    while node["type"] == "ParenTableSource":
        node = node["source"]
    return node


def outputs(query: Node) -> tuple[str, ...] | None:
    """The names of a query's columns, where they can be told from its text alone."""
    while query["type"] in QUERIES - {"SelectStmt"}:
        if query["type"] == "ValuesClause":
            return None
        query = query["select"] if query["type"] == "WithClause" else query["left"]
    names = []
    for column in listed(query["columns"]):
        expression = None if column["flags"] else bare(column["expr"])
        name = alias(column)
        if name is None and expression is not None and expression["type"] == "ColumnRef":
            name = identifier(expression["column"])
        if name is None:
            return None
        names.append(name)
    return tuple(names)
