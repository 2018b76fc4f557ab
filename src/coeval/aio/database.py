"""The asyncio face.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from ..around import busy, quiet
from ..blob import Blob
from ..blocking import BlockingSource, in_order, read_past, run, seen_now
from ..cache.lookup import Request, compute, revalidate, unprovable
from ..config import resolve
from ..database import Database
from ..database import open as open_database
from ..errors import ClosedError, ReentryError
from ..loading import Loaded, load
from ..pace import BUDGET
from ..reads import _made, request
from ..rows import Row
from ..transaction import Transaction
from ..unit import current, joined
from ..witnessing import refuse_proof, watch_for, witness
from ..workers import alone
from .blob import AsyncBlob
from .brief import answer_briefly, read_briefly, read_passing
from .cached import AsyncCaching
from .direct import AsyncDirectWrites
from .jobs import DroppedError, Held, Job, in_worker, settled
from .lanes import Inline, Lane, lane_of
from .reads import AsyncReads
from .streams import AsyncRowStream, rows_at_hand, rows_of, rows_within
from .units import AsyncSavepoint, AsyncSnapshot, AsyncTransaction, JoinedReads, opened
from .upkeep import AsyncUpkeep

if TYPE_CHECKING:
    from types import TracebackType

    from ..config import Arguments, Settings
    from ..engine import Engine
    from ..sqlite.store import Store

T = TypeVar("T")


def aopen(path: str | os.PathLike[str], **settings: Unpack[Arguments]) -> AsyncDatabase:
    """The `AsyncDatabase` of the SQLite file ``path``; parameters as for `coeval.open`.

    No file is touched yet: ``async with``, ``await`` or the first call opens it, in a thread, so this may stand at module level, and
    serves one event loop after another. Raises ConfigError at once; what `coeval.open` raises else is raised by the opening.
    """
    name, resolved = resolve(path, settings, os.environ)
    return AsyncDatabase(lambda: open_database(path, **settings), name, resolved)


class AsyncDatabase(AsyncReads, AsyncDirectWrites, AsyncUpkeep, AsyncCaching):
    """A database for asyncio: the names and parameters of `Database`. Every call is safe from any task of any loop.

    Calls inside a `transaction` or `snapshot` of the same task join it; child tasks never do. Nothing that may take long runs on the
    loop's thread. Cancelled, a read is interrupted; a write is dropped if it has not begun, and committed if it has.
    """

    def __init__(
        self, opening: Callable[[], Database], name: str, settings: Settings, db: Database | None = None
    ) -> None:
        """Use `coeval.aopen` or `Database.aio`."""
        self._opening_call = opening
        self._name = name
        self._settings = settings
        self._lock = threading.Lock()
        self._opening: Future[Database] | None = None
        self._db: Database | None = None
        self._engine: Engine | None = None
        self._closed = False
        self._direct = False
        self._find: Callable[[Any], Any] = _nothing
        if db is not None:
            self._use(db)

    # -- reading --------------------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # type checkers see the overloads of AsyncReads.query; this is what needs no thread, in place

        async def query(self, sql, *params, into=None):
            engine = self._engine
            if engine is not None and (not busy.get() or quiet()):
                rows = None
                if self._direct:
                    rows = read_briefly(engine, sql, params)
                else:
                    try:
                        match params:
                            case (value,):
                                entry = self._find((sql, value, type(value)))
                            case ():
                                entry = self._find((sql,))
                            case _:
                                entry = self._find((sql, params, tuple(map(type, params))))
                        if entry is not None and entry.mark == engine.now():
                            entry.hits += 1
                            rows = entry.rows
                            if not entry.hits & HITS:
                                await asyncio.sleep(0)
                    except (TypeError, ValueError):  # an unhashable parameter; the clock is just being closed
                        if (placed := in_order(engine, sql, params)) is not params:
                            return await self.query(sql, *placed, into=into)
                    else:
                        if rows is None and (account := engine.passing(sql)) is not None:
                            rows = read_passing(engine, account, sql, params)
                if rows is not None:
                    if engine.workers.spent > BUDGET:
                        engine.workers.spent = 0.0
                        await asyncio.sleep(0)
                    return rows if into is None else _made(rows, into)
            return await AsyncReads.query(self, sql, *params, into=into)

        query.__doc__ = AsyncReads.query.__doc__

    async def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        try:
            engine = self._engine
            if engine is None or engine._store is None or self._closed:
                engine = await self._opened()
            if current.get() is not None and (unit := joined(engine)) is not None:
                return await lane_of(unit).read(sql, params, limit)
            if self._direct:
                if witness.get() is not None and (watch := watch_for(engine)) is not None:
                    watch.refuse(unprovable(sql))
                wanted, rows = None, read_briefly(engine, sql, params, limit)
            else:
                wanted = request(sql, in_order(engine, sql, params), limit)
                rows = answer_briefly(engine, wanted)
            if rows is None:
                rows = await self._patiently(engine, wanted or request(sql, params, limit))
            if engine.workers.spent > BUDGET:  # others of the loop have their turn
                engine.workers.spent = 0.0
                await asyncio.sleep(0)
            return rows
        except asyncio.CancelledError:
            refuse_proof("rows that it did not wait for")
            raise

    async def _patiently(self, engine: Engine, wanted: Request) -> tuple[Row, ...]:
        """Rows, by a worker."""
        return await in_worker(
            engine.workers.reads, lambda job: engine.using(lambda store: _read_from(engine, store, wanted, job))
        )

    def _stream(self, sql: str, params: tuple[Any, ...]) -> AsyncRowStream[Row]:
        unit = joined(self._engine) if self._engine is not None else None
        if unit is not None:
            return rows_within(lane_of(unit), sql, params)
        if witness.get() is not None and watch_for(self._engine) is not None:
            return rows_at_hand(lambda: self._read(sql, params, None))
        return rows_of(self._opened, sql, params)

    # -- units ----------------------------------------------------------------------------------------------------------

    def transaction(self) -> AsyncTransaction | AsyncSavepoint:
        """A write transaction, for ``async with``: it waits for its turn at entry, commits durably at exit, or rolls back.

        Inside another transaction of the same task it is a savepoint. Its reads see its own writes and are never cached.
        """
        unit = joined(self._engine) if self._engine is not None else None
        return AsyncSavepoint(lane_of(unit)) if isinstance(unit, Transaction) else AsyncTransaction(self._opened)

    def snapshot(self) -> AbstractAsyncContextManager[AsyncReads]:
        """Several reads of one moment, for ``async with``, cached ones too. Holds a reader; end it soon.

        It only reads: writes made meanwhile are transactions of their own, and not seen in it.

        Inside a transaction or another snapshot of the same task it is that one, which is of one moment already.
        """
        unit = joined(self._engine) if self._engine is not None else None
        return AsyncSnapshot(self._opened) if unit is None else JoinedReads(lane_of(unit))

    # -- in bulk and in pieces ------------------------------------------------------------------------------------------

    async def load(
        self,
        table: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        columns: Sequence[str] | None = None,
        batch: int = 10_000,
        upsert: str | Sequence[str] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Loaded:
        """As `Database.load`, in a worker, where the iterator and ``progress`` run too.

        Cancelled, it stops before its next chunk: those that were written stay, whole, the one being written is finished, and nothing
        is written where the first had not got its turn. The iterator is read to the end of the chunk that it was making. In
        a transaction, the chunk being written is interrupted, and the transaction is rolled back.
        """
        db, engine = await self._database(), await self._opened()
        unit = joined(engine)
        gone: list[bool] = []

        def go_on() -> None:
            if gone:
                raise DroppedError

        def work() -> Loaded:
            return load(db, table, rows, columns, batch, upsert, progress, go_on)

        try:
            if isinstance(unit, Transaction):
                return await lane_of(unit).join(work)
            return await in_worker(engine.workers.chores, lambda _: work())
        finally:
            gone.append(True)

    def blob(self, table: str, column: str, rowid: int, *, writable: bool = False) -> AsyncBlob:
        """One value as a raw binary file of fixed size, for ``async with``, as `Database.blob`; its calls are coroutines."""

        async def enter(stack: AsyncExitStack) -> Lane | Inline:
            engine = await self._opened()
            unit = joined(engine)
            if unit is None or (writable and not isinstance(unit, Transaction)):
                own = AsyncTransaction(self._opened) if writable else AsyncSnapshot(self._opened)
                await stack.enter_async_context(own)
                unit = joined(engine)
            assert unit is not None
            return lane_of(unit)

        async def make() -> Blob:
            return (await self._database()).blob(table, column, rowid, writable=writable)

        return AsyncBlob(enter, make, writable)

    # -- the file -------------------------------------------------------------------------------------------------------

    async def listen(self, listener: Callable[[str, Mapping[str, Any]], object]) -> Callable[[], None]:
        """Call ``listener(name, facts)`` on every event of `coeval.events`, in whatever thread it happens; returns what ends that."""
        return (await self._opened()).events.listen(listener)

    @property
    def path(self) -> str:
        """The file's real path, as far as it is known before it is opened."""
        return self._name if self._engine is None else self._engine.path

    @property
    def settings(self) -> Settings:
        """As resolved when the file was opened; before, as given."""
        return self._settings if self._engine is None else self._engine.settings

    @property
    def closed(self) -> bool:
        return self._closed

    # -- opening and closing --------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        """Open the file if it is not open, also after `close`."""
        self._closed = False
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close this face; with the last one of the file all its connections and threads. Waits for the calls under way.

        Twice does no harm. Cancelled, the closing goes on.
        """
        with self._lock:
            self._closed = True
            opening = self._opening
        if opening is not None:
            await settled(opening)
        db, engine = self._db, self._engine
        if db is None or engine is None:
            return
        if isinstance(joined(engine), Transaction):
            self._closed = False
            raise ReentryError("close() inside a transaction would wait for it", hint="Close after its block.")
        self._find, self._direct, self._engine, self._db = _nothing, False, None, None

        def end() -> None:
            db.close()
            if engine._closed:
                engine.workers.join(engine.settings.timeout)

        await _in_thread(end, "coeval-closing")

    aclose = close

    async def _opened(self) -> Engine:
        engine = self._engine
        if engine is None or self._closed:
            await self._database()
            engine = self._engine
            if engine is None:
                raise _closed(self._name)
        if engine._store is None:
            await opened(engine)
        return engine

    async def _database(self) -> Database:
        """The blocking face, opened by whoever comes first, in a thread of its own."""
        with self._lock:
            if self._closed:
                raise _closed(self._name)
            if self._db is not None:
                return self._db
            opening = self._opening
            if opening is None:
                opening = self._opening = Future()
                opening.set_running_or_notify_cancel()
                alone(self._open_now, "coeval-opening")
        return await settled(opening)

    def _open_now(self) -> None:
        opening = self._opening
        assert opening is not None
        try:
            db = self._opening_call()
        except BaseException as error:
            self._opening = None
            opening.set_exception(error)
        else:
            self._use(db)
            self._opening = None
            opening.set_result(db)

    def _use(self, db: Database) -> None:
        self._db = db
        self._find, self._direct = db._engine.find, db._engine.settings.cache is None
        self._engine = db._engine

    # -- inside ---------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<coeval.AsyncDatabase {self.path!r}{' closed' if self._closed else ''}>"


#: Hits of one entry between two turns that the loop is given: a power of two, less one.
HITS = 1023


def _read_from(engine: Engine, store: Store, wanted: Request, job: Job) -> tuple[Row, ...]:
    """Rows, in a worker: as `Database.query`, on readers that the job's caller may interrupt."""
    readers = Held(store.readers, job)
    tell = engine.events.tell
    if engine.settings.cache is None:
        rows = read_past(store, engine, wanted.sql, wanted.parameters, wanted.limit, readers)
    else:
        watch = watch_for(engine)
        entry = engine.tier.find(wanted.key)
        if entry is not None and entry.scopes is not None:
            seen = seen_now(store, readers, entry.scopes)
            if revalidate(entry, seen):
                tell("revalidated")
                if watch is not None:
                    watch.saw(entry.scopes, seen)
                if engine.auditor is not None:
                    engine.auditor.hit(entry)
                return entry.rows
            engine.lose(entry, seen)
        job.seconds = 0.0
        rows = run(compute(wanted, BlockingSource(store, readers), engine.tier, tell, watch))
    store.statements.pace.ran(wanted.sql, job.seconds)
    return rows


async def _in_thread(call: Callable[[], T], name: str) -> T:
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    alone(work, name)
    return await settled(future)


def _closed(name: str) -> ClosedError:
    return ClosedError(f"{name} is closed", hint="Open it again: `async with db:`, or coeval.aopen.")


def _nothing(key: object) -> None:
    """What a closed database finds."""
