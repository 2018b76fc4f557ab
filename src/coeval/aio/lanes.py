"""A transaction or snapshot of asyncio: the blocking unit, lent for one call at a time to a worker.

The unit belongs to the task that opened it: calls in that task join it, on either face of the database, and child tasks never do. Each
of its statements runs in a worker, which is told apart from strangers by its thread; short reads run on the loop's thread under
the step budget. One call uses the connection at a time: a call that follows a cancelled one waits, in its worker, for that one's end.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from ..around import busy
from ..attempt import Attempt
from ..errors import ClosedError, StoreError
from ..pace import BUDGET
from ..snapshot import Snapshot
from ..transaction import Transaction
from ..unit import Unit, current, here
from ..witnessing import refuse_proof
from ..workers import Pool
from .brief import hurry, relax
from .jobs import Job, in_worker, settled, surely

if TYPE_CHECKING:
    from ..engine import Engine
    from ..rows import Row
    from ..sqlite.connection import Connection
    from ..sqlite.place import Turn
    from ..sqlite.store import Store
    from ..sqlite.writer import Writer

T = TypeVar("T")


class _Lent(Unit):
    """A unit that a worker may use for the task that it belongs to."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._lane = Lane(self, engine)
        self._thread = 0  # of the worker that uses it now

    @property
    def _mine(self) -> bool:
        return self._thread == threading.get_ident() or super()._mine


class LentTransaction(_Lent, Transaction):
    """A transaction whose turn was waited for without a thread."""

    def _start(self, store: Store, turn: Turn) -> None:
        self._store, self._turn = store, turn
        self._connection = store.writer.begin_held(turn)


class LentSnapshot(_Lent, Snapshot):
    """A snapshot."""


class LentAttempt(_Lent, Attempt):
    """What `write` gives to a coroutine function."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._turns: list[
            Turn
        ] = []  # the one that was waited for, until it is used; whoever takes it out answers for it

    def _lock(self, writer: Writer) -> Connection:
        try:
            turn = self._turns.pop()
        except IndexError:
            return super()._lock(writer)
        self._turn = turn
        return writer.begin_held(turn)

    def _end_reading(self) -> None:
        self._lane.let_go()  # first: who cancels this call must not interrupt the reader's next borrower
        super()._end_reading()


class Inline:
    """How calls reach a blocking unit of the same task: in place."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    async def call(self, work: Callable[[], T]) -> T:
        """What ``work`` gives."""
        return work()

    async def join(self, work: Callable[[], T]) -> T:
        """What ``work`` gives."""
        return work()

    async def end(self, work: Callable[[], object], error: BaseException | None) -> None:  # noqa: ARG002 - as of Lane
        """``work``."""
        work()

    async def write(self, prepare: Callable[[], object], work: Callable[[], T]) -> T:  # noqa: ARG002 - as of Lane
        """What ``work`` gives."""
        return work()

    async def read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        """Rows in the unit."""
        rows: tuple[Row, ...] = self.unit._read(sql, params, limit)  # type: ignore[attr-defined]
        return rows


