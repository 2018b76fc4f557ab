"""A table as seen by those who write to it on other ways than a statement of the user's: `load` and `Blob` (laws 1 and 3; hole 10).

They replace the table's stamp themselves. For `load` that takes the place of our triggers, which are switched off meanwhile, so
`Target.quiet` must be True only where nothing else would have fired.

Ring: shell.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import apsw

from ..coherence.names import fold
from ..coherence.read_set import OWN_TABLES
from ..coherence.scopes import block
from ..errors import OpenError, SQLError
from .layout import EVENTS
from .triggers import FORMAT, catalogue, schema_version

_ON_CONFLICT = re.compile(r"\bON\s+CONFLICT\b", re.IGNORECASE)

_USER_TRIGGERS = f"""
SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?1)
                 AND NOT ({" OR ".join(f"name GLOB '_coeval_{event}_[0-9]*'" for event in EVENTS)}))
    OR EXISTS (SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger')"""

#: Tables that refer to ?1: is it itself one of them, does any of them act when a row of ?1 changes or goes?
_REFERENCES = """
SELECT coalesce(max(lower(l.name) = lower(?1)), 0),
       coalesce(max(f.on_update NOT IN ('NO ACTION', 'RESTRICT') OR f.on_delete NOT IN ('NO ACTION', 'RESTRICT')), 0)
FROM pragma_table_list AS l JOIN pragma_foreign_key_list(l.name, 'main') AS f
WHERE l.schema = 'main' AND l.type = 'table' AND lower(f."table") = lower(?1)"""


class Target(NamedTuple):
    """What a table is at one ``version`` of the schema."""

    name: str  #: in the schema's spelling
    version: int
    columns: tuple[str, ...]  #: that can be written
    generated: frozenset[str]  #: folded names of those that cannot
    #: of its stamp; None: it has none, or nothing is proved by stamps now, and verifying will replace the schema stamp
    number: int | None
    virtual: bool
    triggers: bool  #: users' triggers fire on it
    resolves: bool  #: its declaration has an ON CONFLICT clause
    refers_to_itself: bool
    cascades: bool  #: a change or deletion of its rows reaches into other tables

    def quiet(self, *, updates: bool) -> bool:
        """Whether with our triggers switched off all that is missed is this table's stamp. ``updates``: existing rows may change.

        Foreign key actions run with triggers off, and the triggers of the tables that they reach do not.
        """
        return self.number is not None and not self.triggers and not (self.cascades and (updates or self.resolves))


def find(connection: apsw.Connection, name: str) -> Target:
    """The table ``name`` in the present snapshot. Raises SQLError where there is none that may be written so."""
    if not isinstance(name, str):
        raise SQLError(f"A table's name is text, and this is {type(name).__name__}", hint="Give the name as a str.")
    known = catalogue(connection).relations.get(fold(name))
    if known is None:
        raise SQLError(f"no such table: {name}", hint="Create it first, or correct the name.")
    if fold(name) in OWN_TABLES:
        raise SQLError(f"Coeval keeps its stamps in {name}", hint="Leave this table alone.")
    if known.kind not in ("table", "virtual"):
        raise SQLError(
            f"{known.name} is a {'view' if known.kind == 'view' else 'part of a virtual table'}, and this call writes to tables",
            hint="Name the table itself.",
        )
    rows: list[Any] = connection.execute(
        "SELECT name, hidden FROM pragma_table_xinfo(?, 'main')", (known.name,)
    ).fetchall()
    declared = connection.execute(
        "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", (known.name,)
    ).get
    itself, cascades = connection.execute(_REFERENCES, (known.name,)).get
    return Target(
        known.name,
        schema_version(connection),
        tuple(column for column, hidden in rows if hidden == 0),
        frozenset(fold(column) for column, hidden in rows if hidden in (2, 3)),
        known.number if _verified(connection) else None,
        known.kind == "virtual",
        bool(connection.execute(_USER_TRIGGERS, (known.name,)).get),
        _ON_CONFLICT.search(declared or "") is not None,
        bool(itself),
        bool(cascades),
    )


def restamp(connection: apsw.Connection, number: int) -> bool:
    """Replace every stamp of table ``number``, inside a write transaction; False where it has none."""
    connection.execute("UPDATE main._coeval_stamps SET stamp = random() WHERE id BETWEEN ? AND ?", block(number))
    return connection.changes() > 0


def _verified(connection: apsw.Connection) -> bool:
    """Whether stamps prove anything in the present snapshot. Raises OpenError where only a later version of Coeval can tell."""
    try:
        row = connection.execute("SELECT version, format FROM main._coeval_schema WHERE id = 1").get
    except apsw.SQLError:  # the file has no stamps
        return False
    if row is not None and row[1] > FORMAT:
        raise OpenError(
            f"The stamps in {connection.filename} are of a later version of Coeval, which this one cannot replace",
            hint="Upgrade Coeval, or write by `execute` alone.",
        )
    return row is not None and bool(row[0] == schema_version(connection))
