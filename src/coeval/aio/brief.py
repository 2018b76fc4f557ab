"""Reads on the loop's own thread, of which none waits and none outruns its budget; what would is left to a worker.

Ring: shell.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import apsw

from ..blocking import BlockingSource, run, seen_now
from ..cache.lookup import Request, compute, revalidate
from ..errors import LockTimeoutError, StoreError
from ..pace import BUDGET, STEPS
from ..sqlite.connection import Connection
from ..sqlite.routing import check_parameters
from ..values import SIMPLE, adapt_parameters, all_plain
from ..witnessing import watch_for, witness

if TYPE_CHECKING:
    from ..cache.admission import Account
    from ..engine import Engine
    from ..rows import Row
    from ..sqlite.statements import Analysis
    from ..sqlite.store import Store


class OutrunError(Exception):
    """It cannot be done here and now."""


#: Names our progress handler among those that `on_connect` may have set.
_NAME = "coeval"


def hurry(connection: Connection, until: float) -> None:
    """From now on its statements wait for no lock, and stop at ``until``; ``connection.deadline.late`` says whether one was stopped."""
    connection.deadline.until = until
    connection.deadline.late = False
    connection.raw.set_busy_timeout(0)
    connection.raw.set_progress_handler(connection.deadline, STEPS, id=_NAME)


def relax(connection: Connection, patience: int) -> None:
    """As it was; ``patience``: its busy time-out in milliseconds."""
    with suppress(apsw.ConnectionClosedError):
        connection.raw.set_progress_handler(None, id=_NAME)
        connection.raw.set_busy_timeout(patience)


def read_briefly(
    engine: Engine, sql: str, params: tuple[Any, ...], limit: int | None = None, event: str = "uncached"
) -> tuple[Row, ...] | None:
    """Rows past the cache, on the loop's thread; None where that is not for it. As `blocking.read_at_once`, but within a budget."""
    store = engine._store
    if store is None or type(sql) is not str:
        return None
    pace = store.statements.pace
    if pace.brief.get(sql) != len(params):
        return None
    if not SIMPLE.issuperset(map(type, params)) and not all_plain(params):
        return None
    readers = store.readers
    try:
        connection = readers.idle.pop()
    except IndexError:
        return None
    raw = connection.raw
    start = perf_counter()
    deadline = connection.deadline
    deadline.until = start + BUDGET
    deadline.late = False
    try:
        raw.set_busy_timeout(0)
        raw.set_progress_handler(deadline, STEPS, id=_NAME)
        rows = connection.rows(sql, params, limit)
        raw.set_progress_handler(None, id=_NAME)
        raw.set_busy_timeout(readers.patience)
    except BaseException as error:
        relax(connection, readers.patience)
        readers.give_back_doubtful(connection)
        if deadline.late and isinstance(error, StoreError):
            pace.slow(sql, stopped=True)
            return None
        if isinstance(error, LockTimeoutError):
            return None
        if isinstance(error, ValueError | OverflowError):
            adapt_parameters(params)  # says better what is wrong with a value that SQLite cannot take
        raise
    readers.give_back(connection)
    spent = perf_counter() - start
    if spent > BUDGET:
        pace.slow(sql, stopped=False)
    engine.workers.spent += spent
    engine.events.counts[event] += 1
    if engine.events.listeners:
        engine.events.notify(event, {})
    return rows


def read_passing(
    engine: Engine, account: Account, sql: str, params: tuple[Any, ...], limit: int | None = None
) -> tuple[Row, ...] | None:
    """`read_briefly`, where the statement's account says that what it gives is not worth keeping; ``params`` are hashable."""
    if not account.passes(asked := hash((sql, params))):
        return None
    rows = read_briefly(engine, sql, params, limit, "passed")
    if rows is None:
        account.ask_again(asked)
    return rows


class Brief:
    """The readers of a store, for one read on the loop's thread."""

    def __init__(self, store: Store) -> None:
        self._readers = store.readers
        self._patience = store.readers.patience
        self._until = perf_counter() + BUDGET
        self.late = False  #: a statement was stopped

    def take(self) -> Connection:
        """One that is idle, in a hurry. Raises OutrunError."""
        try:
            connection = self._readers.idle.pop()
        except IndexError:
            raise OutrunError from None
        hurry(connection, self._until)
        return connection

    def hold(self) -> Connection:
        connection = self.take()
        connection.held.append(monotonic())
        return connection

    def give_back(self, connection: Connection) -> None:
        self._calm(connection)
        self._readers.give_back(connection)

    def give_back_doubtful(self, connection: Connection) -> None:
        self._calm(connection)
        self._readers.give_back_doubtful(connection)

    def let_go(self, connection: Connection) -> None:
        self._calm(connection)
        self._readers.let_go(connection)

    def discard(self, connection: Connection) -> None:
        self._calm(connection)
        self._readers.discard(connection)

    def _calm(self, connection: Connection) -> None:
        self.late = self.late or connection.deadline.late
        relax(connection, self._patience)


class _Source(BlockingSource):
    """The store, for one read on the loop's thread."""

    __slots__ = ()

    async def plan(self, request: Request) -> Analysis:
        analysis = self._store.statements.remembered(request.sql)
        if analysis is None:
            raise OutrunError
        check_parameters(analysis.statement, request.parameters)
        return analysis

    async def renew(self, request: Request) -> Analysis:  # noqa: ARG002 - a Source's
        raise OutrunError  # compiles, and may verify triggers


def answer_briefly(engine: Engine, wanted: Request) -> tuple[Row, ...] | None:
    """Rows from a valid entry, or computed, on the loop's thread; None where that is not for it."""
    store = engine._store
    if store is None:
        return None
    pace = store.statements.pace
    brief = Brief(store)
    watch = None if witness.get() is None else watch_for(engine)
    start = perf_counter()
    try:
        entry = engine.tier.find(wanted.key)
        if entry is not None:
            if entry.mark is not None and entry.mark == store.mark():
                entry.hits += 1
                if watch is not None:
                    watch.saw(entry.scopes, entry.seen())
                if engine.auditor is not None:
                    engine.auditor.hit(entry)
                return entry.rows
            if entry.scopes is not None:
                seen = seen_now(store, brief, entry.scopes)
                if revalidate(entry, seen):
                    engine.events.tell("revalidated")
                    if watch is not None:
                        watch.saw(entry.scopes, seen)
                    if engine.auditor is not None:
                        engine.auditor.hit(entry)
                    return entry.rows
                engine.lose(entry, seen)
        if wanted.sql not in pace.brief:
            return None
        rows = run(compute(wanted, _Source(store, brief), engine.tier, engine.events.tell, watch))
    except OutrunError:
        return None
    except StoreError as error:
        if brief.late:
            pace.slow(wanted.sql, stopped=True)
            return None
        if isinstance(error, LockTimeoutError):
            return None
        raise
    spent = perf_counter() - start
    if spent > BUDGET:
        pace.slow(wanted.sql, stopped=False)
    engine.workers.spent += spent
    return rows
