"""A write transaction: it has the turn from entry to exit, sees its own writes, and leaves all of them or nothing.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Self, TypeVar

from .cache.pending import Pending
from .coherence.names import fold
from .errors import ClosedError, SQLError, StoreError
from .reads import Reads, request
from .rows import Result, Row
from .sqlite import tags
from .sqlite.place import Turn
from .sqlite.routing import check_parameters, check_read, check_write
from .sqlite.script import run_script
from .sqlite.statement import Kind, Statement, check_text
from .sqlite.steps import step, step_all
from .streams import RowStream
from .unit import Unit
from .witnessing import refuse_proof, refuse_writes
from .writes import Writes

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .cache.lookup import Request
    from .cache.pending import Set
    from .changesets import Recording
    from .coherence.scopes import Scope
    from .coherence.stamps import Seen
    from .engine import Engine
    from .sqlite.connection import Connection, Parameters
    from .sqlite.store import Store

T = TypeVar("T")

_names = count(1)

#: What a tracked call reads where it reads here.
IN_TRANSACTION = "the view of a transaction"


class Transaction(Unit, Reads, Writes):
    """Reads and writes in one transaction. Calls on the database in the same context join it."""

    _turn: Turn | None = None
    _pending: Pending | None = None
    _computes = True

    def __init__(self, engine: Engine, what: str = "transaction()") -> None:
        """``what`` is for the error messages of those who wait: the statement, where there is one."""
        super().__init__(engine)
        self._engine = engine
        self._what = what
        self._connection: Connection | None = None
        self._schema_changed = False
        self._skipping = (
            False  #: a temporary trigger, which comes before ours, may have kept them from running (hole 2)
        )

    def __enter__(self) -> Self:
        """Waits for the turn, in order of arrival; raises LockTimeoutError naming the holder."""
        try:
            self._begin()
            self._push()
        except BaseException:  # an interrupt between two steps
            self._pop()
            self._give_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits, durably, or rolls back where the block raised. Raises what COMMIT raises, after rolling back."""
        try:
            self._pop()
            if not self._forked:
                self._end(good=error is None)
        except BaseException:  # what COMMIT raised; or an interrupt between two steps
            self._active = False
            if not self._forked:
                self._give_up()
            raise

    def __del__(self) -> None:
        """An interrupt at the first step of `__exit__` leaves it unended; the housekeeper ends it, where no lock of this thread is held."""
        turn = self._turn
        if turn is not None and self._store.writer.gate.has(turn) and not self._forked:
            self._engine.lost.append((self._store.writer, turn))

    def alone(self, work: Callable[[Self], T]) -> T:
        """``work`` in this transaction, which is for one call: nobody joins it."""
        try:
            self._begin(stacked=True)
            try:
                result = work(self)
            except BaseException:
                self._end(good=False)
                raise
            self._end(good=True)
        finally:
            self._give_up()
        return result

    def _begin(self, *, stacked: bool = False) -> None:
        """Take the turn and the lock."""
        refuse_writes(self._what)

        def begin(store: Store) -> None:
            self._store = store
            self._turn = Turn(self._what, stacked=stacked)
            self._connection = store.writer.begin(self._turn)

        self._engine.using(begin)

    def _give_up(self) -> None:
        """Pass the turn on, if it is still held: what should have done it was interrupted. Twice does no harm."""
        if self._turn is not None and not self._forked:
            self._store.writer.give_up(self._turn)

    def _end(self, *, good: bool) -> None:
        """Commit where ``good``, else roll back; pass the turn on."""
        try:
            self._finish(good)
        finally:
            self._give_up()

    def _finish(self, good: bool) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        self._cut_streams()
        writer = self._store.writer
        if not good:
            writer.rollback()
            return
        if not connection.raw.in_transaction:
            writer.rollback()
            raise StoreError(
                "SQLite rolled the transaction back before its end, so nothing of it was written",
                hint="An earlier statement failed with OR ROLLBACK, a full disk or an I/O error, or was cancelled: let that error out.",
            )
        repaired = None
        kept: list[Set] = []
        try:
            if self._schema_changed:
                repaired = self._store.verify_within(connection, doubt=self._skipping)
            if self._pending is not None:
                clock = self._store.clock
                kept = self._pending.surviving(lambda scopes: connection.seen(scopes, clock))
        except BaseException:
            writer.rollback()
            raise
        writer.commit()
        for one in kept:
            self._engine.sets.keep(one, self._engine.tier)
        self._store.verified(repaired)
        self._engine.events.tell("write")

    def record(self, *tables: str) -> Recording:
        """The changes that its ``with`` block makes, in this transaction, to ``tables`` (none: all), for `Database.apply` elsewhere.

        Tables without a PRIMARY KEY are not recorded; ours never are.
        """
        from .changesets import Recording

        return Recording(self, tables)

    # -- calls --------------------------------------------------------------------------------------------------

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        wanted = self._readable(request(sql, params, limit))
        return self._ready().rows(sql, wanted.parameters, limit)

    def _stream(self, sql: str, params: tuple[Any, ...]) -> RowStream[Row]:
        wanted = self._readable(request(sql, params))
        return self._streaming(self._ready().stream(sql, wanted.parameters))

    def _readable(self, wanted: Request) -> Request:
        statement = self._compiled(wanted.sql)
        check_read(statement)
        check_parameters(statement, wanted.parameters)
        refuse_proof(IN_TRANSACTION)
        self._engine.events.tell("uncached")
        return wanted

    def _write(self, sql: str, parameters: Parameters) -> Result:
        statement = self._writable(sql, (parameters,))
        return self._whole(lambda: step(self._ready(), statement, parameters))

    def _write_many(self, sql: str, parameters: Sequence[Parameters]) -> Result:
        statement = self._writable(sql, parameters)
        return self._whole(lambda: step_all(self._ready(), statement, parameters))

    def _write_script(self, sql: str) -> None:
        def judge(statement: Statement) -> None:
            check_write(statement, in_transaction=True)
            self._note(statement)

        check_text(sql)
        refuse_writes(sql)
        self._whole(lambda: run_script(self._ready(), sql, judge))

    def _whole(self, work: Callable[[], T]) -> T:
        """``work``, or nothing of it where it raises: OR FAIL, RAISE(FAIL) and calls of many rows would leave some (hole 29).

        A transaction of the call's own is rolled back anyway.
        """
        if not self._active:
            return work()
        with Savepoint(self):
            return work()

    def _refuse(self, sql: str, values: Sequence[Parameters]) -> Statement:
        """Raise where ``sql`` cannot run so, once with each of ``values``; before `begin` too."""
        statement = self._compiled(sql)
        check_write(statement, in_transaction=self._active)
        for one in values:
            check_parameters(statement, one)
        return statement

    def _writable(self, sql: str, values: Sequence[Parameters]) -> Statement:
        refuse_writes(sql)
        self._ready()
        statement = self._refuse(sql, values)
        self._note(statement)
        return statement

    def _note(self, statement: Statement) -> None:
        if statement.kind is Kind.SCHEMA:
            self._schema_changed = True
        if statement.temporary:
            if "trigger" in fold(statement.sql):
                self._schema_changed = self._skipping = True
            self._store.writer.discard()

    def _compiled(self, sql: str) -> Statement:
        """What ``sql`` is. After a change of the schema in this transaction only its own connection knows."""
        if self._schema_changed:
            return self._ready().compile(sql)
        if self._connection is not None:
            return self._store.statements.analyse(sql).statement
        return self._engine.using(lambda store: store.statements.analyse(sql)).statement

    # -- plain values, and tags -----------------------------------------------------------------------------------

    def _seen(self, scopes: tuple[Scope, ...]) -> Seen:
        """Stamps as this transaction sees them, with its own changes: nothing may be marked with them."""
        return self._ready().seen(scopes, self._store.clock)._replace(mark=None)

    def _restamp(self, scopes: tuple[Scope, ...]) -> None:
        """New stamps for tags or plain values."""
        connection = self._ready()
        try:
            tags.replace(connection, scopes)
        except SQLError:  # somebody has dropped our table
            self._store.verify_within(connection)
            self._schema_changed = True
            tags.replace(connection, scopes)

    def _hold(self, one: Set) -> None:
        """A plain value was set: calls of this transaction see it, and it is kept at the end."""
        if self._pending is None:
            self._pending = Pending(self._engine.tier.limit)
        self._pending.add(one)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _ready(self) -> Connection:
        """The connection, where this transaction goes on and the caller may use it."""
        connection = self._connection
        if connection is None or (self._active and not self._mine):
            raise ClosedError(
                "The transaction has not begun, has ended, or belongs to another thread or task",
                hint="Use it inside its `with` block: `with db.transaction() as tx:`. Other threads and tasks open their own.",
            )
        if not connection.raw.in_transaction:
            raise ClosedError(
                "SQLite rolled this transaction back when an earlier statement failed",
                hint="Let that error out of the block.",
            )
        return connection

    @property
    def _alive(self) -> bool:
        """True until it ends, or SQLite ends it."""
        return self._connection is not None and self._connection.raw.in_transaction


class Savepoint:
    """A transaction inside a transaction: its writes are undone alone where its block raises."""

    def __init__(self, transaction: Transaction) -> None:
        """``transaction`` is the one around it."""
        self._transaction = transaction
        self._name = f"coeval_{next(_names)}"

    def __enter__(self) -> Transaction:
        refuse_writes("transaction()")
        self._transaction._ready().run(f"SAVEPOINT {self._name}")
        return self._transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transaction = self._transaction
        if error is not None and not transaction._alive:
            return  # SQLite has rolled back everything already
        connection = transaction._ready()
        if error is not None:
            connection.run(f"ROLLBACK TO {self._name}")
        connection.run(f"RELEASE {self._name}")
