"""Cursors: running statements, and their rows.

A cursor is a row ahead: when it gives a row it has already made the next, so that a statement is over, and what it holds is free, as soon
as its last row was given. sqlite3 does the same.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import get_ident
from typing import TYPE_CHECKING, Any

import apsw

from ..witnessing import refuse_proof
from . import values
from .adapters import bind
from .errors import ProgrammingError
from .plan import Plan, described

if TYPE_CHECKING:
    from typing import Self

    from .connection import Connection

Description = tuple[tuple[str, None, None, None, None, None, None], ...]

#: Stands for the row after the last.
_END: Any = object()


class Cursor:
    """Runs statements of a connection, one at a time, and gives their rows."""

    _next: Any
    _given: int
    _cursor: apsw.Cursor | None = None
    _raw: apsw.Connection | None = None
    _locked = False
    _closed = False
    connection: Connection

    def __init__(self, connection: Connection, /) -> None:
        from .connection import Connection

        if not isinstance(connection, Connection):
            raise TypeError(f"Cursor() argument 1 must be coeval.dbapi.Connection, not {type(connection).__name__}")
        if self._locked:
            raise ProgrammingError("Recursive use of cursors not allowed.")
        self.connection = connection
        self.row_factory: Any = None
        self.arraysize = 1
        self._closed = False
        self._reset()
        self._lastrowid: int | None = None
        connection._check_thread()
        connection._adopt(self)

    # -- PEP 249 --------------------------------------------------------------------------------------------------------

    @property
    def description(self) -> Description | None:
        """A tuple of seven for each column, of which only the first, the name, is given; None where there are no rows to come."""
        return self._description

    @property
    def rowcount(self) -> int:
        """Rows changed by the last INSERT, UPDATE, DELETE or REPLACE; -1 for others, and while its rows are being given."""
        return self._rowcount

    @property
    def lastrowid(self) -> int | None:
        """The rowid that the last `execute` left as last inserted; None before."""
        return self._lastrowid

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """Run one statement with a sequence or dict of values, and return this cursor.

        On a file a statement that writes waits for its turn, at the most ``timeout`` seconds, then raises OperationalError naming who
        has it. Outside a transaction the write is durable, and visible to every cached read, when its last row was given: on return,
        where it has none.
        """
        self._enter()
        with self.connection._lock:
            self._locked = True
            try:
                self._run(sql, (parameters,), many=False)
            finally:
                self._locked = False
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        """Run one INSERT, UPDATE, DELETE or REPLACE for each item of ``parameters``, in one implicit transaction; rows are dropped."""
        self._enter()
        with self.connection._lock:
            self._locked = True
            try:
                self._run(sql, iter(parameters), many=True)
            finally:
                self._locked = False
        return self

    def executescript(self, script: str, /) -> Self:
        """Run every statement of ``script``, after committing a transaction that is open; rows are dropped."""
        self._enter()
        if not isinstance(script, str):
            raise TypeError(f"executescript() argument must be str, not {type(script).__name__}")
        connection = self.connection
        connection._check_text(script)
        with connection._lock:
            connection._commit_before_script()
            handle = connection._live()
            cursor = handle.raw.cursor()

            def before(cursor: apsw.Cursor, text: str, bindings: object) -> bool:  # noqa: ARG001 - APSW's signature
                handle.settle()
                if not cursor.is_readonly:
                    handle.enter(text)
                connection._note(described(cursor, text, ""))
                return True

            cursor.exec_trace = before
            self._locked = True
            try:
                for _ in cursor.execute(script, can_cache=False):
                    pass
            except (apsw.Error, UnicodeDecodeError) as error:
                raise connection._error(error) from error
            finally:
                self._locked = False
                cursor.close(True)
                handle.settle()
        return self

    def fetchone(self) -> Any:
        """The next row, or None."""
        refuse_proof("through coeval.dbapi")
        return next(self, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next ``size`` rows, `arraysize` by default; fewer at the end."""
        count = self.arraysize if size is None else size
        rows: list[Any] = []
        for row in self:
            rows.append(row)
            if len(rows) == count:
                break
        return rows

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        self._enter()
        if self._next is _END or self.connection.text_factory is not str or isinstance(self._next, BaseException):
            return list(self)
        with self.connection._lock:
            self._locked = True
            try:
                rows = self._all()
            finally:
                self._locked = False
                self.connection._handle.settle()
        factory = self.row_factory
        return rows if factory is None else [factory(self, row) for row in rows]

    def close(self) -> None:
        """End the statement under way. The cursor cannot be used afterwards."""
        if not hasattr(self, "connection"):
            raise ProgrammingError("Base Cursor.__init__ not called.")
        if self._locked:
            raise ProgrammingError("Recursive use of cursors not allowed.")
        self.connection._check()
        with self.connection._lock:
            self._end()
        self._closed = True

    def setinputsizes(self, sizes: Any, /) -> None:
        """Does nothing; PEP 249 asks for it."""

    def setoutputsize(self, size: Any, column: Any = None, /) -> None:
        """Does nothing; PEP 249 asks for it."""

    def __iter__(self) -> Iterator[Any]:
        self._enter()
        return self

    def __next__(self) -> Any:
        try:
            connection = self.connection
        except AttributeError:
            raise ProgrammingError("Base Cursor.__init__ not called.") from None
        if self._locked or self._closed or connection._closed or connection._thread != get_ident():
            self._enter()
        row = self._next
        if row is _END:
            raise StopIteration
        with connection._lock:
            self._locked = True
            try:
                if type(row) is not tuple:
                    self._end()
                    raise row
                if self._factory is not connection.text_factory:
                    self._shape()
                if self._convert is not None:
                    row = self._convert(row)
                try:
                    self._next = next(self._cursor)  # type: ignore[arg-type]  # there is one while there are rows
                    self._given += 1
                except BaseException as error:
                    self._stopped(error)
            finally:
                self._locked = False
        factory = self.row_factory
        return row if factory is None else factory(self, row)

    # -- inside ---------------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """True while a statement is under way or has rows to give."""
        return self._locked or self._next is not _END

    def _enter(self) -> None:
        """Raise where this cursor cannot be used here and now."""
        try:
            connection = self.connection
        except AttributeError:
            raise ProgrammingError("Base Cursor.__init__ not called.") from None
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed cursor.")
        if self._locked:
            raise ProgrammingError("Recursive use of cursors not allowed.")
        connection._check()
        refuse_proof("through coeval.dbapi")

    def _reset(self) -> None:
        self._next = _END
        self._description: Description | None = None
        self._rowcount = -1
        self._convert: Any = None
        self._dml = False
        self._sql = ""
        self._bound: tuple[Any, ...] = ()
        self._given = 0
        self._factory: Any = str
        self._columns: values.Columns = ()

    def _end(self) -> None:
        """End the statement under way."""
        self._next = _END
        cursor, self._cursor = self._cursor, None
        if cursor is not None and self._raw is self.connection._handle._raw:
            cursor.close(True)
            self.connection._handle.settle()

    def _ready(self) -> apsw.Cursor:
        """The APSW cursor, of the connection as it is open now."""
        raw = self.connection._live().raw
        if self._cursor is None or self._raw is not raw:
            self._raw = raw
            self._cursor = raw.cursor()
        return self._cursor

    def _run(self, sql: str, sets: Iterable[Any], *, many: bool) -> None:
        connection = self.connection
        if not isinstance(sql, str):
            raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
        if self._next is not _END or isinstance(self._cursor, values.Marked):
            self._end()
        self._reset()
        plan = connection._plan(sql)
        if plan.rest:
            raise ProgrammingError("You can only execute one statement at a time.")
        if many and not plan.dml:
            raise ProgrammingError("executemany() can only execute DML statements.")
        handle = connection._live()
        connection._begin_for(plan)
        self._dml, self._sql = plan.dml, sql
        changed = 0
        try:
            for parameters in sets:
                self._step(plan, bind(plan, parameters))
                if many:
                    if plan.columns:
                        self._drain()
                    changed += handle.raw.changes()
            if many:
                self._rowcount = changed
            else:
                self._lastrowid = handle.raw.last_insert_rowid()
        except BaseException:
            self._rowcount = -1
            self._end()
            raise
        finally:
            handle.settle()
        connection._note(plan)

    def _step(self, plan: Plan, bound: tuple[Any, ...]) -> None:
        """Run the statement up to its first row."""
        connection = self.connection
        handle = connection._handle
        cursor = self._ready()
        if not plan.readonly:
            handle.enter(plan.text)
        connection._running = cursor
        try:
            cursor.execute(self._sql, bound)
        except (apsw.Error, OverflowError) as error:
            raise connection._error(error) from error
        finally:
            connection._running = None
        if not plan.columns:
            if plan.dml:
                self._rowcount = handle.raw.changes()
            return
        self._bound = bound
        self._take()
        ended = self._next is _END
        columns = connection._plan(self._sql, again=True).columns if ended else cursor.get_description()
        self._columns = columns
        self._description = values.description(columns, connection._detect_types)
        self._shape()

    def _shape(self) -> None:
        """Make rows by the connection's ``text_factory`` as it is now."""
        connection = self.connection
        self._factory = connection.text_factory
        self._convert = values.conversion(self._columns, connection._detect_types, self._factory)

    def _take(self) -> None:
        """Fetch the row to give next, or find the end, or the error to give instead of it."""
        try:
            self._next = next(self._cursor)  # type: ignore[arg-type]  # as above
            self._given += 1
        except BaseException as error:
            self._stopped(error)

    def _stopped(self, error: BaseException) -> None:
        """There is no next row, by ``error``."""
        connection = self.connection
        self._next = _END
        if isinstance(error, StopIteration):
            if self._dml:
                self._rowcount = connection._handle.raw.changes()
            connection._handle.settle()
        elif isinstance(error, UnicodeDecodeError):
            self._next = values.undecodable(self, error)
        else:
            connection._handle.settle()
            raise connection._error(error) from error

    def _all(self) -> list[Any]:
        """The row to give next and all after it, made at once."""
        connection, cursor = self.connection, self._cursor
        assert cursor is not None
        if self._factory is not str:
            self._shape()
        first, self._next = self._next, _END
        try:
            rows = [first, *cursor.fetchall()]
        except UnicodeDecodeError as error:
            refused = values.refused(self._columns, error)
            self._end()
            raise refused from error
        except apsw.Error as error:
            raise connection._error(error) from error
        if self._dml:
            self._rowcount = connection._handle.raw.changes()
        convert = self._convert
        return rows if convert is None else [convert(row) for row in rows]

    def _drain(self) -> None:
        while self._next is not _END:
            self._take()
