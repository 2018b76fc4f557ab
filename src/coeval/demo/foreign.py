"""A program that knows nothing of Coeval: it opens the file with the standard ``sqlite3`` and does as it is told.

Run as a file of its own, with nothing but the standard library. One line of JSON in, one line of JSON out:

    {"write": [flight, minutes, by]}     -> {"id": 17}           records a delay, committed when the answer comes
    {"ask": [sql, [parameters]]}         -> {"rows": [[...]]}    runs a statement
    {"copy": "/to/this.db"}              -> {"rows": []}         a copy made by SQLite (VACUUM INTO), never of raw bytes

The first line it writes tells its version of SQLite. It ends when its input ends.

Ring: shell.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from typing import Any

# From 3.51.3 on SQLite is free of the error by which a checkpoint that meets a commit can corrupt a WAL file.
# An older library therefore leaves checkpoints to others.
SAFE_CHECKPOINTS = (3, 51, 3)


def connect(path: str) -> sqlite3.Connection:
    """A connection as any program might have it: autocommit, waiting up to ten seconds for its turn."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    if sqlite3.sqlite_version_info < SAFE_CHECKPOINTS:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def write(connection: sqlite3.Connection, flight: int, minutes: int, by: str) -> int:
    """Records a delay exactly as the application does, and returns its number once it is committed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        changed = connection.execute(
            "UPDATE delays SET minutes = ?, reports = reports + 1 WHERE flight_id = ?", (minutes, flight)
        )
        if changed.rowcount != 1:
            raise LookupError(f"no flight {flight}")
        cursor = connection.execute(
            "INSERT INTO delay_reports (flight_id, minutes, reported_by, reported_at) VALUES (?, ?, ?, ?)",
            (flight, minutes, by, int(time.time())),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return int(cursor.lastrowid or 0)


def answer(connection: sqlite3.Connection, order: dict[str, Any]) -> dict[str, Any]:
    """Does what one line says."""
    if "write" in order:
        flight, minutes, by = order["write"]
        return {"id": write(connection, flight, minutes, by)}
    if "copy" in order:
        connection.execute("VACUUM INTO ?", (order["copy"],))
        return {"rows": []}
    sql, parameters = order["ask"]
    return {"rows": connection.execute(sql, parameters).fetchall()}


def main() -> None:
    """Serves lines until the input ends."""
    connection = connect(sys.argv[1])
    print(json.dumps({"sqlite": list(sqlite3.sqlite_version_info)}), flush=True)
    for line in sys.stdin:
        try:
            result = answer(connection, json.loads(line))
        except (sqlite3.Error, LookupError, ValueError) as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)
    connection.close()


if __name__ == "__main__":
    main()
