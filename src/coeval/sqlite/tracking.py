"""What is tracked finer than by table, as the file says, and whether it can be (laws 1 and 3; holes 2, 11, 21 to 24).

``_coeval_columns`` is in the file, so that every process keeps the same buckets, whatever it was told to track itself. Whether they can be
trusted follows from the schema alone and is found out anew with each: what cannot be proved leaves the whole table to count, and says why.

Ring: shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import apsw

from ..coherence.buckets import BUCKETS, SLOTS, Affinity, Tracked, column_scope
from ..coherence.names import fold
from .layout import EVENTS, ROWIDS, Column, Layout, Part

TABLE = """CREATE TABLE IF NOT EXISTS main._coeval_columns(
  number INTEGER NOT NULL, slot INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (number, slot))"""

#: Names of our triggers, exactly those and no user's that happen to begin alike (hole 28).
TRIGGER_NAME = re.compile(rf"_coeval_(?:{'|'.join(EVENTS)})_[0-9]+")

#: A default that is the same for every row, and text that means the same in every program.
_LITERAL = re.compile(
    r"\s*(?:(?P<INTEGER>[+-]?[0-9]{1,18})|(?P<TEXT>'(?:[^']|'')*')|(?P<REAL>[+-]?[0-9]+\.[0-9]+)|NULL)\s*",
    re.IGNORECASE,
)

#: How sqlite_schema begins a trigger that cannot come after an INSERT.
_NOT_AFTER_INSERT = re.compile(
    r"CREATE TRIGGER (?:\w+|\"[^\"]+\"|\[[^\]]+\]|`[^`]+`|'[^']+')\s+"
    r"(?:(?:BEFORE\s+)?(?:INSERT|UPDATE|DELETE)|AFTER\s+(?:UPDATE|DELETE))\b",
    re.IGNORECASE,
)

_COLLATIONS = frozenset({"BINARY", "NOCASE", "RTRIM"})


class Anatomy(NamedTuple):
    """An ordinary table, as far as tracking it goes."""

    columns: tuple[str, ...]  #: all of them, in order
    trackable: dict[str, Column]  #: by folded name, with slot 0
    refused: dict[str, str]  #: by folded name: why a column cannot be tracked
    keys: tuple[tuple[Part, ...], ...]
    early: bool  #: as a `Layout`'s
    reason: str  #: why nothing of the table can be tracked; "" where something can


def columns(connection: apsw.Connection) -> dict[int, dict[str, int]]:
    """The slots of what is tracked by name, by table number. The table need not be there."""
    found: dict[int, dict[str, int]] = {}
    if connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = '_coeval_columns'").get is not None:
        for number, slot, name in _all(connection, "SELECT number, slot, name FROM main._coeval_columns ORDER BY 1, 2"):
            found.setdefault(number, {})[name] = slot
    return found


def layout(
    connection: apsw.Connection, number: int, table: str, slots: Mapping[str, int]
) -> tuple[Layout, dict[str, str]]:
    """The table's layout, and why columns that are tracked are not trusted, by name."""
    if not slots:
        return Layout(number, table), {}
    anatomy = examine(connection, table)
    distrusted = {name: why for name in slots if (why := unfit(anatomy, name))}
    trusted = tuple(
        anatomy.trackable[fold(name)]._replace(slot=slot) for name, slot in slots.items() if name not in distrusted
    )
    if not trusted:
        return Layout(number, table), distrusted
    return Layout(number, table, trusted, anatomy.keys, anatomy.early), distrusted


def unfit(anatomy: Anatomy, name: str) -> str:
    """Why the buckets of column ``name`` cannot be kept; "" where they can."""
    column = anatomy.trackable.get(fold(name))
    if column is None:
        return anatomy.refused.get(fold(name), "there is no such column")
    if anatomy.reason:
        return anatomy.reason
    if column.rowid and anatomy.early:
        return "a trigger AFTER INSERT may fail between an automatic id and its stamp"
    return ""


def trusted(layout: Layout) -> tuple[Tracked, ...]:
    """What of a table can be read by buckets."""
    return tuple(Tracked(column.slot, column.name, column.affinity) for column in layout.columns)


def prune(connection: apsw.Connection, numbers: Mapping[str, int]) -> int:
    """Forget, inside a write transaction, what is tracked of tables and columns that are gone; how many columns that was.

    ``numbers``: of the tables that are there, by name.
    """
    tables = {number: table for table, number in numbers.items()}
    gone = 0
    for number, slots in columns(connection).items():
        present = set()
        if number in tables:
            rows = _all(connection, "SELECT name FROM pragma_table_xinfo(?, 'main')", tables[number])
            present = {fold(name) for (name,) in rows}
        for name, slot in slots.items():
            if fold(name) not in present:
                _drop(connection, number, slot)
                gone += 1
    return gone


def add(connection: apsw.Connection, number: int, names: Iterable[str]) -> None:
    """Track columns ``names``, in the schema's spelling, inside a write transaction; `triggers.verify` does the rest."""
    taken = columns(connection).get(number, {})
    free = (slot for slot in range(1, SLOTS + 1) if slot not in taken.values())
    for name in names:
        if name not in taken:
            connection.execute("INSERT INTO main._coeval_columns VALUES (?, ?, ?)", (number, next(free), name))


def drop(connection: apsw.Connection, number: int, names: Iterable[str] | None) -> None:
    """No longer track columns ``names``, or any, inside a write transaction; `triggers.verify` does the rest."""
    wanted = None if names is None else {fold(name) for name in names}
    for name, slot in columns(connection).get(number, {}).items():
        if wanted is None or fold(name) in wanted:
            _drop(connection, number, slot)


