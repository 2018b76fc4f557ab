"""The writing calls of a database for asyncio: in the transaction of the same task, else each a transaction of its own.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..direct import check_attempts
from ..errors import ParameterError, SerializationError
from ..rows import Result, Row
from ..sqlite.readers import Retired
from ..sqlite.routing import check_parameters
from ..sqlite.statement import Kind, check_text
from ..transaction import Transaction
from ..unit import joined
from ..witnessing import refuse_writes
from .jobs import in_worker, settled, surely
from .lanes import lane_of
from .units import AsyncAttempt, AsyncSavepoint, begin, opened, replace
from .writes import AsyncWrites

if TYPE_CHECKING:
    from ..changesets import Applied, Conflict
    from ..coherence.scopes import Scope
    from ..engine import Engine
    from ..sqlite.connection import Parameters
    from ..sqlite.statement import Statement
    from ..sqlite.store import Store
    from .plain import AsyncPlainValues

T = TypeVar("T")


class AsyncDirectWrites(AsyncWrites):
    """Writes of a face: those that may be committed together with others go that way, without a thread of their own."""

    _values: AsyncPlainValues | None = None

    async def _opened(self) -> Engine:
        """The engine; raises ClosedError."""
        raise NotImplementedError  # pragma: no cover

    async def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        raise NotImplementedError  # pragma: no cover

    async def _write(self, sql: str, parameters: Parameters) -> Result:
        engine = await self._opened()
        unit: Any = joined(engine)
        if isinstance(unit, Transaction):
            return await lane_of(unit).write(
                lambda: unit._refuse(sql, (parameters,)), lambda: unit._write(sql, parameters)
            )
        while True:
            store = await opened(engine)
            try:
                statement, kind = await self._known(engine, store, sql)
                if statement is not None:
                    check_parameters(statement, parameters)
                    return await self._share(store, statement, parameters)
                break
            except Retired:
                await replace(engine, store)
        if kind is Kind.READ:
            params = parameters if isinstance(parameters, tuple) else (parameters,)
            return Result(0, None, await self._read(sql, params, None))
        return await self._alone(
            engine,
            sql,
            lambda own: own._refuse(sql, (parameters,)),
            lambda own: own._write(sql, parameters),
        )

    async def _write_many(self, sql: str, parameters: Sequence[Parameters]) -> Result:
        engine = await self._opened()
        unit: Any = joined(engine)
        if isinstance(unit, Transaction):
            return await lane_of(unit).write(
                lambda: unit._refuse(sql, parameters), lambda: unit._write_many(sql, parameters)
            )
        while True:
            store = await opened(engine)
            try:
                statement, _ = await self._known(engine, store, sql)
                if statement is not None:
                    for one in parameters:
                        check_parameters(statement, one)
                    return await self._share(store, statement, parameters, many=True)
                break
            except Retired:
                await replace(engine, store)
        return await self._alone(
            engine,
            sql,
            lambda own: own._refuse(sql, parameters),
            lambda own: own._write_many(sql, parameters),
        )

    async def _write_script(self, sql: str) -> None:
        check_text(sql)
        engine = await self._opened()
        unit: Any = joined(engine)
        if isinstance(unit, Transaction):
            return await lane_of(unit).write(lambda: None, lambda: unit._write_script(sql))
        return await self._alone(engine, sql, lambda _: None, lambda own: own._write_script(sql))

    async def _worker(self, call: Callable[[], T]) -> T:
        engine = await self._opened()
        return await in_worker(engine.workers.chores, lambda _: call())

    async def _known(self, engine: Engine, store: Store, sql: str) -> tuple[Statement | None, Kind]:
        """The statement, if it may share a batch, and what it does. Analysing it may wait, so a worker does."""
        statements = store.statements
        statement = statements.sharable(sql)
        if statement is not None:
            return statement, Kind.WRITE
        known = statements.remembered(sql) if type(sql) is str else None
        if known is None:
            known = await in_worker(engine.workers.chores, lambda _: statements.analyse(sql))
            statement = statements.sharable(sql)
        return statement, known.statement.kind

    async def _share(self, store: Store, statement: Statement, parameters: Any, *, many: bool = False) -> Result:
        refuse_writes(statement.sql)
        writer = store.writer
        return await settled(
            store.batches.submit(statement, parameters, many=many),
            writer.timeout,
            lambda: writer.gate.late(statement.sql, writer.timeout),
        )

    async def _alone(
        self,
        engine: Engine,
        what: str,
        refuse: Callable[[Transaction], object],
        work: Callable[[Transaction], T],
    ) -> T:
        """``work`` in a transaction of its own, after ``refuse``, which raises at once where it cannot be done."""
        await in_worker(engine.workers.chores, lambda _: refuse(Transaction(engine, what)))
        unit = await begin(engine, what)

        def whole() -> T:
            try:
                result = work(unit)
            except BaseException:
                unit._end(good=False)
                raise
            unit._end(good=True)
            return result

        return await surely(engine.workers.held, whole)

    async def _settle(self, engine: Engine, what: str, work: Callable[[Transaction], T]) -> T:
        """``work`` in the transaction of this task, all of it or nothing; else in one of its own, ``what`` for those who wait."""
        refuse_writes(what)
        unit = joined(engine)
        if isinstance(unit, Transaction):
            return await lane_of(unit).write(lambda: None, lambda: unit._whole(lambda: work(unit)))
        return await self._alone(engine, what, lambda _: None, work)

    async def apply(self, changeset: bytes, *, conflict: Conflict = "abort") -> Applied:
        """Make the changes of a changeset, as `Database.apply`, in one transaction or in the one around it."""
        from ..changesets import apply

        engine = await self._opened()
        return await self._settle(engine, "apply a changeset", lambda own: apply(own, changeset, conflict))

    async def invalidate(self, *tags: str) -> None:
        """Make every kept value that has one of ``tags`` invalid, as `Database.invalidate`."""
        from ..cache.options import some_tags
        from ..coherence.scopes import tag_scopes

        await self._restamp("invalidate()", tag_scopes(some_tags(tags)))

    async def _restamp(self, what: str, scopes: tuple[Scope, ...]) -> None:
        """New stamps for ``scopes`` of tags, as `DirectWrites._restamp`."""
        refuse_writes(what)
        engine = await self._opened()
        engine.check_tags()
        await self._settle(engine, what, lambda own: own._restamp(scopes))

    @property
    def cache(self) -> AsyncPlainValues:
        """Values that do not come from SQL, as `Database.cache`."""
        if self._values is None:
            from .plain import AsyncPlainValues

            self._values = AsyncPlainValues(self)
        return self._values

    async def write(self, function: Callable[[Any], Awaitable[T]], retry: int = 3) -> T:
        """Run ``await function(tx)`` as one serialisable transaction that takes its turn at its first write, and give what it returns.

        ``function`` is a coroutine function, run in the calling task. It first reads, on a snapshot and while others write; at its first
        write it takes its turn, and what it has read is compared by stamps: where another has changed it, SerializationError is
        raised inside and ``function`` runs again, at the most ``retry`` times more; so it must have no effects but on this database.
        Calls on the database in it join, in this task. On return its writes are durable and visible; where it raises, or is
        cancelled, nothing is written.

        Inside a transaction of the same task it is a savepoint of that. Raises SerializationError after the last try,
        LockTimeoutError, and what ``function`` raises.
        """
        check_attempts(function, retry)
        refuse_writes("write()")
        engine = await self._opened()
        unit = joined(engine)
        if isinstance(unit, Transaction):
            async with AsyncSavepoint(lane_of(unit)) as inner:
                return await _checked(function(inner))
        while True:
            attempt = AsyncAttempt(engine)
            try:
                async with attempt:
                    return await _checked(function(attempt))
            except SerializationError as error:
                if retry == 0 or error is not attempt.conflict:
                    raise
                retry -= 1
            except Retired:  # the file was replaced meanwhile: nothing was written
                continue


def _checked(result: Awaitable[T]) -> Awaitable[T]:
    if not hasattr(result, "__await__"):
        raise ParameterError(
            "write was given a plain function", hint="Use `async def`, or the blocking `db.write(function)`."
        )
    return result
