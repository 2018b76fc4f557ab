"""A database as SQL text that makes it anew.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..coherence.names import fold, quoted
from ..coherence.read_set import OWN_TABLES
from ..sqlite.tracking import TRIGGER_NAME
from .errors import OperationalError

if TYPE_CHECKING:
    from .connection import Connection


def lines(connection: Connection, filter: str | None) -> Iterator[str]:
    """The statements, one by one: tables with their rows, then the rest. What is Coeval's own is left out."""
    cursor = connection.cursor()
    cursor.row_factory = None
    if _violations(connection):  # else keys are checked while it is run
        yield "PRAGMA foreign_keys=OFF;"
    yield "BEGIN TRANSACTION;"
    chosen, values = (" AND name LIKE ?", (filter,)) if filter else ("", ())
    found = cursor.execute(
        f"SELECT name, type, sql FROM main.sqlite_schema WHERE sql IS NOT NULL{chosen} ORDER BY type = 'table' DESC, "
        "CASE type WHEN 'table' THEN name END, rowid",
        values,
    ).fetchall()
    sequence: list[str] = []
    virtual = False
    for name, kind, sql in found:
        if fold(name) in OWN_TABLES or TRIGGER_NAME.fullmatch(name):
            continue
        if kind != "table":
            continue
        if name == "sqlite_sequence":
            sequence = [f"DELETE FROM {quoted(name)};", *_rows(connection, name)]
            continue
        if name == "sqlite_stat1":
            yield 'ANALYZE "sqlite_master";'
        elif name.startswith("sqlite_"):
            continue
        elif sql.upper().startswith("CREATE VIRTUAL"):
            if not virtual:
                virtual = True
                yield "PRAGMA writable_schema=ON;"
            text = sql.replace("'", "''")
            yield (
                "INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql)"
                f"VALUES('table','{name.replace(chr(39), chr(39) * 2)}','{name.replace(chr(39), chr(39) * 2)}',0,'{text}');"
            )
            continue
        else:
            yield f"{sql};"
        yield from _rows(connection, name)
    for name, kind, sql in found:
        if kind != "table" and not TRIGGER_NAME.fullmatch(name):
            yield f"{sql};"
    if virtual:
        yield "PRAGMA writable_schema=OFF;"
    yield from sequence
    yield "COMMIT;"


def _violations(connection: Connection) -> bool:
    try:
        return connection.execute("PRAGMA foreign_key_check").fetchone() is not None
    except OperationalError:  # keys that refer to nothing unique, which nothing can satisfy or violate
        return False


def _rows(connection: Connection, table: str) -> Iterator[str]:
    cursor = connection.cursor()
    cursor.row_factory = None
    columns = [row[1] for row in cursor.execute(f"PRAGMA main.table_info({quoted(table)})").fetchall()]
    values = " || ',' || ".join(f"quote({quoted(column)})" for column in columns)
    head = f"INSERT INTO {quoted(table)} VALUES("
    for (row,) in cursor.execute(f"SELECT {values} FROM main.{quoted(table)}"):
        yield f"{head}{row.decode() if isinstance(row, bytes) else row});"
