"""Connections, as the standard ``sqlite3`` module's.

Ring: shell.
"""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import apsw

from . import backups, dump, errors
from .adapters import contiguous
from .blob import Blob
from .callbacks import Callbacks
from .constants import LEGACY_TRANSACTION_CONTROL
from .cursor import Cursor
from .deprecated import initialised, more_than_one
from .opening import open_handle
from .transactions import Transactions, checked_autocommit, checked_level

_MISSING: Any = object()


class Statement:
    """A statement that was compiled by calling a connection. It is good for nothing."""

    __slots__ = ()

    def __new__(cls, *arguments: Any, **named: Any) -> Self:  # noqa: ARG004 - whatever they are
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__qualname__}' instances")


class Connection(Callbacks, Transactions):
    """A connection to a database, in memory or in a file.

    A file is opened through Coeval's engine: it is in WAL mode, carries stamps, and writes on it wait for their turn.
    """

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    @initialised
    def __init__(
        self,
        database: Any,
        timeout: float = 5.0,
        detect_types: int = 0,
        isolation_level: str | None = "",
        check_same_thread: bool = True,
        factory: Any = None,  # noqa: ARG002 - was called with it
        cached_statements: int = 128,
        uri: bool = False,
        *,
        autocommit: int = LEGACY_TRANSACTION_CONTROL,
    ) -> None:
        level = checked_level(isolation_level)
        mode = checked_autocommit(autocommit)
        sys.audit("coeval.dbapi.connect", database)
        if self._thread and not self._closed:
            self._leave()
        self._thread = 0
        self._plans = OrderedDict()
        handle = open_handle(database, uri=bool(uri), timeout=timeout, cached=cached_statements)
        self._handle = handle
        self._lock = handle.lock
        self._detect_types = detect_types
        self._check_same_thread = bool(check_same_thread)
        self._isolation_level = level
        self._autocommit = mode
        self.row_factory: Any = None
        self.text_factory = str
        self._closed = False
        self._thread = threading.get_ident()
        if mode is False:
            self._control("BEGIN")

    def __del__(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if (
            self._thread and not self._closed and not _is_finalizing()
        ):  # then modules are gone, and all that is open ends
            if sys.version_info >= (3, 13):
                warnings.warn(f"unclosed database in {self!r}", ResourceWarning, stacklevel=1, source=self)
            self._handle.forsake()

    def close(self) -> None:
        """Close it. What was not committed is rolled back, and the turn to write passes on. Twice does no harm."""
        self._check_thread()
        if not self._thread:
            raise errors.ProgrammingError("Base Connection.__init__ not called.")
        if not self._closed:
            self._end_for_close()
            self._close()

    def _close(self) -> None:
        with self._lock:
            try:
                self._handle.close()
            except apsw.ThreadingViolationError as error:
                raise errors.ProgrammingError("A connection cannot be closed by what it is running") from error
            self._closed = True

    def _leave(self) -> None:
        """Let go of the database before another; in memory, statements under way go on."""
        if self._handle.engine is None:
            self._handle.forsake()
        else:
            self._close()

    # -- statements -----------------------------------------------------------------------------------------------------

    def cursor(self, factory: Callable[[Connection], Cursor] = _MISSING) -> Cursor:
        """A new cursor: ``factory(connection)``, by default `Cursor`; with this connection's ``row_factory``."""
        self._check()
        cursor = Cursor(self) if factory is _MISSING else factory(self)
        if not issubclass(type(cursor), Cursor):  # not by __class__, which a user may forge
            raise TypeError(f"factory must return a cursor, not {type(cursor).__name__}")
        if self.row_factory is not None:
            cursor.row_factory = self.row_factory
        return cursor

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """`Cursor.execute` on a new cursor."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """`Cursor.executemany` on a new cursor."""
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script: str, /) -> Cursor:
        """`Cursor.executescript` on a new cursor."""
        return self.cursor().executescript(script)

    def __call__(self, sql: Any = None, /) -> Statement:
        """``sql`` compiled and not run: raises where it cannot be."""
        self._check()
        if not isinstance(sql, str):
            raise TypeError(f"argument 1 must be str, not {type(sql).__name__}")
        with self._lock:
            self._plan(sql)
        return object.__new__(Statement)

    @property
    def total_changes(self) -> int:
        """Rows changed since it was opened; on a file with those of Coeval's triggers."""
        self._check()
        with self._lock:
            return int(self._live().raw.total_changes())

    def interrupt(self) -> None:
        """End the statement that another thread is running on this connection, with OperationalError there."""
        if self._closed or not self._thread:
            self._check()
            raise errors.ProgrammingError("Cannot operate on a closed database.")
        raw = self._handle._raw
        if raw is not None:
            raw.interrupt()

    # -- the whole database ---------------------------------------------------------------------------------------------

    def iterdump(self, *, filter: str | None = None) -> Iterator[str]:
        """The database as lines of SQL, without Coeval's own tables and triggers; ``filter``: a LIKE pattern of names."""
        self._check()
        return dump.lines(self, filter)

    def backup(
        self,
        target: Connection,
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        name: str = "main",
        sleep: float = 0.250,
    ) -> None:
        """Copy the database ``name`` into ``target``, replacing what is there.

        ``pages`` at a time, -1 for all at once; ``progress(status, remaining, total)`` after each part. Where ``target`` is a file it
        takes the turn; on return the copy is durable there, and nothing cached before is served.
        """
        self._check()
        if not isinstance(target, Connection):
            raise TypeError(f"backup() argument 'target' must be coeval.dbapi.Connection, not {type(target).__name__}")
        if progress is not None and not callable(progress):
            raise TypeError("progress argument must be a callable")
        target._check()
        if target is self:
            raise ValueError("target cannot be the same connection instance")
        backups.copy(self, target, pages or -1, progress, name, sleep)

    def blobopen(self, table: str, column: str, row: int, /, *, readonly: bool = False, name: str = "main") -> Blob:
        """Open one value for reading and writing in place, in the database ``name``. A writable one on a file has the turn until closed."""
        self._check()
        return object.__new__(Blob)._open(self, (name, table, column, row), readonly=bool(readonly))

    def serialize(self, *, name: str = "main") -> bytes:
        """The database ``name`` as the bytes of a file."""
        self._check()
        with self._lock:
            try:
                data = self._live().raw.serialize(name)
            except apsw.Error as error:
                raise self._error(error) from error
        if data is None:
            raise errors.OperationalError(f"unable to serialize '{name}'")
        return data

    def deserialize(self, data: Any, /, *, name: str = "main") -> None:
        """Replace the database ``name`` by one in memory, of the bytes of a file. Not on a connection to a file."""
        self._check()
        contents = contiguous(data)
        with self._lock:
            handle = self._live()
            if handle.engine is not None:
                raise errors.NotSupportedError(
                    "deserialize() would leave the file; connect to ':memory:' for that, or use backup() to fill the file"
                )
            try:
                handle.raw.deserialize(name, contents)
            except apsw.Error as error:
                raise errors.of_code(errors.result_of(error), "not an error") from error

    # -- limits, options, extensions ------------------------------------------------------------------------------------

    def getlimit(self, category: int, /) -> int:
        """A limit of SQLite's, by its SQLITE_LIMIT number."""
        return self.setlimit(category, -1)

    def setlimit(self, category: int, limit: int, /) -> int:
        """Set a limit; its value before. Below 0 it stays."""
        self._check()
        with self._lock:
            before = int(self._live().raw.limit(category, -1))
            if before < 0:
                raise errors.ProgrammingError("'category' is out of bounds")
            if limit >= 0:
                self._plans.clear()
                self._handle.keep(("limit", category), lambda raw: raw.limit(category, limit))
        return before

    def getconfig(self, op: int, /) -> bool:
        """Whether an option is on, by its SQLITE_DBCONFIG number."""
        self._check()
        return self._configure(op, -1)

    def setconfig(self, op: int, enable: bool = True, /) -> None:
        """Switch an option. On a file, or while one is attached, triggers cannot be switched off: the stamps rest on them."""
        self._check()
        if op == apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER:
            with self._lock:
                self._live().switch_triggers(lambda: self._configure(op, int(bool(enable))), on=bool(enable))
        else:
            self._configure(op, int(bool(enable)))
        self._handle.keep(("config", op), lambda raw: raw.config(op, int(bool(enable))), applied=True)

    def _configure(self, op: int, value: int) -> bool:
        if op not in _OPTIONS:
            raise ValueError(f"unknown config 'op': {op}")
        with self._lock:
            try:
                now = bool(self._live().raw.config(op, value))
            except apsw.Error as error:
                raise self._error(error) from error
        if value >= 0 and now != bool(value):
            raise errors.OperationalError("Unable to set config")
        return now

    def enable_load_extension(self, enable: bool, /) -> None:
        """Whether `load_extension` is allowed."""
        sys.audit("coeval.dbapi.enable_load_extension", self, enable)
        self._keep("extensions", lambda raw: raw.enable_load_extension(bool(enable)))

    def load_extension(self, name: str, /, *, entrypoint: str | None = None) -> None:
        """Load an extension of SQLite's."""
        sys.audit("coeval.dbapi.load_extension", self, name)
        self._check()
        try:
            self._keep(("extension", name), lambda raw: raw.load_extension(name, entrypoint))
        except apsw.ExtensionLoadingError as error:
            raise errors.OperationalError(str(error)) from error


_OPTIONS = frozenset(
    {
        *(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER),
        *(apsw.SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION),
        *(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, apsw.SQLITE_DBCONFIG_ENABLE_QPSG, apsw.SQLITE_DBCONFIG_TRIGGER_EQP),
        *(apsw.SQLITE_DBCONFIG_RESET_DATABASE, apsw.SQLITE_DBCONFIG_DEFENSIVE, apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA),
        *(apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, apsw.SQLITE_DBCONFIG_DQS_DML, apsw.SQLITE_DBCONFIG_DQS_DDL),
        *(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, apsw.SQLITE_DBCONFIG_LEGACY_FILE_FORMAT),
        apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    }
)


# A call without an argument is refused by what is checked first, and still the argument is not optional.
Connection.__call__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("self", "sql")]
)


def connect(*arguments: Any, **named: Any) -> Connection:
    """``connect(database, timeout=5.0, detect_types=0, isolation_level="", check_same_thread=True, factory=Connection,
    cached_statements=128, uri=False, *, autocommit=LEGACY_TRANSACTION_CONTROL)``: a new connection.

    ``database``: a file's name, ":memory:", "" for a temporary one, or with ``uri`` a file: URI. A file is opened through Coeval's engine,
    the one that `coeval.open` has if it is open in this process. Arguments are those of ``sqlite3.connect``, and handed to ``factory``
    as they came; ``timeout`` is also how long a write waits for its turn. Raises OperationalError or DatabaseError where it cannot be
    opened.
    """
    if len(arguments) > 1:
        more_than_one("sqlite3.connect")
    factory: Callable[..., Connection] = arguments[5] if len(arguments) > 5 else named.get("factory", Connection)
    return factory(*arguments, **named)
