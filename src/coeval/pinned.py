"""What the auditor computes in: a snapshot in which nothing comes from the cache, and nothing goes there.

It takes a reader only where one is free, so that nobody waits for an audit but for a statement's time. Like any snapshot it is ended past
`wal_limit`; and at once, by the auditor, before a fork and when the database is closed.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from .blocking import BlockingSource, run
from .cache.audit import look
from .cache.auditing import SkippedError
from .cache.lookup import Request, Rows
from .cached import _Call
from .coherence.scopes import BLOCK, TAGS, Scope
from .coherence.stamps import Seen
from .reads import request
from .rows import Row
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .engine import Engine
    from .sqlite.connection import Connection
    from .sqlite.readers import Readers
    from .sqlite.store import Store


class Spare:
    """The readers of a store that nobody needs at the moment, for the auditor."""

    def __init__(self, readers: Readers, engine: Engine) -> None:
        self._readers = readers
        self._engine = engine

    def take(self) -> Connection:
        """One that is free. Raises SkippedError."""
        connection = self._readers.try_take()
        if connection is None:
            raise SkippedError("every reader is in use")
        return connection

    def hold(self) -> Connection:
        connection = self.take()
        connection.held.append(monotonic())
        connection.gentle = True
        auditor = self._engine.auditor
        if auditor is None or not auditor.pin(connection, self._readers):
            self.let_go(connection)
            raise SkippedError("no snapshots are wanted now")
        return connection

    def give_back(self, connection: Connection) -> None:
        self._readers.give_back(connection)

    def give_back_doubtful(self, connection: Connection) -> None:
        self._readers.give_back_doubtful(connection)

    def let_go(self, connection: Connection) -> None:
        self._calm(connection)
        self._readers.let_go(connection)

    def discard(self, connection: Connection) -> None:
        self._calm(connection)
        self._readers.discard(connection)

    def _calm(self, connection: Connection) -> None:
        connection.gentle = False
        if self._engine.auditor is not None:
            self._engine.auditor.unpin(connection)


class Pinned(Snapshot):
    """A snapshot whose reads are computed, each time."""

    _computes = True
    _several = False  # rows were read, or may have been left out

    def _source_of(self, store: Store) -> BlockingSource:
        return BlockingSource(store, Spare(store.readers, self._engine))

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        wanted, reading = request(sql, params, limit), self._open()
        run(reading.plan(wanted))  # refuses what does not read
        rows = run(reading.rows(wanted))
        self._several = self._several or len(rows) > 1 or len(rows) == limit or look(sql).cut
        return rows

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        """Stamps in it."""
        return await self._open().seen(scopes)

    async def functions(self, request: Request) -> frozenset[str]:
        """Those that the statement calls, through views too."""
        return self._store.statements.analyse(request.sql).statement.functions

    async def rows(self, request: Request) -> Rows:
        """The statement's rows."""
        return await self._open().rows(request)

    async def turned(self, request: Request) -> Rows:
        """The same, with every scan whose order is left open turned round."""
        connection = self._open().connection
        before = _turn(connection, None)
        _turn(connection, not before)
        try:
            return await self.rows(request)
        finally:
            _turn(connection, before)

    async def counted(self) -> bool:
        """Whether there are statistics, by which SQLite may have chosen another plan before."""
        sql = "SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_stat1'"
        return bool(self._open().connection.raw.execute(sql).get)

    async def undecided(self) -> bool:
        """Whether what was read in it may have come in another order before."""
        return self._several and await self.counted()

    async def named(self, scopes: Iterable[Scope]) -> tuple[str, ...]:
        """What the scopes stand for."""
        found: list[Any] = self._open().connection.raw.execute("SELECT id, name FROM main._coeval_tables").fetchall()
        names = dict(found)
        return tuple(_name(names, scope) for scope in scopes)


def _turn(connection: Connection, turned: bool | None) -> bool:
    """Set whether scans are turned round, or leave it where None is given; whether they were."""
    raw = connection.raw
    raw.authorizer = None  # it keeps PRAGMAs from users
    try:
        before: Any = raw.execute("PRAGMA reverse_unordered_selects").get
        if turned is not None:
            raw.execute(f"PRAGMA reverse_unordered_selects = {int(turned)}").fetchall()
    finally:
        raw.authorizer = connection.watcher
    return bool(before)


def _name(tables: dict[int, str], scope: Scope) -> str:
    if scope <= TAGS:
        return f"tag {scope}"
    number, part = divmod(scope, BLOCK)
    name = tables.get(number, f"table {number}")
    return f"{name}, part {part}" if part else name


class CallAgain(_Call):
    """A call in the calling thread, made once more."""

    async def pin(self) -> None:
        """From now on, until `unpin`, what it reads is computed, in one snapshot."""
        self._snapshot = Pinned(self.engine).__enter__()

    async def unpin(self) -> None:
        """Let the snapshot go, if there is one."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.__exit__(None, None, None)

    async def undecided(self) -> bool:
        """Whether what it has read in the snapshot may have come in another order before."""
        assert isinstance(self._snapshot, Pinned)
        return await self._snapshot.undecided()

    async def named(self, scopes: Iterable[Scope]) -> tuple[str, ...]:
        """What the scopes stand for."""
        assert isinstance(self._snapshot, Pinned)
        return await self._snapshot.named(scopes)

    def given(self) -> Any:
        """Its arguments."""
        return self._args, self._kwargs
