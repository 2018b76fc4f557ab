"""Which rows of each table a query can depend on, proved from its text (laws 1 and 3, row scopes).

Each SELECT is looked at by itself: what it gives, for any row of the SELECTs around it, is the same whatever rows of a table lie outside
the values that its own conditions hold that table to. So the whole is the same when that is true of every mention of the table. HAVING,
LIMIT, aggregates and window functions see only rows that passed WHERE. Whatever is unclear makes the whole table count, for every
mention of it; a view, or a name that is unknown, makes all tables count.

Beforehand SQLite has compiled the statement, on a connection without temporary tables, against this schema.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .equalities import bound
from .references import Constant, Narrowing, Parameter, Reference, Schema, Source, Table
from .relations import Names, Scope
from .syntax import Node, Unclear, parse, walk

__all__ = ["Constant", "Narrowing", "Parameter", "Reference", "Schema", "Source", "Table", "narrow"]


def narrow(sql: str, schema: Schema) -> Mapping[str, Narrowing | str]:
    """By folded name, for each table that ``sql`` mentions: its references, or why the whole table counts.

    Where nothing can be said of the statement, each table of the schema has the reason. A table that is not in what is returned is not
    mentioned. Raises nothing.
    """
    try:
        parsed = parse(sql)
        query = _Query(parsed.query, parsed.numbers, schema)
        query.visit(parsed.query, None)
        return query.found()
    except Unclear as unclear:
        reason = str(unclear)
    except RecursionError:
        reason = "it is nested too deeply"
    except (AttributeError, LookupError, TypeError):
        reason = "the installed version of syntaqlite is not one that Coeval knows"
    return dict.fromkeys(schema.tables, reason)


class _Query:
    """One statement while it is walked through."""

    def __init__(self, whole: Node, numbers: Mapping[str, int], schema: Schema) -> None:
        if any(node["type"] == "Error" for node in walk(whole)):
            raise Unclear("its text cannot be parsed")
        self._tree = whole
        self._numbers = numbers
        self._schema = schema
        self._names = Names(schema, (node for node in walk(whole) if node["type"] == "CteDefinition"))
        self._references: dict[str, list[Reference]] = {}
        self._whole: dict[str, str] = {
            name: f"a common table expression is called {name} as well" for name in self._names.hidden
        }

    def found(self) -> dict[str, Narrowing | str]:
        """What was found, when all was walked through."""
        if self._names.mentions != sum(node["type"] == "TableRef" for node in walk(self._tree)):
            raise Unclear("not every table in its text was found")
        narrowed: dict[str, Narrowing | str] = {name: tuple(found) for name, found in self._references.items()}
        return narrowed | self._whole

    def visit(self, node: Any, scope: Scope | None) -> None:
        """Everything below ``node``, whose names are those of ``scope``; None: they are not looked into."""
        if isinstance(node, list):
            for below in node:
                self.visit(below, scope)
        if not isinstance(node, dict):
            return
        kind = node["type"]
        if kind == "SelectStmt":
            self._select(node, scope)
        elif kind == "WithClause":
            self.visit(node["ctes"], None)
            self.visit(node["select"], scope)
        elif kind == "CompoundSelect":
            self.visit(node["left"], scope)
            self.visit(node["right"], scope)
            self.visit([node["orderby"], node["limit_clause"]], None)
        elif kind == "TableRef":  # after IN
            table = self._names.relation(node).table
            if table is not None:
                self._count(table, f"it reads all of {table} after IN")
        else:
            for below in node.values():
                self.visit(below, scope)

    def _select(self, node: Node, outer: Scope | None) -> None:
        scope = self._names.scope(node["from_clause"], outer)
        for relation in scope.relations:
            self.visit(relation.query, None)
        scope.bound = bound(scope, node["where_clause"], self._numbers)
        for place, relation in enumerate(scope.relations):
            if relation.table is not None:
                self._refer(relation.table, place, scope)
        self.visit(scope.conditions, scope)
        self.visit(node["limit_clause"], None)
        for part, below in node.items():
            if part not in ("from_clause", "limit_clause"):
                self.visit(below, scope)

    def _refer(self, table: str, place: int, scope: Scope) -> None:
        if scope.muddled is not None:
            self._count(table, scope.muddled)
            return
        # Each column that is bound proves the same; the one with the fewest values leaves the fewest scopes.
        tracked = self._schema.tables[table].tracked
        ways = [Reference(slot.column, sources) for slot, sources in scope.bound.items() if slot.place == place]
        ways = sorted((way for way in ways if way.column in tracked), key=lambda way: list(tracked).index(way.column))
        if ways:
            self._references.setdefault(table, []).append(min(ways, key=lambda way: len(way.sources)))
        elif tracked:
            self._count(table, f"it reads {table} without holding {' or '.join(tracked)} to given values")
        else:
            self._count(table, f"no column of {table} is tracked")

    def _count(self, table: str, reason: str) -> None:
        """All of ``table`` counts."""
        self._whole.setdefault(table, reason)
