"""The blocking shell: runs the flows in place, and answers their calls without ever suspending.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import apsw

from .cache.lookup import Reading, Request, Rows
from .coherence.scopes import TAGS, Scope
from .coherence.stamps import Seen
from .errors import SnapshotEndedError, SQLError
from .rows import Row
from .sqlite.routing import check_parameters, check_read
from .values import SIMPLE, adapt_parameters, all_plain

if TYPE_CHECKING:
    from .engine import Engine
    from .sqlite.connection import Connection, Parameters
    from .sqlite.statements import Analysis
    from .sqlite.store import Store

T = TypeVar("T")


def run(flow: Coroutine[Any, Any, T]) -> T:
    """Run a flow whose calls never suspend to its end, in the calling thread."""
    try:
        flow.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    flow.close()
    raise RuntimeError("a blocking flow was suspended")


class Lender(Protocol):
    """Who lends connections for reading, as `sqlite.readers.Readers` does."""

    def take(self) -> Connection: ...
    def give_back(self, connection: Connection) -> None: ...
    def give_back_doubtful(self, connection: Connection) -> None: ...
    def hold(self) -> Connection: ...
    def let_go(self, connection: Connection) -> None: ...
    def discard(self, connection: Connection) -> None: ...


def in_order(engine: Engine, sql: str, params: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values that came by name in the order of the placeholders, which makes the quicker key; ``params`` where that takes a closer look."""
    store = engine._store
    if len(params) != 1 or type(params[0]) is not dict or store is None or type(sql) is not str:
        return params
    order = store.statements.named.get(sql)
    if order is None:
        return params
    try:
        values = order(params[0])
    except KeyError:
        return params
    return values if all_plain(values) else params


def read_at_once(
    engine: Engine, sql: str, params: tuple[Any, ...], limit: int | None = None, event: str = "uncached"
) -> tuple[Row, ...] | None:
    """Rows past the cache, where nothing has to be looked up, adapted or waited for; None where something has.

    ``event``: what is told of it. The statement is known to read and has a value for each placeholder; its cursor is finished on
    return (law 1).
    """
    store = engine._store
    if store is None or type(sql) is not str or store.statements.readable.get(sql) != len(params):
        return None
    if not SIMPLE.issuperset(map(type, params)) and not all_plain(params):
        return None
    readers = store.readers
    try:
        connection = readers.idle.pop()
    except IndexError:
        return None
    try:
        engine.events.counts[event] += 1
        if engine.events.listeners:
            engine.events.notify(event, {})
        rows = connection.rows(sql, params, limit)
    except BaseException as error:
        readers.give_back_doubtful(connection)
        if isinstance(error, ValueError | OverflowError):
            adapt_parameters(params)  # says better what is wrong with a value that SQLite cannot take
        raise
    readers.give_back(connection)
    return rows


def read_past(
    store: Store,
    engine: Engine,
    sql: str,
    parameters: Parameters,
    limit: int | None,
    readers: Lender | None = None,
    event: str = "uncached",
) -> tuple[Row, ...]:
    """Rows past the cache, after analysing the statement; ``event`` is told of it."""
    statement = store.statements.analyse(sql).statement
    check_read(statement)
    check_parameters(statement, parameters)
    engine.events.tell(event)
    return take_rows(store.readers if readers is None else readers, sql, parameters, limit)


def take_rows(readers: Lender, sql: str, parameters: Parameters, limit: int | None) -> tuple[Row, ...]:
    """The rows of one statement on one reader, which is given back whatever happens."""
    connection = readers.take()
    try:
        rows = connection.rows(sql, parameters, limit)
    except BaseException:
        readers.give_back_doubtful(connection)
        raise
    readers.give_back(connection)
    return rows


def seen_now(store: Store, readers: Lender, scopes: tuple[Scope, ...] | None) -> Seen:
    """Stamps of ``scopes`` in a new snapshot."""
    connection = readers.take()
    try:
        seen = connection.seen(scopes, store.clock)
    except BaseException:
        readers.give_back_doubtful(connection)
        raise
    readers.give_back(connection)
    return seen


def stamps_for(engine: Engine, lender: Callable[[Store], Lender], scopes: tuple[Scope, ...] | None) -> Seen:
    """As `seen_now`, where ``scopes`` may be those of tags and plain values, whose stamps are made where they are missing."""

    def look(store: Store) -> Seen:
        return seen_now(store, lender(store), scopes)

    if not scopes or scopes[0] > TAGS:
        return engine.using(look)
    engine.make_tags()
    seen = engine.using(look)
    if (seen.schema is None or None in seen.stamps) and engine.make_tags(again=True):
        seen = engine.using(look)
    return seen


class BlockingReading:
    """One snapshot on one reader."""

    __slots__ = ("_known", "_store", "connection")

    time = staticmethod(perf_counter)

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self.connection = connection
        self._known: dict[tuple[Scope, ...] | None, Seen] = {}

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        known = self._known.get(scopes)
        if known is None:
            known = self.connection.seen(scopes, self._store.clock)
            if self._known:  # the clock of the first read is this snapshot's; a later look says nothing
                known = known._replace(mark=next(iter(self._known.values())).mark)
            self._known[scopes] = known
        return known

    async def plan(self, request: Request) -> Analysis | None:
        statements, schema = self._store.statements, (await self.seen(())).schema
        try:
            known = statements.analyse(request.sql)
        except SQLError:  # not in the schema of now
            known = None
        fits = known is not None and schema is not None and known.schema == schema
        statement = known.statement if known is not None and fits else self.connection.compile(request.sql)
        check_read(statement)
        check_parameters(statement, request.parameters)
        return known if fits else None

    async def rows(self, request: Request) -> tuple[Row, ...]:
        return self.connection.rows(request.sql, request.parameters, request.limit)


class BlockingSource:
    """The store, for reads that run in the calling thread."""

    __slots__ = ("_readers", "_store")

    time = staticmethod(perf_counter)

    def __init__(self, store: Store, readers: Lender | None = None) -> None:
        """``readers`` lends the connections: the store's own, where nothing else is given."""
        self._store = store
        self._readers: Lender = store.readers if readers is None else readers

    async def plan(self, request: Request) -> Analysis:
        analysis = self._store.statements.analyse(request.sql)
        check_read(analysis.statement)
        check_parameters(analysis.statement, request.parameters)
        return analysis

    async def renew(self, request: Request) -> Analysis:
        return self._store.renew(request.sql)

    async def rows(self, request: Request) -> Rows:
        return take_rows(self._readers, request.sql, request.parameters, request.limit)

    async def begin(self) -> BlockingReading:
        connection = self._readers.hold()
        try:
            connection.run("BEGIN")
        except BaseException:
            self._readers.discard(connection)
            raise
        return BlockingReading(self._store, connection)

    async def end(self, reading: Reading) -> None:
        assert isinstance(reading, BlockingReading)
        connection = reading.connection
        try:
            if connection.ended is None and connection.raw.in_transaction:  # an I/O error ends it
                connection.run("COMMIT")
        except (apsw.ConnectionClosedError, SnapshotEndedError):  # ended just now, and nobody reads in it any more
            pass
        except BaseException:
            self._readers.discard(connection)
            raise
        # COMMIT leaves the snapshot of an unfinished statement open, which only an interrupt can have left
        self._readers.let_go(connection)
