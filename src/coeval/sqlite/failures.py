"""SQLite's errors become ours: what happened, to what, and the cure.

Ring: shell.
"""

from __future__ import annotations

import apsw

from .. import errors

_CURES = (
    (
        " after drop column",
        "A column that is tracked is dropped after `db.untrack(table, by=[column])`; look for triggers that use it.",
    ),
    ("no such table", "Create it first, or correct the name."),
    ("no such column", "Correct the name; a text constant stands in single quotes."),
    ("no such function", "Correct the name, or give it by `db.create_function`."),
    ("no such collation", "Correct the name, or give it by `db.create_collation`."),
    ("already exists", "Use IF NOT EXISTS, or another name."),
    ("syntax error", "Correct the statement near the word that is named."),
    ("ambiguous column", "Put the table's name before the column's."),
    ("values for", "Give one value for each column."),
)


def translate(error: apsw.Error, path: str, sql: str = "") -> errors.Error:
    """Our error for one of APSW's, to be raised ``from`` it. ``path`` names the file, ``sql`` the statement if there is one."""
    said = str(error) or type(error).__name__
    where = f" in {shorten(sql)}" if sql else ""
    match error:
        case apsw.ConstraintError():
            return errors.ConstraintError(
                f"{said}{where}", hint="Nothing of the statement was written; mend the values, or the constraint."
            )
        case apsw.BusyError() if "statements in progress" in said:
            return errors.ReentryError(
                f"A statement of this transaction is running and called for another{where}: {said}",
                hint="Do not write from inside an SQL function, or while an iterator is open.",
            )
        case apsw.LockedError() | apsw.BusyError() if (
            isinstance(error, apsw.LockedError) or "active statements" in said
        ):
            return errors.StoreError(
                f"An iterator that is still open on this connection is in the way: {said}{where}",
                hint="Read it to its end, or close() it, first.",
            )
        case apsw.ThreadingViolationError():
            return errors.ReentryError(
                f"This connection is running another statement{where}",
                hint="Do not use a transaction or snapshot from inside an SQL function, or from two threads at once.",
            )
        case apsw.BusyError():
            return errors.LockTimeoutError(
                f"{path} stayed locked by another connection: {said}{where}",
                hint="Find the program that keeps a transaction open, or raise `timeout`.",
            )
        case apsw.FullError():
            return errors.DiskFullError(
                f"No room to write to {path}{where}",
                hint="Nothing of it was written. Make room; reads go on meanwhile.",
            )
        case apsw.NotADBError():
            return errors.NotADatabaseError(
                f"{path} is not a SQLite database: {said}", hint="Name another file, or a new one to create it."
            )
        case apsw.CorruptError() if getattr(error, "extendedresult", 0) == apsw.SQLITE_CORRUPT_VTAB:
            return errors.DamagedError(
                f"A virtual table of {path} does not fit its content: {said}{where}",
                hint="Make its index anew; for FTS5: INSERT INTO name(name) VALUES('rebuild').",
            )
        case apsw.CorruptError():
            return errors.DamagedError(
                f"{path} is damaged: {said}{where}",
                hint="Stop writing, copy the file and its -wal aside, then restore a backup or try `sqlite3 FILE .recover`.",
            )
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return errors.NotWritableError(
                f"{path} cannot be written by this process: {said}{where}",
                hint='Mend the permissions of file, -wal, -shm and folder, or open it with coherence="clock" to read alone.',
            )
        case apsw.CantOpenError():
            return errors.OpenError(f"{path} cannot be opened: {said}", hint="Look at the path and its permissions.")
        case apsw.IOError():
            return errors.StorageError(
                f"Reading or writing {path} failed: {said}{where}", hint="Look at the disk and at the system's log."
            )
        case apsw.InterruptError():
            return errors.StoreError(f"Interrupted{where}", hint="Nothing of it was written; run it again.")
        case apsw.BindingsError() | apsw.RangeError():
            return errors.ParameterError(f"{said}{where}", hint="Give one value for each placeholder.")
        case apsw.TooBigError():
            return errors.ParameterError(
                f"A text, blob or row is too large for SQLite: {said}{where}", hint="The limit is a billion bytes."
            )
        case apsw.AuthError():  # of all statements only PRAGMAs are denied, by sqlite/statement.py
            return errors.SQLError(
                f"A PRAGMA would set up one connection of several, or change what stamps rest on{where}",
                hint="Use a setting of coeval.open, or set it on every connection with `on_connect`.",
            )
        case apsw.SQLError() | apsw.MismatchError():
            cure = next((cure for part, cure in _CURES if part in said), "Correct the statement.")
            return errors.SQLError(f"{said}{where}", hint=cure)
        case _:
            return errors.StoreError(f"{type(error).__name__}: {said}{where}", hint="See the error this one came from.")


def shorten(sql: str, limit: int = 200) -> str:
    """``sql`` on one line, cut to ``limit`` characters."""
    line = " ".join(sql.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
