"""Random queries over four small tables: joins of all kinds, subqueries, CTEs, compounds, aliases that shadow, and conditions of all sorts.

Many bind a column by its value, or nearly do. Not all compile: an ambiguous name is an error, and the caller leaves it out.
"""

from __future__ import annotations

import random

#: Columns by table.
TABLES = {"a": ("id", "g", "s", "n"), "b": ("id", "a_id", "s", "g"), "c": ("g", "s", "x"), "d": ("g",)}

#: Each column of one affinity, all with the collation BINARY but for a.n, which is not to be compared.
DDL = """
CREATE TABLE a(id INTEGER PRIMARY KEY, g INTEGER, s TEXT, n INTEGER);
CREATE TABLE b(id INTEGER PRIMARY KEY, a_id INTEGER, s TEXT, g INTEGER);
CREATE TABLE c(g INTEGER, s TEXT, x);
CREATE TABLE d(g INTEGER);
CREATE INDEX a_g ON a(g); CREATE INDEX b_a ON b(a_id, g);
"""

TRACKED = {
    "a": {"id": "INTEGER", "g": "INTEGER", "s": "TEXT"},
    "b": {"a_id": "INTEGER", "s": "TEXT", "id": "INTEGER"},
    "c": {"g": "INTEGER", "s": "TEXT"},
    "d": {"g": "INTEGER"},
}


HOW = (
    ", ", " JOIN ", " LEFT JOIN ", " CROSS JOIN ", " RIGHT JOIN ", " FULL JOIN ", " NATURAL JOIN ", " NATURAL LEFT JOIN ",
    " USING ", " LEFT USING ", " NESTED ",
)  # fmt: skip
#: Values that look alone, and some that are not alone or no values.
ODD = ("-1", "-1", "+1", "+1", "NULL", "1.0", "abs(1)", '"x"', "x'31'", "(2)", "007", "0x1", "1 + 0")


