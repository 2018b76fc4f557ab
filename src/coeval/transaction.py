"""A write transaction: it has the turn from entry to exit, sees its own writes, and leaves all of them or nothing.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from .errors import ClosedError, StoreError
from .reads import Reads, request
from .rows import Result, Row
from .sqlite.failures import translate
from .sqlite.routing import check_parameters, check_read, check_write
from .sqlite.script import run_script
from .sqlite.statement import Kind, Statement
from .unit import Unit
from .values import adapt_parameters

if TYPE_CHECKING:
    from types import TracebackType

    from .engine import Engine
    from .sqlite.connection import Connection, Parameters

T = TypeVar("T")

_names = count(1)


class Writes:
    """Writing calls over `_within`, which runs work in a transaction: this one, or one of its own.

    All raise SQLError, ParameterError, ConstraintError, LockTimeoutError naming the holder, DiskFullError, StorageError, DamagedError,
    NotWritableError, ClosedError. A call that raises has written nothing.
    """

    def _within(self, what: str, work: Callable[[Transaction], T]) -> T:
        raise NotImplementedError  # pragma: no cover

    def execute(self, sql: str, *params: Any) -> Result:
        """Run one statement. Outside a transaction it is durable on return, at the configured level, and visible to every later read."""
        parameters = _given(params)
        return self._within(sql, lambda tx: tx._execute(sql, parameters))

    def executemany(self, sql: str, rows: Iterable[tuple[Any, ...] | list[Any] | Mapping[str, Any]]) -> Result:
        """Run one statement once for each of ``rows``, all in one transaction; ``rowcount`` is the sum.

        ``rows`` is read to its end before the turn is taken, so that its code never runs while others wait.
        """
        parameters = [adapt_parameters(row) for row in rows]
        return self._within(sql, lambda tx: tx._executemany(sql, parameters))

    def script(self, sql: str) -> None:
        """Run a text of statements in one transaction, each to its end. Transaction control in it is refused."""
        self._within(sql, lambda tx: tx._script(sql))


class Transaction(Unit, Reads, Writes):
    """Reads and writes in one transaction. Calls on the database in the same context join it."""

    def __init__(self, engine: Engine, what: str = "transaction()") -> None:
        super().__init__(engine)
        self._engine = engine
        self._what = what
        self._connection: Connection | None = None
        self._schema_changed = False

    def __enter__(self) -> Transaction:
        """Waits for the turn, in order of arrival; raises LockTimeoutError naming the holder."""
        self.begin()
        self._push()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Commits, durably, or rolls back where the block raised. Raises what COMMIT raises, after rolling back."""
        forked = not self.mine
        self._pop()
        if forked:
            return  # in a forked child: the transaction is the parent's
        self.end(error is None)

    def begin(self) -> None:
        """Take the turn and the lock."""
        self._store = self._engine.store()
        try:
            self._connection = self._store.writer.begin(self._what)
        except apsw.Error as error:
            raise translate(error, self._engine.path) from error

    def end(self, good: bool) -> None:
        """Commit where ``good``, else roll back; pass the turn on."""
        connection, self._connection = self._connection, None
        assert connection is not None
        writer = self._store.writer
        try:
            if not good:
                writer.rollback()
                return
            if not connection.raw.in_transaction:
                writer.rollback()
                raise StoreError(
                    "SQLite rolled the transaction back before its end, so nothing of it was written",
                    hint="An earlier statement in it failed with ON CONFLICT ROLLBACK, a full disk or an I/O error; let that error out.",
                )
            try:
                if self._schema_changed:
                    self._store.verify_within(connection)
            except BaseException:
                writer.rollback()
                raise
            writer.commit()
        except apsw.Error as error:
            raise translate(error, self._engine.path) from error
        self._engine.events.tell("write")

    # -- calls ------------------------------------------------------------------------------------------------------

    def _within(self, what: str, work: Callable[[Transaction], T]) -> T:
        self.ready()
        return work(self)

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        connection = self.ready()
        wanted = request(sql, params, limit)
        statement = self._compiled(sql)
        check_read(statement)
        check_parameters(statement, wanted.parameters)
        self._engine.events.tell("uncached")
        return self._try(sql, lambda: connection.rows(sql, wanted.parameters, limit))

    def _stream(self, sql: str, params: tuple[Any, ...]) -> Iterator[Row]:
        connection = self.ready()
        wanted = request(sql, params)
        statement = self._compiled(sql)
        check_read(statement)
        check_parameters(statement, wanted.parameters)
        self._engine.events.tell("uncached")
        return connection.stream(sql, wanted.parameters)

    def _execute(self, sql: str, parameters: Parameters) -> Result:
        statement = self._checked(sql, parameters)
        return self._try(sql, lambda: self._run(statement, parameters))

    def _executemany(self, sql: str, parameters: list[Parameters]) -> Result:
        total, last = 0, None
        for number, one in enumerate(parameters):
            if number == 0:
                statement = self._checked(sql, one)
            else:
                check_parameters(statement, one)
            result = self._try(sql, lambda one=one: self._run(statement, one))  # type: ignore[misc]
            total, last = total + result.rowcount, result.lastrowid
        return Result(total, last, ())

    def _script(self, sql: str) -> None:
        connection = self.ready()

        def judge(statement: Statement) -> None:
            check_write(statement, in_transaction=True)
            self._note(statement)

        self._try(sql, lambda: run_script(connection, sql, judge))

    def _run(self, statement: Statement, parameters: Parameters) -> Result:
        connection = self.ready()
        rows = connection.rows(statement.sql, parameters)
        writes = statement.kind is Kind.WRITE
        return Result(
            connection.raw.changes() if writes else 0,
            (connection.raw.last_insert_rowid() or None) if statement.inserts and writes else None,
            rows,
        )

    def _checked(self, sql: str, parameters: Parameters) -> Statement:
        statement = self._compiled(sql)
        check_write(statement, in_transaction=self.active)
        check_parameters(statement, parameters)
        self._note(statement)
        return statement

    def _note(self, statement: Statement) -> None:
        if statement.kind is Kind.SCHEMA:
            self._schema_changed = True
        if statement.temporary:
            self._store.writer.discard()

    def _compiled(self, sql: str) -> Statement:
        """What ``sql`` is. After a change of the schema in this transaction only its own connection knows."""
        connection = self.ready()
        if self._schema_changed:
            return self._try(sql, lambda: connection.compile(sql))
        return self._try(sql, lambda: self._store.statements.analyse(sql).statement)

    def _try(self, sql: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except apsw.Error as error:
            raise translate(error, self._engine.path, sql) from error

    def ready(self) -> Connection:
        """The connection, where this transaction goes on and the caller may use it."""
        connection = self._connection
        if connection is None or (self.active and not self.mine):
            raise ClosedError(
                "The transaction has ended, or belongs to another thread or task",
                hint="Use it inside its `with` block; other threads and tasks open their own.",
            )
        if not connection.raw.in_transaction:
            raise ClosedError(
                "SQLite rolled this transaction back when an earlier statement failed", hint="Let that error out of the block."
            )
        return connection


class Savepoint:
    """A transaction inside a transaction: its writes are undone alone where its block raises."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._name = f"coeval_{next(_names)}"

    def __enter__(self) -> Transaction:
        self._transaction.ready().raw.execute(f"SAVEPOINT {self._name}")
        return self._transaction

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        raw = self._transaction.ready().raw if error is None else self._transaction._connection and self._transaction._connection.raw
        if raw is None or not raw.in_transaction:
            return  # SQLite has rolled back the whole transaction
        if error is not None:
            raw.execute(f"ROLLBACK TO {self._name}")
        raw.execute(f"RELEASE {self._name}")


def _given(params: tuple[Any, ...]) -> Parameters:
    given: Any = params[0] if len(params) == 1 and isinstance(params[0], dict) else params
    return adapt_parameters(given)
