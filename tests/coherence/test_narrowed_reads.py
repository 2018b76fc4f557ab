"""Law 1 with row scopes: random queries, cached, while rows of their tables are written at random; each answer is SQLite's own."""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import apsw
import pytest

import coeval
from coherence.queries import DDL, TABLES, TRACKED, Query
from coherence.test_narrowing_sound import BOUND, placeholders, value

from scale import scaled


def write(run, chance: random.Random) -> None:
    """One statement that changes some rows, of any kind."""
    table = chance.choice(list(TABLES))
    columns = TABLES[table]
    column = chance.choice([name for name in columns if name != "id"])
    if chance.random() < 0.4:
        row = [chance.choice((None, 0, 1, 2, 3, 9)) if name == "id" else value(chance, name) for name in columns]
        clause = chance.choice(("INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"))
        run(f"{clause} INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
    elif chance.random() < 0.6:
        # Within one value, from one value to another, or all that have none.
        where = chance.choice((f"{column} = ?2", "rowid = ?2", f"{column} IS NULL AND ?2 IS ?2"))
        run(f"UPDATE {table} SET {column} = ?1 WHERE {where}", value(chance, column), value(chance, column))
    else:
        run(f"DELETE FROM {table} WHERE {column} = ?", value(chance, column))


@pytest.mark.parametrize("seed", range(3))
def test_a_narrowed_read_is_never_stale(path, seed):
    """Whatever is written, before, between and after; and writes elsewhere in a table do leave results valid."""
    chance = random.Random(seed)
    with coeval.open(path) as db, closing(apsw.Connection(str(path))) as foreign:
        db.script(DDL)
        for table, columns in TRACKED.items():
            db.track(table, by=list(columns))
        foreign.set_busy_timeout(10_000)
        queries: list[tuple[str, tuple[Any, ...]]] = []
        while len(queries) < scaled(400, 60):
            query = Query(chance).text
            names = placeholders(foreign, query)
            given = tuple(chance.choice(BOUND) for _ in names or ())
            if names is not None and any(" by " in scope for scope in db.explain(query, *given).scopes):
                queries.append((query, given))
        for _ in range(30):
            write(db.execute, chance)
        for _ in range(scaled(4000, 250)):
            if chance.random() < 0.5:
                write(db.execute, chance)
            else:
                write(lambda sql, *row: foreign.execute(sql, row), chance)
            for query, given in chance.choices(queries, k=4):
                db.query(query, *given)  # what is kept now is asked for again later
                truth = foreign.execute(query, given or None).fetchall()
                assert sorted(map(repr, map(tuple, db.query(query, *given)))) == sorted(map(repr, truth)), (
                    query,
                    given,
                )
        assert db.stats().revalidated > scaled(4000, 250) // 4
