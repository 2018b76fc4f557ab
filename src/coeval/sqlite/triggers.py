"""Stamps by triggers: installing, verifying, repairing and removing them (laws 1 and 3; holes 1 to 4, 20, 24 and 28).

What must hold here:

* Each ordinary table has three triggers, BEFORE INSERT, UPDATE and DELETE, and more where columns of it are tracked, of exactly the
  text that `layout` gives. BEFORE, because a user's AFTER trigger with RAISE(IGNORE) would skip ours. The bodies are plain UPDATEs of
  rows that exist, because the conflict clause of the outer statement would override one in the body.
* Never a trigger on a shadow table: FTS5's crash the process.
* ``_coeval_schema`` holds the schema_version at which all of this was last verified, and the schema stamp. They change together, in the
  transaction that verified. Where the file's schema_version is another, nothing about stamps is proved.
* Our tables are found by their exact names, our triggers by exact name, table and text.

* What is tracked is read from the file, so that all processes make the same triggers of the same schema (hole 24). Whoever changes what
  follows from a schema, in `layout` or `tracking`, raises FORMAT.

Four tables stand in the user's file, none STRICT, so that programs with SQLite older than 3.37 can still read its schema.

Ring: shell.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

import apsw

from ..coherence.buckets import BUCKETS, column_scope
from ..coherence.names import fold, quoted
from ..coherence.read_set import OWN_TABLES, Catalogue, Relation
from ..coherence.scopes import BLOCK, block, table_scope
from ..errors import OpenError
from . import tracking
from .layout import Layout

#: The format of everything below. A file with a higher one was written by a later version of Coeval. 1 had no `_coeval_columns`.
FORMAT = 2

_TABLES = (
    """CREATE TABLE IF NOT EXISTS main._coeval_schema(
  id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, version INTEGER NOT NULL, stamp INTEGER NOT NULL,
  opened INTEGER NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS main._coeval_tables(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS main._coeval_stamps(id INTEGER PRIMARY KEY, stamp INTEGER NOT NULL)",
    tracking.TABLE,
)

_COLUMNS = {
    "_coeval_schema": {"id", "format", "version", "stamp"},
    "_coeval_tables": {"id", "name"},
    "_coeval_stamps": {"id", "stamp"},
    "_coeval_columns": {"number", "slot", "name"},
}

_MODULE = re.compile(r"USING\s+[\"'`\[]?(\w+)", re.IGNORECASE)


class Verified(NamedTuple):
    """What a verification found and did."""

    version: int  #: the schema_version that is verified now
    stamp: int  #: the schema stamp
    repaired: int  #: triggers and stamps that were missing, wrong or left over; 0 also when nothing had to be done


def verify(connection: apsw.Connection) -> Verified:
    """Make every trigger and stamp what it must be. Call it inside a write transaction; it is true once that commits.

    When anything was wrong, or the schema has changed since the last time, the schema stamp is new afterwards, so that every entry
    made before is worth nothing.
    """
    _refuse_strangers(connection)
    found = _format(connection)
    if found > FORMAT:
        raise OpenError(
            f"The stamps in {connection.filename} are of a later version of Coeval",
            hint='Upgrade Coeval, or open the file with coherence="clock".',
        )
    version = schema_version(connection)
    for statement in _TABLES:
        connection.execute(statement)
    tables = [r for r in _relations(connection) if r.kind == "table"]
    numbers, repaired = _number(connection, [r.name for r in tables])
    repaired += tracking.prune(connection, numbers)
    repaired += _triggers(connection, _layouts(connection, numbers))
    repaired += _stamps(connection, numbers)
    row = connection.execute("SELECT version, stamp FROM main._coeval_schema WHERE id = 1").get
    if row is None or repaired or found != FORMAT or row[0] != version or schema_version(connection) != version:
        version = schema_version(connection)
        connection.execute(
            "INSERT OR REPLACE INTO main._coeval_schema VALUES (1, ?, ?, random(), random())", (FORMAT, version)
        )
        row = connection.execute("SELECT version, stamp FROM main._coeval_schema WHERE id = 1").get
    return Verified(version, row[1], repaired)


def sound(connection: apsw.Connection) -> bool:
    """Whether `verify` would find nothing to do, in the present snapshot; found by reading alone."""
    _refuse_strangers(connection)
    if _format(connection) != FORMAT or not OWN_TABLES <= {fold(r.name) for r in _relations(connection, ours=True)}:
        return False
    numbers = dict(_all(connection, "SELECT name, id FROM main._coeval_tables"))
    return (
        connection.execute("SELECT version FROM main._coeval_schema WHERE id = 1").get == schema_version(connection)
        and numbers.keys() == {r.name for r in _relations(connection) if r.kind == "table"}
        and {name: (table, sql) for name, table, sql in _our_triggers(connection)}
        == _expected(_layouts(connection, numbers))
        and not _unstamped(connection, numbers)
    )


def remove(connection: apsw.Connection) -> list[str]:
    """Drop every trigger and table of ours, inside a write transaction; the names, in the order dropped."""
    names = [name for name, _, _ in _our_triggers(connection)]
    for name in names:
        connection.execute(f"DROP TRIGGER main.{quoted(name)}")
    present = {fold(r.name) for r in _relations(connection, ours=True)}
    for name in sorted((OWN_TABLES & present) - _strangers(connection)):
        connection.execute(f"DROP TABLE main.{name}")
        names.append(name)
    return names


def touch(connection: apsw.Connection) -> None:
    """Change a number that nobody reads, inside a write transaction: SQLite writes no page, and so no commit, where all stays the same."""
    connection.execute("UPDATE main._coeval_schema SET opened = random()")


def doubt(connection: apsw.Connection) -> None:
    """Have the next `verify`, in the same write transaction, give a new schema stamp, whatever it finds."""
    connection.execute("UPDATE main._coeval_schema SET version = -1")


def restamp(connection: apsw.Connection) -> None:
    """New stamps for every scope and for the schema, inside a write transaction, where `verify` has been.

    Of the system's random numbers: those of SQLite, which the triggers take, are a sequence in this process's memory, and a clone of the
    process goes on with the same one (hole 20). It begins anew here, too.
    """
    apsw.randomness(0)
    scopes = _all(connection, "SELECT id FROM main._coeval_stamps")
    connection.executemany(
        "UPDATE main._coeval_stamps SET stamp = ? WHERE id = ?", [(_chance(), *scope) for scope in scopes]
    )
    connection.execute("UPDATE main._coeval_schema SET stamp = ?", (_chance(),))


def _chance() -> int:
    return int.from_bytes(os.urandom(8), "big", signed=True)


def schema_version(connection: apsw.Connection) -> int:
    """SQLite's own counter of schema changes, in the present snapshot."""
    return int(connection.execute("PRAGMA main.schema_version").get)


def catalogue(connection: apsw.Connection) -> Catalogue:
    """What every name of the main schema means, in the present snapshot. Tables have numbers where they have stamps."""
    relations = {fold(r.name): r for r in _relations(connection, ours=True)}
    if "_coeval_tables" in relations:
        slots = tracking.columns(connection)
        for number, name in _all(connection, "SELECT id, name FROM main._coeval_tables"):
            known = relations.get(fold(name))
            if known is not None and known.kind == "table":
                layout, distrusted = tracking.layout(connection, number, known.name, slots.get(number, {}))
                relations[fold(name)] = known._replace(
                    number=number, tracked=tracking.trusted(layout), distrusted=tuple(distrusted.items())
                )
    return Catalogue(relations, _modules(connection))


def _modules(connection: apsw.Connection) -> frozenset[str]:
    return frozenset(fold(name) for (name,) in _all(connection, "PRAGMA module_list"))


def _relations(connection: apsw.Connection, ours: bool = False) -> list[Relation]:
    """Tables, views and virtual tables of the main schema; SQLite's own never, ours on request."""
    rows = _all(connection, "SELECT name, type FROM pragma_table_list WHERE schema = 'main'")
    virtual: dict[str, str] = {}
    unloaded: list[str] = []
    if any(kind == "virtual" for _, kind in rows):
        loaded = _modules(connection)
        made = connection.execute(
            "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'"
        )
        for name, sql in made:
            found = _MODULE.search(sql)
            virtual[name] = found[1].lower() if found else ""
            if virtual[name] not in loaded:
                unloaded.append(f"{fold(name)}_")
    relations = []
    for name, kind in rows:
        lower = fold(name)
        if lower.startswith("sqlite_") or (lower in OWN_TABLES and not ours):
            continue
        # A module that is not loaded here cannot tell its shadow tables, so every table named after its table counts as one.
        shadow = kind == "table" and lower.startswith(tuple(unloaded))
        relations.append(Relation(name, "shadow" if shadow else kind, None, virtual.get(name, "")))
    return relations


def _strangers(connection: apsw.Connection) -> set[str]:
    """Tables and views that are called like ours and are somebody else's."""
    columns = _all(
        connection,
        "SELECT lower(t.name), t.type, c.name FROM pragma_table_list AS t JOIN pragma_table_info(t.name, 'main') AS c "
        "WHERE t.schema = 'main' AND lower(t.name) IN ('_coeval_schema', '_coeval_tables', '_coeval_stamps', '_coeval_columns')",
    )
    found: dict[str, set[str]] = {}
    for name, kind, column in columns:
        found.setdefault(name, set()).add(column if kind == "table" else "")
    return {name for name, present in found.items() if not _COLUMNS[name] <= present}


def _refuse_strangers(connection: apsw.Connection) -> None:
    strangers = _strangers(connection)
    if strangers:
        raise OpenError(
            f"{connection.filename} has {', '.join(sorted(strangers))} of its own, a name that Coeval keeps its stamps under",
            hint='Rename it, or open the file with coherence="clock".',
        )


def _format(connection: apsw.Connection) -> int:
    if connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = '_coeval_schema'").get is None:
        return 0
    row = connection.execute("SELECT format FROM main._coeval_schema WHERE id = 1").get
    return 0 if row is None else int(row)


def _number(connection: apsw.Connection, names: list[str]) -> tuple[dict[str, int], int]:
    """Each table's number; how many had to be changed. A dropped table's number goes, a new one gets the next."""
    known = {name: number for number, name in _all(connection, "SELECT id, name FROM main._coeval_tables")}
    changed = 0
    for name in known.keys() - set(names):
        connection.execute("DELETE FROM main._coeval_stamps WHERE id BETWEEN ? AND ?", block(known[name]))
        # Its number may be the next one's.
        connection.execute("DELETE FROM main._coeval_columns WHERE number = ?", (known[name],))
        connection.execute("DELETE FROM main._coeval_tables WHERE id = ?", (known.pop(name),))
        changed += 1
    for name in names:
        if name not in known:
            connection.execute("INSERT INTO main._coeval_tables(name) VALUES (?)", (name,))
            known[name] = connection.last_insert_rowid()
            changed += 1
    return known, changed


def _our_triggers(connection: apsw.Connection) -> list[tuple[str, str, str]]:
    """Triggers that are ours by name, and whatever stands on our tables, where it could keep a stamp from changing."""
    rows = _all(connection, "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'trigger'")
    return [row for row in rows if tracking.TRIGGER_NAME.fullmatch(row[0]) or fold(row[1]) in OWN_TABLES]


def _all(connection: apsw.Connection, sql: str) -> list[Any]:
    return connection.execute(sql).fetchall()


def _triggers(connection: apsw.Connection, layouts: list[Layout]) -> int:
    expected = _expected(layouts)
    changed = 0
    for name, table, sql in _our_triggers(connection):
        if expected.get(name) == (table, sql):
            del expected[name]
        else:
            connection.execute(f"DROP TRIGGER main.{quoted(name)}")
            changed += 1
    for _, sql in expected.values():  # a temporary object of on_connect may hide the table from an unqualified name
        connection.execute(sql.replace("CREATE TRIGGER ", "CREATE TRIGGER main.", 1))
    return changed + len(expected)


def _layouts(connection: apsw.Connection, numbers: dict[str, int]) -> list[Layout]:
    """Every table as the present schema makes it."""
    slots = tracking.columns(connection)
    return [tracking.layout(connection, number, table, slots.get(number, {}))[0] for table, number in numbers.items()]


def _expected(layouts: list[Layout]) -> dict[str, tuple[str, str]]:
    """Table and text of every trigger that has to be there, by its name."""
    return {name: (layout.table, sql) for layout in layouts for name, sql in layout.triggers().items()}


def _stamps(connection: apsw.Connection, numbers: dict[str, int]) -> int:
    missing = _unstamped(connection, numbers)
    for scope in missing:
        if scope % BLOCK:
            tracking.make_stamps(connection, scope)
        else:
            connection.execute("INSERT INTO main._coeval_stamps VALUES (?, random())", (scope,))
    return len(missing)


def _unstamped(connection: apsw.Connection, numbers: dict[str, int]) -> set[int]:
    """Scopes of tables without a stamp, and the first scope of each column that lacks one."""
    scopes = f"FROM main._coeval_stamps WHERE id >= {BLOCK}"
    present = {scope for (scope,) in _all(connection, f"SELECT id {scopes} AND id % {BLOCK} = 0")}
    missing = {table_scope(number) for number in numbers.values()} - present
    slots = tracking.columns(connection)
    if slots:
        found = _all(connection, f"SELECT id / {BUCKETS} {scopes} GROUP BY 1 HAVING count(*) = {BUCKETS}")
        whole = {first * BUCKETS for (first,) in found}
        missing |= {column_scope(number, slot) for number in slots for slot in slots[number].values()} - whole
    return missing
