"""One write statement, run once or for many rows, inside a transaction that is somebody else's affair.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rows import Result, Row
from .connection import Connection, Parameters
from .statement import Kind, Statement

#: A rowid that nobody has, to tell whether a statement inserted anything.
NO_ROW = -(2**63)


def step(connection: Connection, statement: Statement, parameters: Parameters) -> Result:
    """Run it once, to its end."""
    raw = connection.raw
    if statement.inserts:
        raw.set_last_insert_rowid(NO_ROW)  # the last one may be a neighbour's, and this may insert nothing
    if not statement.returns:
        connection.change(statement.sql, parameters)
        rows: tuple[Row, ...] = ()
    else:
        rows = connection.rows(statement.sql, parameters)
        if statement.kind is not Kind.WRITE:
            return Result(0, None, rows)
    last = raw.last_insert_rowid() if statement.inserts else NO_ROW
    return Result(raw.changes(), None if last == NO_ROW else last, rows)


def step_all(connection: Connection, statement: Statement, parameters: Sequence[Parameters]) -> Result:
    """Run it once with each of ``parameters``; the count of rows is the sum."""
    total, last = 0, None
    for one in parameters:
        result = step(connection, statement, one)
        total, last = total + result.rowcount, result.lastrowid
    return Result(total, last, ())
