"""Law 1 for row scopes: rows outside the values that were proved never change what a query gives, in SQLite itself.

Random queries, each narrowed, run, and run again after rows outside were deleted, inserted and changed. That the changes could be seen is
counted too: rows inside are changed as well, and most results must differ.
"""

from __future__ import annotations

import collections
import random
from typing import Any

import apsw
import pytest
from apsw.ext import query_info

from coeval.coherence.narrowing import Constant, Narrowing, Parameter, Schema, Table, narrow
from coherence.queries import DDL, TABLES, TRACKED, Query

from scale import scaled

SCHEMA = Schema(
    {name: Table(columns, TRACKED[name], {"g": "INTEGER"} if name == "b" else {}) for name, columns in TABLES.items()}
)
#: Values that are equal and not the same, that are none, and that are not of their column's type.
INTEGERS = (0, 1, 2, 3, -1, 1, 2, None, "x", 1.5, "1.0", b"1")
TEXTS = ("0", "1", "2", "x", "X", "x ", None, 1, 2.0, b"x", "1.0", " 2")
ATTEMPTS = scaled(10_000, 300)
#: What must occur among those that were narrowed.
MARKS = (
    "LEFT JOIN", "JOIN", "comma", "USING", "LEFT USING", "cte", "recursive", "compound", "correlated", "scalar", "subquery", "derived",
    "shadow", "unqualified", "aggregate", "alias", "or", "not", "equal columns", "parentheses",
)  # fmt: skip
BOUND = (0, 1, 2, 3, 1, 2, "1", "x", "X", None, 1.0, 2.5, " 2", b"x", -1, "1.0")


def value(chance: random.Random, column: str) -> Any:
    if column == "x":
        return chance.choice((*INTEGERS, *TEXTS))
    return chance.choice(TEXTS if column == "s" else INTEGERS)


def insert(db: apsw.Connection, chance: random.Random, table: str) -> int | None:
    row = [None if column == "id" and chance.random() < 0.5 else value(chance, column) for column in TABLES[table]]
    if TABLES[table][0] == "id" and not isinstance(row[0], int):
        row[0] = chance.choice((None, 0, 1, 2, 3, -1))
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
    return db.last_insert_rowid() if db.changes() else None


def inside(db: apsw.Connection, table: str, narrowing: Narrowing, parameters: tuple[Any, ...]) -> set[int]:
    """The rows that matter, as SQLite's own = tells."""
    found: set[int] = set()
    for column, sources in narrowing:
        for source in sources:
            given = source.value if isinstance(source, Constant) else parameters[source.number - 1]
            found.update(row for (row,) in db.execute(f"SELECT rowid FROM {table} WHERE {column} = ?", (given,)))
    return found


def disturb(
    db: apsw.Connection, chance: random.Random, table: str, narrowing: Narrowing, given: tuple[Any, ...]
) -> None:
    """Change rows outside ``narrowing``, in any way that leaves them outside, or brings them there from nowhere."""
    kept = inside(db, table, narrowing, given)
    for (row,) in db.execute(f"SELECT rowid FROM {table}").fetchall():
        if row in kept:
            continue
        if chance.random() < 0.5:
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
            continue
        column = chance.choice([name for name in TABLES[table] if name != "id"])
        with db:
            before = db.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).get
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value(chance, column), row))
            if row in inside(db, table, narrowing, given):
                db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (before, row))
    for _ in range(6):
        row = insert(db, chance, table)
        if row is not None and row not in kept and row in inside(db, table, narrowing, given):
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))


def answer(db: apsw.Connection, sql: str, parameters: tuple[Any, ...]) -> list[str]:
    """The rows in no order: which that is no query here says. A join of everything is cut short."""
    return sorted(map(repr, db.execute(sql, parameters or None).fetchall()))


def placeholders(db: apsw.Connection, sql: str) -> tuple[str | None, ...] | None:
    """Their names, by number; None where the query does not compile."""
    try:
        return query_info(db, sql).bindings_names
    except apsw.SQLError:
        return None


class Tally(collections.Counter[str]):
    """What was tried: how many queries narrowed, and of those how many with each mark."""


def attempt(chance: random.Random, tally: Tally) -> None:
    db = apsw.Connection(":memory:")
    db.execute(DDL)
    for table in TABLES:
        for _ in range(12):
            insert(db, chance, table)
    for _ in range(4):
        query = Query(chance)
        names = placeholders(db, query.text)
        if names is None:
            tally["refused"] += 1
            continue
        tally["compiled"] += 1
        narrowed = narrow(query.text, SCHEMA)
        references = {table: found for table, found in narrowed.items() if not isinstance(found, str)}
        if not references:
            continue
        tally["narrowed"] += 1
        tally.update(query.marks)
        for found in references.values():
            for reference in found:
                for source in reference.sources:
                    if isinstance(source, Parameter) and source.name is not None:
                        assert names[source.number - 1] == source.name, query.text
        for _ in range(3):
            given = tuple(chance.choice(BOUND) for _ in names)
            before = answer(db, query.text, given)
            for table, found in references.items():
                disturb(db, chance, table, found, given)
                assert answer(db, query.text, given) == before, (query.text, given, narrowed, table)
        table, found = chance.choice(list(references.items()))
        for row in inside(db, table, found, given):
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
            tally["touched"] += 1
        tally["differ"] += before != answer(db, query.text, given)


@pytest.mark.parametrize("seed", range(scaled(6, 3)))
def test_rows_outside_what_was_proved_never_matter(seed: int):
    """Whatever is written elsewhere in a narrowed table, the result is the same; and the queries are not of one kind."""
    tally = Tally()
    for number in range(ATTEMPTS):
        attempt(random.Random(f"{seed}/{number}"), tally)
    assert tally["narrowed"] > 0.3 * tally["compiled"], tally
    assert tally["differ"] > 0.1 * tally["narrowed"], tally
    for mark in MARKS:
        assert tally[mark] >= ATTEMPTS // 100, (mark, tally)
