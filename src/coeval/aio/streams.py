"""Rows one by one, for ``async for``: a worker takes some at a time.

Ring: shell.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from ..blocking import BlockingSource, run
from ..errors import ClosedError
from ..reads import request
from ..streams import RowStream
from ..witnessing import refuse_proof
from .jobs import DroppedError, Job, in_worker, surely

if TYPE_CHECKING:
    from types import TracebackType

    from ..engine import Engine
    from ..rows import Row
    from ..sqlite.connection import Connection
    from ..workers import Pool
    from .lanes import Inline, Lane

T = TypeVar("T")
U = TypeVar("U")

#: Rows that one visit to a worker takes, at first and at the most.
FIRST, MOST = 16, 512


class AsyncRowStream(Generic[T]):
    """What `iterate` returns: an asynchronous iterator that can be closed, by ``await stream.close()`` or as a context manager.

    It is for one task at a time. Cancelled while it waits for rows, its statement is interrupted and it ends: going on raises
    ClosedError. One that is dropped unread frees what it holds.
    """

    def __init__(self, take: Callable[[int], Awaitable[list[Any]]], end: Callable[[], Awaitable[None]]) -> None:
        """``take(n)`` gives up to n rows, fewer at the end alone; ``end`` frees what it holds."""
        self._take = take
        self._end = end
        self._rows: deque[Any] = deque()
        self._size = FIRST
        self._done = False
        self._cut = False
        self._make: Callable[[Any], Any] | None = None

    def _each(self, make: Callable[[Any], U]) -> AsyncRowStream[U]:
        """This iterator, giving ``make(row)`` for each row from now on."""
        self._make = make
        return cast("AsyncRowStream[U]", self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if not self._rows:
            await self._fill()
            if not self._rows:
                raise StopAsyncIteration
        row = self._rows.popleft()
        return cast("T", row if self._make is None else self._make(row))

    async def _fill(self) -> None:
        if self._cut:
            raise ClosedError(
                "This iterator was cancelled, or failed, in the middle",
                hint="Begin again; its rows are those of another moment then.",
            )
        if self._done:
            return
        size, self._size = self._size, min(4 * self._size, MOST)
        try:
            rows = await self._take(size)
        except BaseException:
            self._cut = True
            raise
        self._rows.extend(rows)
        self._done = len(rows) < size

    async def close(self) -> None:
        """Free the statement and its snapshot. Twice does no harm."""
        at_its_end = self._done and not self._cut
        self._rows.clear()
        self._done = True
        if not at_its_end:
            await self._end()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, GeneratorExit):  # else nobody can wait, and it is dropped
            await self.close()


def rows_of(engine: Callable[[], Awaitable[Engine]], sql: str, params: tuple[Any, ...]) -> AsyncRowStream[Row]:
    """The rows of ``sql``, on a reader of its own."""
    source = _Own(engine, sql, params)
    return AsyncRowStream(source.take, source.end)


def rows_at_hand(read: Callable[[], Awaitable[tuple[Row, ...]]]) -> AsyncRowStream[Row]:
    """The rows that ``read`` gives, all of them read with the first."""
    left: list[deque[Row]] = []

    async def take(size: int) -> list[Any]:
        if not left:
            left.append(deque(await read()))
        return [left[0].popleft() for _ in range(min(size, len(left[0])))]

    async def end() -> None:
        left.clear()

    return AsyncRowStream(take, end)


def rows_within(lane: Lane | Inline, sql: str, params: tuple[Any, ...]) -> AsyncRowStream[Row]:
    """The rows of ``sql`` in a unit, with which it ends."""
    source = _Within(lane, sql, params)
    return AsyncRowStream(source.take, source.end)


class _Use:
    """The reader of an iterator, and the job that uses it now. Of its own, so that the iterator is in no cycle."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.job: Job | None = None


class _Own:
    """Rows on a reader of their own, taken by workers; `_busy` sees to it that there is one at a time."""

    def __init__(self, engine: Callable[[], Awaitable[Engine]], sql: str, params: tuple[Any, ...]) -> None:
        self._open = engine
        self._sql = sql
        self._params = params
        self._busy = threading.Lock()
        self._pool: Pool | None = None
        self._stream: RowStream[Row] | None = None
        self._use = _Use()
        self._closed = False

    async def take(self, size: int) -> list[Any]:
        refuse_proof("rows of an iterator that was made before")
        if self._pool is None:
            engine = await self._open()
            self._pool = engine.workers.held
            return await in_worker(engine.workers.reads, lambda job: self._first(engine, job, size))
        return await in_worker(self._pool, lambda job: self._next(job, size))

    def _first(self, engine: Engine, job: Job, size: int) -> list[Any]:
        wanted = request(self._sql, self._params)
        engine.using(lambda store: run(BlockingSource(store).plan(wanted)))
        engine.events.tell("uncached")
        store, connection = engine.using(lambda store: (store, store.readers.hold()))
        use = self._use
        use.connection = connection

        def rows() -> Generator[Row, None, None]:
            try:
                yield from connection.stream(wanted.sql, wanted.parameters)
            finally:
                use.connection = None
                if use.job is not None:
                    use.job.let_go()  # before it is another's
                store.readers.let_go(connection)

        try:
            job.hold(connection)
        except DroppedError:
            store.readers.let_go(connection)
            raise
        with self._busy:
            if self._closed:
                job.let_go()
                store.readers.let_go(connection)
                return []
            self._stream = store.streaming(RowStream(rows()))
            return self._some(job, size)

    def _next(self, job: Job, size: int) -> list[Any]:
        with self._busy:
            if self._use.connection is not None:
                job.hold(self._use.connection)
            return self._some(job, size)

    def _some(self, job: Job, size: int) -> list[Any]:
        self._use.job = job
        try:
            return [] if self._stream is None else list(islice(self._stream, size))
        finally:
            self._use.job = None
            job.let_go()

    async def end(self) -> None:
        if self._pool is not None and not self._closed:
            await surely(self._pool, self._close)

    def _close(self) -> None:
        with self._busy:
            self._closed = True
            stream, self._stream = self._stream, None
            if stream is not None:
                stream.close()


class _Within:
    """Rows in a unit, taken by its lane."""

    def __init__(self, lane: Lane | Inline, sql: str, params: tuple[Any, ...]) -> None:
        self._lane = lane
        self._sql = sql
        self._params = params
        self._stream: RowStream[Row] | None = None

    async def take(self, size: int) -> list[Any]:
        unit: Any = self._lane.unit

        def some() -> list[Any]:
            if self._stream is None:
                self._stream = unit._stream(self._sql, self._params)
            return list(islice(self._stream, size))

        return await self._lane.call(some)

    async def end(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and not stream._ended:
            with suppress(DroppedError):
                await self._lane.call(stream.close)
