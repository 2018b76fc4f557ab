"""The triggers of one table: their exact texts, by what is tracked of it and by its unique keys (law 1; holes 2, 3, 11, 21 to 23, 27).

What must hold here, for whatever program writes: each row that comes, goes or changes gives new stamps to its table and, in each tracked
column, to the buckets of its old and of its new value, in the same transaction.

* BEFORE triggers do all that can be known then, because a user's AFTER trigger that fails by FAIL, or by the statement's own OR FAIL,
  leaves the row and skips the triggers after it. A BEFORE UPDATE knows the final values: SQLite works them out once.
* An INSERT's final values are known in AFTER INSERT alone: an automatic rowid, and before SQLite 3.31 what was worked out twice.
  Where a user's AFTER INSERT trigger could skip that (`Layout.early`), BEFORE INSERT gives stamps for the values that it is told, too.
* REPLACE takes a row away without a trigger, where the writing program has recursive_triggers off. So the row that has the same key is
  looked up by each unique key, of which a full one has at the most one; where the key contains the column, its value is the new one's.
* REPLACE writes a constant default where a NOT NULL column is given NULL, after the BEFORE triggers ran.
* ``UPDATE OF`` goes by the names that a statement uses, and a rowid has three besides its column's.

Bodies are plain UPDATEs of rows that exist, one for each stamp: cheaper than one with IN.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..coherence.buckets import Affinity, bucket_sql, column_scope, scopes_sql
from ..coherence.names import fold, quoted
from ..coherence.scopes import table_scope

#: What a table's triggers are called after; see `Layout.triggers`.
EVENTS = ("insert", "update", "delete", "inserted", "moved", "replaced")

#: Names under which any rowid can be written, but for a column's of that name.
ROWIDS = ("rowid", "_rowid_", "oid")


class Column(NamedTuple):
    """A column whose buckets are kept. ``default``: a literal that REPLACE writes for NULL. ``rowid``: it is the rowid."""

    slot: int
    name: str
    affinity: Affinity
    default: str | None = None
    rowid: bool = False


class Part(NamedTuple):
    """A column of a unique key, with the key's own collation. ``default`` and ``rowid`` as a `Column`'s."""

    name: str
    collation: str = "BINARY"
    default: str | None = None
    rowid: bool = False


class Layout(NamedTuple):
    """A table as its triggers have to know it. Without ``columns`` it has but one stamp."""

    number: int
    table: str
    columns: tuple[Column, ...] = ()
    keys: tuple[tuple[Part, ...], ...] = ()
    early: bool = False  #: a user's AFTER INSERT trigger may skip ours

    def triggers(self) -> dict[str, str]:
        """The exact text of each trigger, as sqlite_schema holds it, by its name."""
        whole = [str(table_scope(self.number))]
        told = [self._scope(c, _value("NEW", c)) for c in self.columns if self._told(c)]
        old = [self._scope(c, f"OLD.{quoted(c.name)}") for c in self.columns]
        new = [self._scope(c, _value("NEW", c)) for c in self.columns]
        final = [self._scope(c, f"NEW.{quoted(c.name)}") for c in self.columns]
        taken = list(self._taken(inserting=True))
        moved = [name for c in self.columns for name in _spellings(c.name, rowid=c.rowid)]
        keys = [name for key in self.keys for part in key for name in _spellings(part.name, rowid=part.rowid)]
        return dict(
            self._trigger(event, when, scopes)
            for event, when, scopes in (
                ("insert", "BEFORE INSERT", [*whole, *told, *taken]),
                ("update", "BEFORE UPDATE", [*whole, *old]),
                ("delete", "BEFORE DELETE", [*whole, *old]),
                ("inserted", "AFTER INSERT", final),
                ("moved", f"BEFORE UPDATE OF {', '.join(dict.fromkeys(moved))}", new),
                ("replaced", f"BEFORE UPDATE OF {', '.join(dict.fromkeys(keys))}", list(self._taken(inserting=False))),
            )
            if scopes
        )

    def _trigger(self, event: str, when: str, scopes: list[str]) -> tuple[str, str]:
        name = trigger_name(event, self.number)
        return name, f"CREATE TRIGGER {name} {when} ON {quoted(self.table)} BEGIN {scopes_sql(scopes)}END"

    def _told(self, column: Column) -> bool:
        """Whether BEFORE INSERT stamps the value that it is told: it is the victim's, or the last word on it."""
        return not column.rowid and (self.early or any(_decides(key, column) for key in self.keys))

    def _taken(self, *, inserting: bool) -> Iterator[str]:
        """Scopes of the rows that REPLACE would take away."""
        for key in self.keys:
            for column in self.columns:
                if _decides(key, column) and not (inserting and column.rowid):
                    continue  # the victim's value is the new row's
                value = bucket_sql(quoted(column.name), column.affinity)
                same = " AND ".join(_same(part) for part in key)
                yield self._plus(column, f"(SELECT {value} FROM {quoted(self.table)} WHERE {same})")

    def _scope(self, column: Column, value: str) -> str:
        return self._plus(column, bucket_sql(value, column.affinity))

    def _plus(self, column: Column, bucket: str) -> str:
        return f"{column_scope(self.number, column.slot)} + {bucket}"


def trigger_name(event: str, number: int) -> str:
    """The name of a table's trigger; by number, because a renamed table keeps its triggers' names."""
    return f"_coeval_{event}_{number}"


def _value(row: str, column: Column | Part) -> str:
    """The value of a new row as it will be written."""
    name = f"{row}.{quoted(column.name)}"
    return name if column.default is None else f"coalesce({name}, {column.default})"


def _same(part: Part) -> str:
    """The condition for a row with the new one's key."""
    return f"{quoted(part.name)} = {_value('NEW', part)} COLLATE {part.collation}"


def _decides(key: tuple[Part, ...], column: Column) -> bool:
    """Whether rows with the same key have the same value of ``column``."""
    return any(fold(part.name) == fold(column.name) and part.collation == "BINARY" for part in key)


def _spellings(name: str, *, rowid: bool) -> list[str]:
    """What a statement may call a column that it sets."""
    return [quoted(name), *(map(quoted, ROWIDS) if rowid else ())]
