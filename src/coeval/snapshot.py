"""A snapshot: several reads of one moment, cached ones too.

Ring: shell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from .blocking import BlockingReading, BlockingSource, in_order, run
from .cache.lookup import read_within
from .errors import ClosedError, StoreError
from .reads import Reads, request
from .rows import Row
from .streams import RowStream, each
from .unit import Unit
from .witnessing import refuse_proof, watch_for

if TYPE_CHECKING:
    from types import TracebackType

    from .engine import Engine
    from .sqlite.store import Store


class Snapshot(Unit, Reads):
    """Reads that all see the data as of the moment the snapshot was entered. Calls on the database in the same context join it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._engine = engine
        self._reading: BlockingReading | None = None

    def __enter__(self) -> Self:
        store, source, reading = self._engine.using(self._begin)
        try:
            run(reading.seen(()))  # the first read: the moment is fixed here
        except BaseException:
            run(source.end(reading))
            raise
        self._store, self._source, self._reading = store, source, reading
        self._push()
        return self

    def _begin(self, store: Store) -> tuple[Store, BlockingSource, BlockingReading]:
        source = self._source_of(store)
        return store, source, run(source.begin())

    def _source_of(self, store: Store) -> BlockingSource:
        return BlockingSource(store)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reading, self._reading = self._reading, None
        self._pop()
        if reading is not None and not self._forked:
            self._cut_streams()
            run(self._source.end(reading))

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        engine = self._engine
        wanted, watch = request(sql, in_order(engine, sql, params), limit), watch_for(engine)
        hit = None if engine.auditor is None else engine.auditor.hit
        try:
            return run(read_within(wanted, self._open(), self._store.mark, engine.tier, engine.events.tell, watch, hit))
        except StoreError:
            refuse_proof("what could not be had just now")
            raise

    def _stream(self, sql: str, params: tuple[Any, ...]) -> RowStream[Row]:
        if watch_for(self._engine) is not None:  # its stamps have to be heard of, and before its rows
            return self._streaming(each(self._read(sql, params, None)))
        wanted = request(sql, params)
        run(self._open().plan(wanted))
        self._engine.events.tell("uncached")
        return self._streaming(self._open().connection.stream(sql, wanted.parameters))

    def _open(self) -> BlockingReading:
        if self._reading is None or not self._mine:
            raise ClosedError(
                "The snapshot has not begun, has ended, or belongs to another thread or task",
                hint="Use it inside its `with` block, or open another one there.",
            )
        return self._reading
