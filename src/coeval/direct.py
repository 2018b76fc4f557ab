"""The writing calls of a database: in the transaction of the same context, else each a transaction of its own.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .around import busy, quiet
from .attempt import Attempt
from .errors import ParameterError, SerializationError
from .passing import passing
from .reads import adapted
from .rows import Result, Row
from .sqlite.readers import Retired
from .sqlite.routing import check_parameters
from .sqlite.statement import Kind, check_text
from .transaction import Savepoint, Transaction
from .unit import current, joined
from .values import all_plain
from .witnessing import refuse_writes
from .writes import Writes

if TYPE_CHECKING:
    from .changesets import Applied, Conflict
    from .coherence.scopes import Scope
    from .engine import Engine
    from .plain import PlainValues
    from .sqlite.connection import Parameters
    from .sqlite.store import Store

T = TypeVar("T")


class DirectWrites(Writes):
    """Writes of a face of an engine: those that may be committed together with others go that way (`sqlite/batch.py`)."""

    _engine: Engine
    _closed: bool
    _values: PlainValues | None = None

    def _using(self) -> Engine:
        """The engine; raises ClosedError."""
        raise NotImplementedError  # pragma: no cover

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        raise NotImplementedError  # pragma: no cover

    def _settle(self, what: str, work: Callable[[Transaction], T]) -> T:
        """``work`` in the transaction of this context, all of it or nothing; else in one of its own, ``what`` for those who wait."""
        refuse_writes(what)
        unit = joined(self._engine)
        if isinstance(unit, Transaction):
            return unit._whole(lambda: work(unit))
        return Transaction(self._using(), what).alone(work)

    def execute(self, sql: str, *params: Any) -> Result:
        if (not busy.get() or quiet()) and passing.get() is None and not self._closed and all_plain(params):
            # The same as below, where nothing has to be looked up or adapted.
            store = self._engine._store
            statement = None if store is None else store.statements.sharable(sql)
            if store is not None and statement is not None and statement.count == len(params):
                try:
                    return store.batches.run(statement, params)
                except Retired:
                    self._engine._replace(store)
        return self._write(sql, adapted(params))

    execute.__doc__ = Writes.execute.__doc__

    def _write(self, sql: str, parameters: Parameters) -> Result:
        if current.get() is not None:
            unit = joined(self._engine)
            if isinstance(unit, Transaction):
                return unit._write(sql, parameters)
        return self._using().using(lambda store: self._write_to(store, sql, parameters))

    def _write_to(self, store: Store, sql: str, parameters: Parameters) -> Result:
        statement = store.statements.sharable(sql)
        if statement is not None:
            check_parameters(statement, parameters)
            refuse_writes(sql)
            return store.batches.run(statement, parameters)
        if store.statements.analyse(sql).statement.kind is Kind.READ:
            return Result(
                0, None, self._read(sql, (parameters,) if not isinstance(parameters, tuple) else parameters, None)
            )
        transaction = Transaction(self._engine, sql)
        transaction._refuse(sql, (parameters,))  # at once: bad input does not wait for its turn
        return transaction.alone(lambda own: own._write(sql, parameters))

    def _write_many(self, sql: str, parameters: Sequence[Parameters]) -> Result:
        unit = joined(self._engine)
        if isinstance(unit, Transaction):
            return unit._write_many(sql, parameters)
        return self._using().using(lambda store: self._write_many_to(store, sql, parameters))

    def _write_many_to(self, store: Store, sql: str, parameters: Sequence[Parameters]) -> Result:
        statement = store.statements.sharable(sql)
        if statement is not None:
            for one in parameters:
                check_parameters(statement, one)
            refuse_writes(sql)
            return store.batches.run(statement, parameters, many=True)
        transaction = Transaction(self._engine, sql)
        transaction._refuse(sql, parameters)
        return transaction.alone(lambda own: own._write_many(sql, parameters))

    def _write_script(self, sql: str) -> None:
        check_text(sql)
        self._settle(sql, lambda transaction: transaction._write_script(sql))

    def apply(self, changeset: bytes, *, conflict: Conflict = "abort") -> Applied:
        """Make the changes of a changeset, which a `record` of another copy of the data gave; in one transaction, or in the one around it.

        ``conflict`` says what becomes of a change that does not fit the rows here: "abort" raises ConstraintError, and nothing is applied;
        "omit" leaves it out; "replace" makes it prevail where that can be. Durable on return outside a transaction; every later read
        sees it. Raises ParameterError, StoreError and its kinds.
        """
        from .changesets import apply

        return self._settle("apply a changeset", lambda transaction: apply(transaction, changeset, conflict))

    def invalidate(self, *tags: str) -> None:
        """Make every kept value that has one of ``tags`` invalid, for every process; with the transaction around it, if there is one.

        Durable on return outside a transaction. What is being computed meanwhile is not kept with the old stamps. Two tags in four
        thousand may share a stamp, and are invalidated together. Raises ParameterError, LockTimeoutError, StoreError.
        """
        from .cache.options import some_tags
        from .coherence.scopes import tag_scopes

        self._restamp("invalidate()", tag_scopes(some_tags(tags)))

    def _restamp(self, what: str, scopes: tuple[Scope, ...]) -> None:
        """New stamps for ``scopes`` of tags, in the transaction of this context or in one of their own."""
        refuse_writes(what)
        self._using().check_tags()
        self._settle(what, lambda transaction: transaction._restamp(scopes))

    @property
    def cache(self) -> PlainValues:
        """Values that do not come from SQL: `get`, `set`, `get_or_set`, `delete`. See `PlainValues`."""
        if self._values is None:
            from .plain import PlainValues

            self._values = PlainValues(self)
        return self._values

    def write(self, function: Callable[[Transaction], T], retry: int = 3) -> T:
        """Run ``function(tx)`` as one serialisable transaction that takes its turn at its first write, and give what it returns.

        ``function`` first reads, on a snapshot and while others write. At the first write it takes its turn, and what it has read is
        compared by stamps: where another has changed it, SerializationError is raised inside and ``function`` runs again, at the
        most ``retry`` times more; so it must have no effects but on this database. It runs in the caller's own thread and context, and
        calls on the database in it join. On return its writes are durable and visible; where it raises, nothing is written.

        Inside a transaction of the same context it is a savepoint of that. Raises SerializationError after the last try,
        LockTimeoutError, and what ``function`` raises.
        """
        check_attempts(function, retry)
        refuse_writes("write()")
        unit = joined(self._engine)
        if isinstance(unit, Transaction):
            with Savepoint(unit):
                return function(unit)
        while True:
            attempt = Attempt(self._using())
            try:
                with attempt:
                    return _not_awaitable(function(attempt))
            except SerializationError as error:
                if retry == 0 or error is not attempt.conflict:
                    raise
                retry -= 1
            except Retired:  # the file was replaced meanwhile: nothing was written
                continue
            finally:
                attempt._pop()  # after an interrupt between two steps
                attempt._give_up()


def check_attempts(function: object, retry: object) -> None:
    """Raise where `write` was called with something else than it takes."""
    if not callable(function) or type(retry) is not int or retry < 0:
        raise ParameterError(
            f"write takes a function of one argument and a number of tries, not {function!r}, {retry!r}",
            hint="Write db.write(lambda tx: ..., retry=3).",
        )


def _not_awaitable(result: T) -> T:
    if hasattr(result, "__await__"):
        close = getattr(result, "close", None)
        if close is not None:
            close()
        raise ParameterError(
            "write was given a coroutine function, which it cannot await", hint="Use `await db.aio.write(function)`."
        )
    return result