class Query:
    """One random query, as ``text``. ``marks``: what is in it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ctes: list[str] = []
        self._aliases = 0
        self.marks: set[str] = set()
        self.text = self._whole(2, ())

    def _often(self, share: float, mark: str = "") -> bool:
        hit = self._chance.random() < share
        if hit and mark:
            self.marks.add(mark)
        return hit

    def _pick(self, *options: str) -> str:
        return self._chance.choice(options)

    def _whole(self, depth: int, outer: tuple[tuple[str, str], ...]) -> str:
        with_clause = ""
        if depth and self._often(0.2, "cte"):
            name = self._pick("r", "r", "q", "a") if self._often(0.3) else f"r{len(self._ctes)}"
            if self._often(0.2, "recursive"):
                step = f"SELECT {name}.k + 1 FROM {name} JOIN b ON b.a_id = {name}.k WHERE {self._atom([('b', 'b')], 0, ())}"
                body = f"WITH RECURSIVE {name}(k) AS (SELECT g FROM a WHERE {self._atom([('a', 'a')], 0, ())} UNION {step} LIMIT 9)"
            else:
                body = f"WITH {name}{self._pick('(g, s)', '(k, l)')} AS (SELECT {self._two(depth)})"
            with_clause = body + " "
            self._ctes.append(name)
        text = self._core(depth, outer)
        if self._often(0.15, "compound"):
            text = f"{text} {self._pick('UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT')} {self._core(depth, outer)}"
        return with_clause + text

    def _two(self, depth: int) -> str:
        scope, clause = self._from(1, 0)
        one, other = (self._column(scope) for _ in range(2))
        return f"{one}, {other} FROM {clause} WHERE {self._condition(scope, depth - 1, ())}"

    def _core(self, depth: int, outer: tuple[tuple[str, str], ...]) -> str:
        scope, clause = self._from(self._chance.choice((1, 1, 2, 2, 3)), depth)
        where = f" WHERE {self._condition(scope, depth, outer)}" if self._often(0.85) else ""
        shown = f"{self._column(scope)}, {self._column(scope)}"
        tail = ""
        if self._often(0.15, "aggregate"):
            shown = f"{self._pick('count(*)', 'sum(1)', 'max(1)')}, {self._pick('min', 'max')}({self._column(scope)})"
            if self._often(0.6):
                tail = f" GROUP BY {self._column(scope)}"
                tail += f" HAVING {self._atom(scope, 0, outer)}" if self._often(0.6) else ""
        elif self._often(0.1, "window"):
            shown = f"count(*) OVER (), {self._column(scope)}"
        elif self._often(0.1, "alias"):
            shown = f"1 AS {self._pick('g', 's', 'id')}, {self._column(scope)} AS {self._pick('g', 's', 'n', 'a_id')}"
        elif depth and self._often(0.25, "scalar"):
            inner = self._core(depth - 1, (*outer, *scope))
            shown = f"{self._column(scope)}, (SELECT count(*) FROM ({inner}) AS i)"
            if self._often(0.6):
                kind = self._pick(*TABLES)
                found, holder = self._named(kind)
                shown = f"{self._column(scope)}, (SELECT max({holder}.{self._column_of(kind)}) FROM {found}"
                shown += f" WHERE {self._condition([(holder, kind)], 0, (*outer, *scope))})"
        distinct = "DISTINCT " if self._often(0.1) else ""
        where = "" if " HAVING " in tail and self._often(0.5) else where
        return f"SELECT {distinct}{shown} FROM {clause}{where}{tail}"

    # ── FROM

    def _from(self, count: int, depth: int) -> tuple[list[tuple[str, str]], str]:
        scope: list[tuple[str, str]] = []
        clause = ""
        for at in range(count):
            if depth and self._often(0.08, "derived"):
                name = self._new()
                term = f"(SELECT {self._two(depth)}) {name}"
                kind = "?"
            elif self._ctes and self._often(0.4):
                term = name = self._ctes[-1]
                kind = "?"
            else:
                kind = self._pick(*TABLES)
                term, name = self._named(kind)
                if self._often(0.03, "parentheses"):
                    term = f"({term})"
            scope.append((name, kind))
            if not at:
                clause = term
                continue
            how = self._chance.choices(
                HOW,
                [4, 7, 9, 1, 1, 1, 1, 1, 2, 2, 1.5],
            )[0]
            self.marks.add(how.strip(" ,") or "comma")
            if how == " NESTED ":
                more, other = self._named(self._pick(*TABLES))
                clause = f"{clause} LEFT JOIN ({term} JOIN {more}) ON {self._on(scope)}"
                scope.append((other, "?"))
            elif "USING" in how:
                columns = self._pick("g", "s", "id", "g, s")
                clause = f"{clause}{' LEFT' if 'LEFT' in how else ''} JOIN {term} USING ({columns})"
            elif how in {", ", " NATURAL JOIN ", " NATURAL LEFT JOIN "} or self._often(0.05):
                clause += how + term
            else:
                clause += f"{how}{term} ON {self._on(scope)}"
        return scope, clause

    def _named(self, table: str) -> tuple[str, str]:
        spelt = self._pick(table, table, table, table.upper(), f'"{table}"', f"main.{table}", f"[{table}]")
        if self._often(0.5):
            return spelt, table
        name = self._pick("a", "b", "c", "z") if self._often(0.4, "shadow") else self._new()
        return f"{spelt}{self._pick(' AS ', ' ')}{name}", name

    def _new(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def _on(self, scope: list[tuple[str, str]]) -> str:
        last, others = scope[-1:], scope[:-1]
        key = self._pick("g", "s", "id", "a_id")
        link = f"{self._qualified(last[0], key)} = {self._qualified(self._chance.choice(others), self._pick(key, key, 'id', 'g'))}"
        if self._often(0.3):
            link = self._atom(last if self._often(0.5) else scope, 0, ())
        if self._often(0.5):
            link += f" {self._pick('AND', 'AND', 'AND', 'OR')} {self._atom(scope, 0, ())}"
        return link

    # ── columns

    def _column_of(self, table: str) -> str:
        columns = TABLES.get(table, ("g", "s", "k", "l"))
        return self._pick(*columns, *columns[:3])

    def _qualified(self, relation: tuple[str, str], column: str = "") -> str:
        name, table = relation
        if not column or column not in TABLES.get(table, ("g", "s", "k", "l")):
            column = self._column_of(table)
        return f"{name}.{column}"

    def _column(self, scope: list[tuple[str, str]]) -> str:
        relation = self._chance.choice(scope)
        if self._often(0.2, "unqualified"):
            column = self._column_of(relation[1])
            return self._pick(column, column, f'"{column}"', column.upper(), f"[{column}]")
        return self._qualified(relation)

    # ── conditions

    def _condition(self, scope: list[tuple[str, str]], depth: int, outer: tuple[tuple[str, str], ...]) -> str:
        kind = self._chance.random()
        if kind < 0.3:
            return self._atom(scope, depth, outer)
        if kind < 0.75:
            return f"{self._condition(scope, depth, outer)} AND {self._atom(scope, depth, outer)}"
        if kind < 0.82:
            self.marks.add("or")
            one = self._column(scope)
            if self._often(0.5):
                return f"({one} = {self._source()} OR {one} = {self._source()} AND {self._atom(scope, 0, outer)})"
            return f"{self._atom(scope, depth, outer)} OR {self._atom(scope, depth, outer)}"
        if kind < 0.86:
            self.marks.add("not")
            return f"NOT ({self._atom(scope, depth, outer)})"
        return f"({self._condition(scope, depth, outer)})"

    def _source(self) -> str:
        options = (
            "?",
            f"?{self._chance.randint(1, 4)}",
            self._pick(":p", ":q", "@p", "$r"),
            str(self._chance.randint(0, 3)),
            f"'{self._pick('0', '1', '2', 'x', '1.0', ' 2')}'",
            self._pick(*ODD),
        )
        return self._chance.choices(options, [5, 2, 4, 6, 4, 4])[0]

    def _atom(self, scope: list[tuple[str, str]], depth: int, outer: tuple[tuple[str, str], ...]) -> str:
        column = self._column(scope)
        if depth and self._often(0.15, "subquery"):
            return self._subquery(column, scope, depth, outer)
        if outer and self._often(0.35, "correlated"):
            return f"{column} {self._pick('=', '=', 'IS')} {self._qualified(self._chance.choice(outer))}"
        if self._often(0.25, "equal columns"):
            return f"{column} {self._pick('=', '=', '=', '==', 'IS', '<>')} {self._column(scope)}"
        source = self._source()
        plain = (
            f"{column} = {source}", f"{source} = {column}", f"{column} == {source}", f"({column}) = ({source})",
            f"{column} IN ({source})", f"{column} IN ({source}, {self._source()})",
        )  # fmt: skip
        odd = (
            f"{column} IS {source}", f"{source} IS {column}", f"{column} IS NOT DISTINCT FROM {source}",
            f"({column}, {self._column(scope)}) = ({source}, {self._source()})",
            f"{column} IS NOT {source}", f"{column} NOT IN ({source}, {self._source()})", f"{column} <> {source}",
            f"{column} COLLATE NOCASE = {source}", f"{column} = {source} COLLATE NOCASE", f"{column} = 'x' COLLATE RTRIM",
            f"+{column} = {source}",
            f"{column} BETWEEN {source} AND 2", f"{column} > {source}", f"{column} IS NULL", f"CAST({column} AS TEXT) = {source}",
            f"CASE WHEN {column} = {source} THEN 1 ELSE {column} END", f"coalesce({column}, 1) = {source}", f"{column} IN ()",
            f"{column} = {source} IS NOT TRUE", f"NOT {column} = {source}", f"({column} = {source}) = 0", f"1 OR {column} = {source}",
        )  # fmt: skip
        return self._pick(*plain) if self._often(0.7) else self._pick(*odd)

    def _subquery(
        self, column: str, scope: list[tuple[str, str]], depth: int, outer: tuple[tuple[str, str], ...]
    ) -> str:
        around = (*outer, *scope)
        kind = self._pick("exists", "exists", "in", "in", "scalar", "table")
        if kind == "table":
            return f"{column} {self._pick('IN', 'NOT IN')} {self._pick('d', 'main.d', 'D')}"
        if kind == "exists":
            return f"{self._pick('', 'NOT ')}EXISTS ({self._core(depth - 1, around)})"
        table = self._pick(*TABLES)
        found, name = self._named(table)
        inner = f"SELECT {name}.{self._column_of(table)} FROM {found} WHERE {self._condition([(name, table)], depth - 1, around)}"
        if kind == "in":
            return f"{column} {self._pick('IN', 'IN', 'NOT IN')} ({inner})"
        return f"{column} = ({inner} ORDER BY 1 LIMIT 1)"
