"""The error classes of PEP 249, and SQLite's errors as one of them.

An error that SQLite reported has ``sqlite_errorcode``, its extended result code, and ``sqlite_errorname``.

Ring: shell.
"""

from __future__ import annotations

import apsw

from .. import errors as ours


class Warning(Exception):
    """An important warning; nothing here raises it."""


class Error(Exception):
    """The root of the errors below."""

    sqlite_errorcode: int  #: SQLite's extended result code, where SQLite reported the error
    sqlite_errorname: str  #: the name of that code, such as ``SQLITE_CONSTRAINT_UNIQUE``


class InterfaceError(Error):
    """The module was used wrongly, below SQL."""


class DatabaseError(Error):
    """The database reported the error."""


class DataError(DatabaseError):
    """A value is too large, or cannot be used."""


class OperationalError(DatabaseError):
    """Something that the programmer need not have done wrong: a lock, the disk, the statement."""


class IntegrityError(DatabaseError):
    """A constraint is violated."""


class InternalError(DatabaseError):
    """SQLite found itself in a wrong state."""


class ProgrammingError(DatabaseError):
    """The call is wrong."""


class NotSupportedError(DatabaseError):
    """SQLite, or this module, cannot do it."""


_KINDS: dict[int, type[Error]] = {
    apsw.SQLITE_INTERNAL: InternalError,
    apsw.SQLITE_NOTFOUND: InternalError,
    apsw.SQLITE_TOOBIG: DataError,
    apsw.SQLITE_CONSTRAINT: IntegrityError,
    apsw.SQLITE_MISMATCH: IntegrityError,
    apsw.SQLITE_MISUSE: InterfaceError,
    apsw.SQLITE_RANGE: InterfaceError,
} | dict.fromkeys(
    (
        *(apsw.SQLITE_ERROR, apsw.SQLITE_PERM, apsw.SQLITE_ABORT, apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED),
        *(apsw.SQLITE_READONLY, apsw.SQLITE_INTERRUPT, apsw.SQLITE_IOERR, apsw.SQLITE_FULL, apsw.SQLITE_CANTOPEN),
        *(apsw.SQLITE_PROTOCOL, apsw.SQLITE_EMPTY, apsw.SQLITE_SCHEMA),
    ),
    OperationalError,
)

#: What SQLite says to a call that is wrong, whatever it said last about this connection.
_MISUSE = "bad parameter or other API misuse"


def made(kind: type[Error], message: str, code: int) -> Error:
    """An error of ``kind`` with SQLite's ``code``."""
    error = kind(message)
    error.sqlite_errorcode = code
    name = apsw.mapping_extended_result_codes.get(code) or apsw.mapping_result_codes.get(code & 0xFF)
    error.sqlite_errorname = str(name or "unknown")
    return error


def result_of(error: apsw.Error) -> int:
    """SQLite's extended result code under one of APSW's errors; 0 where there is none."""
    return int(getattr(error, "extendedresult", 0))


def of_code(code: int, message: str) -> Exception:
    """The error for SQLite's extended result ``code``."""
    if code & 0xFF == apsw.SQLITE_NOMEM:
        return MemoryError()
    return made(_KINDS.get(code & 0xFF, DatabaseError), message, code)


def translate(error: apsw.Error) -> Exception:
    """The error of this module for one of APSW's, to be raised ``from`` it."""
    code = result_of(error)
    if isinstance(error, apsw.MisuseError):
        return of_code(apsw.SQLITE_MISUSE, _MISUSE)
    if code:
        return of_code(code, str(error))
    if isinstance(error, apsw.ThreadingViolationError):
        return ProgrammingError(f"Recursive use of this connection is not allowed: {error}")
    return ProgrammingError(str(error))


def not_opened(error: ours.Error) -> Error:
    """The error of this module where Coeval would not open the file."""
    if isinstance(error, ours.LockTimeoutError | ours.ReentryError):
        return locked(error)
    cause = error.__cause__
    if isinstance(cause, apsw.Error):  # SQLite's own words first: programs look for them
        code = result_of(cause)
        return made(_KINDS.get(code & 0xFF, DatabaseError), f"{cause}: {error}", code)
    return made(OperationalError, f"unable to open database file: {error}", apsw.SQLITE_CANTOPEN)


def locked(error: ours.Error) -> Error:
    """The error of this module where the turn to write did not come, or never could; it names who has it, and the cure."""
    return made(OperationalError, f"database is locked: {error}", apsw.SQLITE_BUSY)