def _drop(connection: apsw.Connection, number: int, slot: int) -> None:
    connection.execute("DELETE FROM main._coeval_columns WHERE number = ? AND slot = ?", (number, slot))
    first = column_scope(number, slot)
    connection.execute("DELETE FROM main._coeval_stamps WHERE id BETWEEN ? AND ?", (first, first + BUCKETS - 1))


def make_stamps(connection: apsw.Connection, first: int) -> None:
    """The stamps of one column, those that are missing, inside a write transaction."""
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) "
        "INSERT OR IGNORE INTO main._coeval_stamps SELECT i, random() FROM n",
        (first, first + BUCKETS - 1),
    )


def examine(connection: apsw.Connection, table: str) -> Anatomy:
    """What of ``table``, an ordinary table in the schema's spelling, can be tracked; read from the present snapshot."""
    rows = _all(
        connection, "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main')", table
    )
    flat = bool(connection.execute("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)).get)
    indexes = _all(connection, "SELECT name, origin, partial FROM pragma_index_list(?, 'main') WHERE \"unique\"", table)
    primary = [row[0] for row in rows if row[4]]
    rowid = primary[0] if len(primary) == 1 and not flat and all(origin != "pk" for _, origin, _ in indexes) else None
    names = tuple(row[0] for row in rows)
    trackable: dict[str, Column] = {}
    refused: dict[str, str] = {}
    parts: dict[str, Part | str] = {}
    for name, declared, strict, default, pk, hidden in rows:
        written = _literal(default) if default is not None and name != rowid else ("NULL", None)
        replaced = bool(strict or (flat and pk))
        parts[name] = Part(name, rowid=name == rowid) if name == rowid or not replaced else _part(name, written)
        if hidden in (2, 3):
            parts[name] = f"{name}, part of a unique key, is generated"
        affinity = affinity_of(declared)
        if hidden:
            refused[fold(name)] = f"{name} is a generated column"
        elif affinity is None:
            refused[fold(name)] = (
                f"{name} has neither INTEGER nor TEXT affinity (it is declared {declared or 'without a type'})"
            )
        elif (collation := connection.column_metadata("main", table, name)[1].upper()) != "BINARY":
            refused[fold(name)] = f"{name} is compared by the collation {collation}"
        elif replaced and name != rowid and written[0] not in ("NULL", affinity):
            refused[fold(name)] = f"{name} is NOT NULL, and its default {default} is no constant of its type"
        else:
            trackable[fold(name)] = Column(0, name, affinity, written[1] if replaced else None, name == rowid)
    keys, reason = _keys(connection, indexes, parts)
    if rowid is None and not flat:
        free = [one for one in ROWIDS if one not in map(fold, names)]
        keys = [*keys, *((Part(one, rowid=True),) for one in free[:1])]  # else nobody can write a rowid
    elif rowid is not None:
        keys = [(Part(rowid, rowid=True),), *keys]
    early, ignoring = _users_triggers(connection, table)
    return Anatomy(names, trackable, refused, tuple(keys), early, reason or ignoring)


def affinity_of(declared: str) -> Affinity | None:
    """The affinity of a column by its declared type, where values of it can have buckets."""
    lower = fold(declared)
    if "int" in lower:
        return "INTEGER"
    return "TEXT" if "char" in lower or "clob" in lower or "text" in lower else None


def _part(name: str, written: tuple[str, str | None]) -> Part | str:
    """A column of a key that is NOT NULL, or why its key cannot be looked up."""
    if written[0] == "":
        return f"{name}, part of a unique key, has a default that is no constant"
    return Part(name, default=written[1])


def _literal(default: str) -> tuple[str, str | None]:
    """The type of a constant default, and its text unless it is NULL; an empty type: it is no constant."""
    found = _LITERAL.fullmatch(default)
    if found is None:
        return "", None
    kind = found.lastgroup
    return ("NULL", None) if kind is None else (kind, found[kind])


def _keys(
    connection: apsw.Connection, indexes: list[Any], parts: Mapping[str, Part | str]
) -> tuple[list[tuple[Part, ...]], str]:
    """The unique keys but the rowid, or why one of them cannot be looked up."""
    keys: list[tuple[Part, ...]] = []
    for index, _, partial in indexes:
        if partial:
            return [], f"the unique index {index} is partial"
        key = []
        for name, collation in _all(
            connection, "SELECT name, coll FROM pragma_index_xinfo(?, 'main') WHERE key", index
        ):
            part = parts.get(name, f"the unique index {index} is over an expression")
            if isinstance(part, str):
                return [], part
            if collation.upper() not in _COLLATIONS:
                return [], f"the unique index {index} has the collation {collation}"
            key.append(part._replace(collation=collation.upper(), rowid=False))
        keys.append(tuple(key))
    return keys, ""


def _users_triggers(connection: apsw.Connection, table: str) -> tuple[bool, str]:
    """Whether one of the user's may come between an INSERT and ours, and why it may do that unforeseen."""
    early = False
    rows = _all(connection, "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'trigger'")
    for name, on, sql in rows:
        if fold(on) != fold(table) or TRIGGER_NAME.fullmatch(name):
            continue
        text = fold(sql)
        if "raise" in text and "ignore" in text:
            return True, f"the trigger {name} may skip others by RAISE(IGNORE)"
        early = early or after_insert(sql)
    return early, ""


def after_insert(trigger: str) -> bool:
    """Whether a trigger of this text may come after an INSERT."""
    return "after" in fold(trigger) and _NOT_AFTER_INSERT.match(trigger) is None


def _all(connection: apsw.Connection, sql: str, *parameters: Any) -> list[Any]:
    return connection.execute(sql, parameters).fetchall()
