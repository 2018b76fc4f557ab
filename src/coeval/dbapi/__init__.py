"""PEP 249, shaped like the standard ``sqlite3`` module, over Coeval's engine.

    from coeval import dbapi as sqlite3

A database in memory is a plain private one. A file is opened through the engine of that file, shared with `coeval.open`: WAL, stamps and
triggers, the guard and the gate are in force, so writes of threads and processes take turns, and cached reads see them.

    connection.py     connections        base.py, transactions.py, callbacks.py: their parts
    cursor.py         statements and rows        plan.py: what a statement is        values.py: what rows hold
    row.py blob.py adapters.py errors.py constants.py dump.py backups.py
    opening.py        what a name leads to       handle.py: the APSW connection and its turn       forking.py

What differs from ``sqlite3``, and why, stands in docs/dbapi.md.

Ring: shell.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import apsw

from . import constants
from .adapters import (
    Binary,
    Date,
    DateFromTicks,
    PrepareProtocol,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    adapt,
    adapters,
    converters,
    register_adapter,
    register_converter,
)
from .blob import Blob
from .callbacks import enable_callback_tracebacks
from .connection import Connection, connect
from .constants import *  # noqa: F403 - the 170 names that sqlite3 has, listed there
from .cursor import Cursor
from .errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)
from .row import Row

if TYPE_CHECKING:
    version: str
    version_info: tuple[int, int, int]

__all__ = [
    "Binary",
    "Blob",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "PrepareProtocol",
    "ProgrammingError",
    "Row",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "adapt",
    "adapters",
    "apilevel",
    "complete_statement",
    "connect",
    "converters",
    "enable_callback_tracebacks",
    "paramstyle",
    "register_adapter",
    "register_converter",
    "sqlite_version",
    "sqlite_version_info",
    "threadsafety",
]
__all__ += constants.__all__

apilevel = "2.0"
paramstyle = "qmark"
#: Threads may share the module, and connections that were opened with ``check_same_thread=False``.
threadsafety = 3
sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(map(int, sqlite_version.split(".")))

_VERSION = "2.6.0"


def complete_statement(statement: str) -> bool:
    """Whether ``statement`` ends with a complete SQL statement, by its semicolon."""
    return apsw.complete(statement)


def __getattr__(name: str) -> Any:
    if name in {"version", "version_info"}:
        if sys.version_info >= (3, 12):
            warnings.warn(f"{name} is deprecated and will be removed in Python 3.14", DeprecationWarning, stacklevel=2)
        return _VERSION if name == "version" else tuple(map(int, _VERSION.split(".")))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
