"""Transactions, savepoints and snapshots for ``async with``.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..errors import SerializationError
from ..sqlite.readers import Retired
from ..transaction import Savepoint, Transaction
from ..witnessing import refuse_writes
from .jobs import in_worker
from .lanes import Inline, Lane, LentAttempt, LentSnapshot, LentTransaction, not_here, take_turn
from .reads import AsyncReads
from .recording import AsyncRecording
from .streams import AsyncRowStream, rows_within
from .writes import AsyncWrites

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from types import TracebackType

    from ..engine import Engine
    from ..rows import Result, Row
    from ..sqlite.connection import Parameters
    from ..sqlite.place import Turn
    from ..sqlite.store import Store

T = TypeVar("T")

#: The engine, opened by then.
Engines = Callable[[], "Awaitable[Engine]"]


class _Unit(AsyncReads):
    """The calls of a unit, by its lane."""

    _entered: Lane | Inline | None = None

    @property
    def _lane(self) -> Lane | Inline:
        if self._entered is None:
            raise not_here()
        return self._entered

    async def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        return await self._lane.read(sql, params, limit)

    def _stream(self, sql: str, params: tuple[Any, ...]) -> AsyncRowStream[Row]:
        return rows_within(self._lane, sql, params)


class _WritingUnit(_Unit, AsyncWrites):
    """The calls of a unit that writes."""

    async def _write(self, sql: str, parameters: Parameters) -> Result:
        unit: Any = self._lane.unit
        return await self._lane.write(lambda: unit._refuse(sql, (parameters,)), lambda: unit._write(sql, parameters))

    async def _write_many(self, sql: str, parameters: Sequence[Parameters]) -> Result:
        unit: Any = self._lane.unit
        return await self._lane.write(lambda: unit._refuse(sql, parameters), lambda: unit._write_many(sql, parameters))

    async def _write_script(self, sql: str) -> None:
        unit: Any = self._lane.unit
        await self._lane.write(lambda: None, lambda: unit._write_script(sql))

    async def _worker(self, call: Callable[[], T]) -> T:
        return await self._lane.call(call)

    def record(self, *tables: str) -> AsyncRecording:
        """The changes that its ``async with`` block makes, in this transaction, to ``tables`` (none: all), for `apply` elsewhere.

        Tables without a PRIMARY KEY are not recorded; ours never are.
        """
        return AsyncRecording(self._lane, tables)


class AsyncTransaction(_WritingUnit):
    """Reads and writes in one transaction, for ``async with``. Calls on the database in the same task join it; child tasks never do."""

    def __init__(self, engine: Engines) -> None:
        """Use `AsyncDatabase.transaction`."""
        self._open = engine

    async def __aenter__(self) -> Self:
        """Waits for the turn, in order of arrival, while the loop goes on; raises LockTimeoutError naming the holder.

        Cancelled while it waits, it gives its place up.
        """
        unit = await begin(await self._open(), "transaction()")
        unit._push()
        self._entered = unit._lane
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits, durably, or rolls back where the block raised. Raises what COMMIT raises, after rolling back.

        Cancelled while it ends, the caller leaves at once, and the commit or the rollback that was begun goes on.
        """
        lane = self._lane
        unit = lane.unit
        assert isinstance(unit, LentTransaction)
        unit._pop()
        if not unit._forked:
            good = error is None
            await lane.end(lambda: unit._end(good=good), error)


class AsyncSavepoint:
    """A transaction inside a transaction: its writes are undone alone where its block raises."""

    def __init__(self, lane: Lane | Inline) -> None:
        """Use `AsyncDatabase.transaction`."""
        assert isinstance(lane.unit, Transaction)
        self._lane = lane
        self._inner = Savepoint(lane.unit)

    async def __aenter__(self) -> JoinedTransaction:
        await self._lane.write(lambda: None, self._inner.__enter__)
        return JoinedTransaction(self._lane)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, GeneratorExit):  # else nobody can wait, and the transaction around it is rolled back
            await self._lane.call(lambda: self._inner.__exit__(kind, error, None))


class JoinedTransaction(_WritingUnit):
    """The calls of the transaction that goes on in this task."""

    def __init__(self, lane: Lane | Inline) -> None:
        self._entered = lane


class AsyncSnapshot(_Unit):
    """Reads that all see the data as of the moment the snapshot was entered, for ``async with``. Calls in the same task join it."""

    _kind = LentSnapshot

    def __init__(self, engine: Engines) -> None:
        """Use `AsyncDatabase.snapshot`."""
        self._open = engine

    async def __aenter__(self) -> Self:
        engine, kind = await self._open(), self._kind

        def enter(_: object) -> LentSnapshot:
            unit = kind(engine)
            unit.__enter__()
            return unit

        unit = await in_worker(engine.workers.reads, enter, lambda unit: unit.__exit__(None, None, None))
        unit._push()
        self._entered = unit._lane
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unit = self._lane.unit
        assert isinstance(unit, LentSnapshot)
        unit._pop()
        await self._lane.end(lambda: unit.__exit__(None, None, None), error)


class JoinedReads(_Unit):
    """The reading calls of the unit that goes on in this task, for ``async with``: it goes on afterwards."""

    def __init__(self, lane: Lane | Inline) -> None:
        self._entered = lane

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing ends here."""


class AsyncAttempt(_WritingUnit):
    """What `AsyncDatabase.write` gives its function: reads on a snapshot, and the turn with the first write."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def conflict(self) -> SerializationError | None:
        """What it was given up with."""
        return self._attempt.conflict

    async def __aenter__(self) -> Self:
        engine = self._engine

        def enter(_: object) -> LentAttempt:
            unit = LentAttempt(engine)
            unit.__enter__()
            return unit

        self._attempt = await in_worker(
            engine.workers.reads, enter, lambda unit: unit.__exit__(DroppedBlock, DroppedBlock(), None)
        )
        self._attempt._push()
        self._entered = self._attempt._lane
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._attempt._pop()
        await self._lane.end(lambda: self._attempt.__exit__(kind, error, None), error)


class DroppedBlock(BaseException):
    """Stands for the block of a unit that nobody waits for any more."""


async def begin(engine: Engine, what: str) -> LentTransaction:
    """A transaction with the turn and the lock; the caller ends it."""
    refuse_writes(what)
    while True:
        unit = LentTransaction(engine)
        unit._what = what
        store = await opened(engine)
        try:
            turn = await take_turn(store, what)
            return await in_worker(engine.workers.held, _start(unit, store, turn), _abandon, store.writer.finish)
        except Retired:
            await replace(engine, store)


def _start(unit: LentTransaction, store: Store, turn: Turn) -> Callable[[object], LentTransaction]:
    def start(_: object) -> LentTransaction:
        unit._start(store, turn)
        return unit

    return start


def _abandon(unit: LentTransaction) -> None:
    unit._end(good=False)


async def opened(engine: Engine) -> Store:
    """The store, opened in a worker where it is not open."""
    store = engine._store
    return store if store is not None else await in_worker(engine.workers.chores, lambda _: engine.store())


async def replace(engine: Engine, store: Store) -> None:
    """``store`` was retired: the next call opens another."""
    await in_worker(engine.workers.chores, lambda _: engine._replace(store))