class Lane:
    """How calls reach a lent unit."""

    def __init__(self, unit: _Lent, engine: Engine) -> None:
        self.unit = unit
        self._engine = engine
        self._busy = threading.Lock()
        self._job: Job | None = None

    @property
    def pool(self) -> Pool:
        """The threads for it."""
        return self._engine.workers.held

    async def call(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """What ``work`` gives, in a worker. Cancelled, its statement is interrupted; a write takes its transaction with it then."""
        self._check()
        return await in_worker(self.pool, lambda job: self._run(job, work), undo)

    def _check(self) -> None:
        """The worker may do what the task that owns the unit may, so who asks is looked at here."""
        unit = self.unit
        if not (unit._active and unit._owner == here()):
            raise not_here()

    async def join(self, work: Callable[[], T]) -> T:
        """As `call`, and calls on the blocking database in ``work`` belong to the unit."""

        def within() -> T:
            busy.set(True)
            token = current.set(self.unit._ref)
            try:
                return work()
            finally:
                current.reset(token)

        return await self.call(within)

    def _run(self, job: Job, work: Callable[[], T]) -> T:
        with self._busy:
            connection = self._connection()
            if connection is not None:
                job.hold(connection)
            self._job = job
            self.unit._thread = threading.get_ident()
            try:
                return work()
            finally:
                self.unit._thread = 0
                self.let_go()

    def let_go(self) -> None:
        """The connection that the call under way uses is about to be another's."""
        job, self._job = self._job, None
        if job is not None:
            job.let_go()

    async def end(self, work: Callable[[], object], error: BaseException | None) -> None:
        """``work`` that ends the unit, in a worker, whatever becomes of the caller; nothing interrupts it.

        ``error``: what its block raised. Where the task was thrown away together with its loop nobody can wait any more.
        """

        def last() -> None:
            with self._busy:
                work()

        if isinstance(error, GeneratorExit):
            self.pool.run(last)
        else:
            await surely(self.pool, last)

    async def write(self, prepare: Callable[[], object], work: Callable[[], T]) -> T:
        """``work`` after ``prepare``, which raises where it would be refused; both in workers, and the turn is waited for in between."""
        unit = self.unit
        if not isinstance(unit, LentAttempt) or unit._connection is not None or unit._reading is None:
            return await self.call(work)
        await self.call(prepare)
        unit._turns.append(await take_turn(unit._store, unit._what))
        try:
            return await self.call(work)
        finally:
            with suppress(IndexError):  # it was used
                unit._turns.pop()
                unit._store.writer.finish()

    async def read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        """Rows in the unit: on the loop's thread where that is short, else in a worker."""
        self._check()
        unit: Any = self.unit
        rows = self._briefly(unit, sql, params, limit)
        try:
            return await self.call(lambda: unit._read(sql, params, limit)) if rows is None else rows
        except asyncio.CancelledError:
            refuse_proof("rows that it did not wait for")
            raise

    def _briefly(self, unit: Any, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...] | None:
        connection = self._connection()
        if connection is None or type(sql) is not str or getattr(unit, "_schema_changed", False):
            return None
        statements = unit._store.statements
        if sql not in statements.pace.brief or statements.remembered(sql) is None or not self._busy.acquire(False):
            return None
        start = perf_counter()
        try:
            hurry(connection, start + BUDGET)
            rows: tuple[Row, ...] = unit._read(sql, params, limit)
        except apsw.ConnectionClosedError:  # its snapshot was ended, which the worker will hear
            return None
        except StoreError:
            if not connection.deadline.late:
                raise
            statements.pace.slow(sql, stopped=True)
            return None
        finally:
            relax(connection, unit._store.readers.patience)
            self._busy.release()
        if perf_counter() - start > BUDGET:
            statements.pace.slow(sql, stopped=False)
        return rows

    def _connection(self) -> Connection | None:
        unit: Any = self.unit
        reading = getattr(unit, "_reading", None)
        connection = getattr(unit, "_connection", None)
        if connection is None and reading is not None:
            connection = reading.connection
        return connection


def not_here() -> ClosedError:
    """A unit is used before, after or outside of its block."""
    return ClosedError(
        "The transaction or snapshot has not begun, has ended, or belongs to another task",
        hint="Use it inside its `async with` block; other tasks open their own.",
    )


def lane_of(unit: Unit) -> Lane | Inline:
    """How the calls of its task reach ``unit``."""
    return unit._lane if isinstance(unit, _Lent) else Inline(unit)


async def take_turn(store: Store, what: str) -> Turn:
    """The turn to write, in order of arrival, waited for without a thread. Raises LockTimeoutError naming the holder."""
    writer = store.writer
    return await settled(
        writer.gate.ask(what),
        writer.timeout,
        lambda: writer.gate.late(what, writer.timeout),
        lambda _: writer.finish(),
    )
