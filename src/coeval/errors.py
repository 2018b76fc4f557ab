"""Every error that Coeval raises, drawn as a tree.

    Error                        anything below; ``.hint`` holds the cure
    ├── ConfigError              a setting, an option or a URL is unknown, malformed or in conflict   (ValueError)
    ├── OpenError                the file cannot be opened well; nothing was changed
    │   ├── NotADatabaseError    the file is something else
    │   ├── NotWritableError     the file or its folder cannot be written
    │   ├── NetworkFileSystemError   locks and shared memory do not work there
    │   └── SecondLibraryError   another SQLite in this process has the file open (law 8)
    ├── UsageError               the call is wrong; nothing was run
    │   ├── SQLError             the statement cannot be compiled, or is not one for this call
    │   ├── ParameterError       parameters and placeholders differ, or SQLite cannot hold a value   (ValueError)
    │   ├── ColumnError          a row has no such column, or more than one                       (LookupError)
    │   ├── ClosedError          the database, transaction or snapshot is closed
    │   ├── ReentryError         the call would wait for its own caller
    │   ├── TrackedWriteError    a function whose result is kept (@db.cached, get_or_set) writes
    │   └── KeyArgumentError     an argument of a cached function, or of db.cache, cannot be a key    (TypeError)
    ├── ResultError              the statement ran, and its result is not what was asked for
    │   ├── NoRowError           one row was asked for and there is none
    │   ├── ManyRowsError        one row was asked for and there are more
    │   └── ConversionError      a value does not fit its declared type, or the ``into`` type        (ValueError)
    └── StoreError               SQLite refused or failed; the transaction was rolled back
        ├── ConstraintError      UNIQUE, NOT NULL, CHECK, FOREIGN KEY, or a value of the wrong type
        ├── LockTimeoutError     the turn to write did not come in time                         (TimeoutError)
        ├── SerializationError   what `write` had read was changed by another before its first write
        ├── PoolTimeoutError     no reader became free in time                                  (TimeoutError)
        ├── SnapshotEndedError   a snapshot was open for so long that it was ended
        ├── DiskFullError        no room
        ├── DamagedError         the file is damaged
        └── StorageError         reading or writing the file failed

A message says what happened and to what; ``hint`` says what to do, and ``str(error)`` shows both.

Ring: policy.
"""

from __future__ import annotations

__all__ = [
    "ClosedError",
    "ColumnError",
    "ConfigError",
    "ConstraintError",
    "ConversionError",
    "DamagedError",
    "DiskFullError",
    "Error",
    "KeyArgumentError",
    "LockTimeoutError",
    "ManyRowsError",
    "NetworkFileSystemError",
    "NoRowError",
    "NotADatabaseError",
    "NotWritableError",
    "OpenError",
    "ParameterError",
    "PoolTimeoutError",
    "ReentryError",
    "ResultError",
    "SQLError",
    "SecondLibraryError",
    "SerializationError",
    "SnapshotEndedError",
    "StorageError",
    "StoreError",
    "TrackedWriteError",
    "UsageError",
]


class Error(Exception):
    """The root: ``except coeval.Error`` catches everything that Coeval raises on purpose."""

    hint: str

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[Error], message: str, hint: str) -> Error:
    return kind(message, hint=hint)


class ConfigError(Error, ValueError):
    """A setting, an option or a URL is unknown, malformed or in conflict with another."""


class OpenError(Error):
    """The file cannot be opened well; nothing was changed."""


class NotADatabaseError(OpenError):
    """The file is something else than a SQLite database."""


class NotWritableError(OpenError):
    """The file or its folder cannot be written by this process."""


class NetworkFileSystemError(OpenError):
    """The file lies where locks and shared memory do not work."""


class SecondLibraryError(OpenError):
    """Another SQLite library in this process has the file open, or asks to (law 8)."""


class UsageError(Error):
    """The call is wrong; nothing was run."""


class SQLError(UsageError):
    """The statement cannot be compiled, or is not one for this call."""


class ParameterError(UsageError, ValueError):
    """Parameters and placeholders differ, or SQLite cannot hold a value."""


class ColumnError(UsageError, LookupError):
    """A row has no such column, or more than one of that name."""


class ClosedError(UsageError):
    """The database, transaction or snapshot is closed."""


class ReentryError(UsageError):
    """The call would wait for its own caller."""


class TrackedWriteError(UsageError):
    """A function whose result is kept writes: one decorated with ``@db.cached``, or the ``make`` of ``db.cache.get_or_set``."""


class KeyArgumentError(UsageError, TypeError):
    """An argument of a cached function cannot be part of a key, or what was given to ``db.cache`` cannot be one."""


class ResultError(Error):
    """The statement ran, and its result is not what was asked for."""


class NoRowError(ResultError):
    """One row was asked for and there is none."""


class ManyRowsError(ResultError):
    """One row was asked for and there are more."""


class ConversionError(ResultError, ValueError):
    """A value does not fit the declared column type or the ``into`` type."""


class StoreError(Error):
    """SQLite refused or failed; the transaction was rolled back."""


class ConstraintError(StoreError):
    """UNIQUE, NOT NULL, CHECK, FOREIGN KEY, or a value of the wrong type for a STRICT column."""


class LockTimeoutError(StoreError, TimeoutError):
    """The turn to write did not come in time."""


class SerializationError(StoreError):
    """What `write` had read was changed by another before its first write."""


class PoolTimeoutError(StoreError, TimeoutError):
    """No reader became free in time."""


class SnapshotEndedError(StoreError):
    """A snapshot or an iterator kept the WAL from shrinking when it had grown past its limit, and was ended."""


class DiskFullError(StoreError):
    """There is no room for the write."""


class DamagedError(StoreError):
    """The file is damaged."""


class StorageError(StoreError):
    """Reading or writing the file failed."""
