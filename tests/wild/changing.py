"""Every table and every column changed in turn by another program, and what each statement gives before, after, and when it is undone.

Two things are held against each other: what the cache says, with the truth, after each change; and what should not have been
touched, with the count of hits. A cached function around each statement goes through the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import coeval
from coherence.asking import keep, plain, truth

from processes import Foreign


class Query(NamedTuple):
    """A statement, the tables that its result depends on, and whether it is valid by the clock alone."""

    sql: str
    tables: frozenset[str]
    params: tuple[Any, ...] = ()
    clock: bool = False


class Change(NamedTuple):
    """One transaction. ``touched``: every table that it may write to, by triggers and cascades too."""

    name: str
    statements: tuple[str, ...]
    touched: frozenset[str]
    thorough: bool = False  #: compute also what must not have changed


class Trial:
    """A database, another program that changes it, and statements that are kept."""

    def __init__(
        self,
        db: coeval.Database,
        foreign: Foreign,
        queries: Mapping[str, Query],
        tables: Mapping[str, Iterable[str]],
        *,
        triggers: bool = False,
    ) -> None:
        """``tables``: each table with the columns that can be written, in an order in which they can be put back.

        ``triggers``: filling a table again fires some, so that all of them are filled again each time. Foreign keys are enforced
        while something is changed, as far as the other program has them on by now.
        """
        self.db = db
        self.foreign = foreign
        self.queries = queries
        self.tables = tables
        self.triggers = triggers
        self.foreign_keys = "ON" if foreign.execute("PRAGMA foreign_keys") == [(1,)] else "OFF"
        for table in tables:
            foreign.execute(f"CREATE TEMP TABLE saved_{table} AS SELECT * FROM main.{table}")
        admission = db._engine.tier.admission  # all is kept: what it is worth is another question
        admission.costs = admission.costs._replace(keeping=0.0)
        self.first = {name: keep(db, query.sql, *query.params) for name, query in queries.items()}

        @db.cached
        def ask(name: str) -> Any:
            return db.query(queries[name].sql, *queries[name].params)

        self.ask = ask
        for name in queries:
            ask(name)

    def change(self, change: Change, *, thorough: bool = False) -> set[str]:
        """Make it, look at everything, undo it, and look again; the names of those whose results it changed."""
        self._commit(change.statements)
        untouched = {n for n, q in self.queries.items() if not q.clock and q.tables.isdisjoint(change.touched)}
        self._still_hits(untouched, change)
        looked_at = self.queries.keys() - untouched
        changed = set()
        for name in sorted(self.queries if thorough or change.thorough else looked_at):
            query = self.queries[name]
            true = truth(self.db, query.sql, *query.params)
            self._is(true, name, f"after {change.name}")
            if repr(true) != repr(self.first[name]):
                changed.add(name)
        assert changed.isdisjoint(untouched), f"{change.name} changes {changed & untouched}: that was not expected"
        self._undo(frozenset(self.tables) if self.triggers else change.touched)
        for name in sorted(self.queries if self.triggers else looked_at):
            self._is(self.first[name], name, f"when {change.name} was undone")
        return changed

    def _is(self, true: tuple[Any, ...], name: str, when: str) -> None:
        query = self.queries[name]
        assert repr(true) == repr(plain(self.db.query(query.sql, *query.params))), f"{name} is stale {when}"
        assert repr(true) == repr(plain(self.ask(name))), f"the cached function around {name} is stale {when}"

    def _still_hits(self, names: set[str], change: Change) -> None:
        """A table that a statement does not read is none of its business."""
        before, calls = self.db.stats(), self.ask.cache_info()
        for name in sorted(names):
            query = self.queries[name]
            self.db.query(query.sql, *query.params)
            self.ask(name)
        after, called = self.db.stats(), self.ask.cache_info()
        lost = after.misses - before.misses, after.uncached - before.uncached, called.misses - calls.misses
        assert (0, 0, 0) == lost, f"{change.name} threw away what it has nothing to do with: {lost} of {sorted(names)}"
        assert len(names) <= after.hits + after.revalidated - before.hits - before.revalidated

    def _undo(self, touched: frozenset[str]) -> None:
        statements = ["PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"]
        for table, columns in self.tables.items():
            if table in touched:
                names = ", ".join(columns)
                statements += [
                    f"DELETE FROM {table}",
                    f"INSERT INTO {table}({names}) SELECT {names} FROM temp.saved_{table} ORDER BY rowid",
                ]
        for statement in (*statements, "COMMIT", f"PRAGMA foreign_keys = {self.foreign_keys}"):
            self.foreign.execute(statement)

    def _commit(self, statements: tuple[str, ...]) -> None:
        for statement in ("BEGIN IMMEDIATE", *statements, "COMMIT"):
            self.foreign.execute(statement)
