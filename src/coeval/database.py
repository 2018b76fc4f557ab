"""The blocking face.

Ring: shell.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack, overload

from .around import busy, quiet
from .blob import Blob
from .blocking import BlockingSource, in_order, read_at_once, read_past, run
from .cache.entry import Entry
from .cache.key import Key, quick_key
from .cache.lookup import Request, Watch, compute, revalidate, unprovable
from .config import resolve
from .direct import DirectWrites
from .errors import ClosedError, ReentryError
from .reads import Reads, adapted, request
from .rows import Row
from .snapshot import Snapshot
from .sqlite.functions import Function
from .streams import RowStream, each
from .transaction import Savepoint, Transaction
from .unit import current, joined
from .upkeep import Upkeep
from .witnessing import refuse_proof, watch_for, witness

if TYPE_CHECKING:
    from types import TracebackType

    from .aio import AsyncDatabase
    from .cache.options import Negative, Vary
    from .cached import CachedFunction
    from .config import Arguments, Settings
    from .engine import Engine
    from .explanation import Explanation
    from .loading import Loaded
    from .sqlite.store import Store

P = ParamSpec("P")
R = TypeVar("R")


def open(path: str | os.PathLike[str], **settings: Unpack[Arguments]) -> Database:
    """Open the SQLite file ``path``, made if it does not exist, and give its `Database`.

    ``path`` is a path, ``sqlite:///relative.db?setting=value``, or ``:memory:``, a private temporary file that is gone at the end.
    Settings come from the arguments, else the URL, else environment variables (``COEVAL_TIMEOUT``), else their defaults; each is
    described in `coeval.config.Settings`. Opening one file twice in a process shares everything.

    On return the file is in WAL mode, every ordinary table has its stamp and triggers, and both are verified; with
    ``coherence="clock"`` the file is as it was. Raises ConfigError, OpenError and its kinds, DamagedError, LockTimeoutError.
    """
    name, resolved = resolve(path, settings, os.environ)
    from .engine import engine_for  # brings in all that works on the file

    return Database(engine_for(name, resolved))


class Database(Reads, DirectWrites, Upkeep):
    """An open database. Every call is safe from any thread; after a fork it opens itself anew in the child.

    Calls inside a `transaction` or `snapshot` of the same context join it. Results are immutable and may be shared.
    """

    def __init__(self, engine: Engine) -> None:
        """Use `coeval.open`."""
        self._closed = False
        self._engine = engine
        self._aio: AsyncDatabase | None = None
        self._find = engine.find
        self._passing = engine.passing
        self._direct = engine.settings.cache is None  # no entry is looked for

    # -- reading ------------------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # type checkers see the overloads of Reads.query; this is its hit path, in place

        def query(self, sql, *params, into=None):
            if into is None and (not busy.get() or quiet()):
                if self._direct:
                    rows = read_at_once(self._engine, sql, params)
                    return self._read(sql, params, None) if rows is None else rows
                try:
                    match params:
                        case (value,):
                            entry = self._find((sql, value, type(value)))
                        case ():
                            entry = self._find((sql,))
                        case _:
                            entry = self._find((sql, params, tuple(map(type, params))))
                    if entry is not None:
                        if entry.mark == self._engine.now():
                            entry.hits += 1
                            return entry.rows
                        if self._proved(entry):
                            return entry.rows
                except (TypeError, ValueError):  # an unhashable parameter; the clock is just being closed
                    placed = in_order(self._engine, sql, params)
                    if placed is not params:
                        return self.query(sql, *placed)
                else:
                    account = self._passing(sql)
                    if account is not None and account.passes(asked := hash((sql, params))):
                        rows = read_at_once(self._engine, sql, params, None, "passed")
                        if rows is not None:
                            return rows
                        account.ask_again(asked)
            return Reads.query(self, sql, *params, into=into)

        query.__doc__ = Reads.query.__doc__

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        if current.get() is not None:
            unit = joined(self._engine)
            if unit is not None:
                return unit._read(sql, params, limit)  # type: ignore[attr-defined, no-any-return]
        engine = self._using()
        watch = None if witness.get() is None else watch_for(engine)
        if engine.settings.cache is None:
            if watch is not None:
                watch.refuse(unprovable(sql))
            rows = read_at_once(engine, sql, params, limit) if limit is not None else None
            return (
                engine.using(lambda store: read_past(store, engine, sql, adapted(params), limit))
                if rows is None
                else rows
            )
        found = None
        if len(params) == 1 and type(params[0]) is dict:
            params = in_order(engine, sql, params)
        if limit is not None:
            try:
                found = self._valid(quick_key(sql, params, limit))
            except TypeError:  # an unhashable parameter
                pass
            else:
                account = self._passing(sql) if found is None and watch is None else None
                if account is not None and account.passes(asked := hash((sql, params))):
                    rows = read_at_once(engine, sql, params, limit, "passed")
                    if rows is not None:
                        return rows
                    account.ask_again(asked)
        if found is None:
            wanted = request(sql, params, limit)
            found = self._valid(wanted.key)
            if found is None:
                return engine.using(lambda store: self._read_from(store, wanted, watch))
        if watch is not None:
            watch.saw(found.scopes, found.seen())
        return found.rows

    def _valid(self, key: Key) -> Entry | None:
        """The entry for ``key``, if it is valid now."""
        engine = self._engine
        entry = engine.tier.find(key)
        if entry is None:
            return None
        if entry.mark is not None and entry.mark == engine.using(lambda store: store.mark()):
            entry.hits += 1
        elif not self._proved(entry):
            return None
        if engine.auditor is not None:
            engine.auditor.hit(entry)
        return entry

    def _proved(self, entry: Entry) -> bool:
        """Whether ``entry``, which the commit clock does not vouch for, is valid by its stamps; else it is dropped."""
        engine = self._engine
        if entry.scopes is None:
            return False
        seen = engine.using(lambda store: store.seen(entry.scopes))
        if revalidate(entry, seen):
            engine.events.tell("revalidated")
            return True
        engine.lose(entry, seen)
        return False

    def _read_from(self, store: Store, wanted: Request, watch: Watch | None) -> tuple[Row, ...]:
        engine = self._engine
        account = self._passing(wanted.sql) if watch is None else None
        if account is not None and account.passes(wanted.asked()):  # as compute would, sooner
            return read_past(store, engine, wanted.sql, wanted.parameters, wanted.limit, event="passed")
        return run(compute(wanted, BlockingSource(store), engine.tier, engine.events.tell, watch))

    def _stream(self, sql: str, params: tuple[Any, ...]) -> RowStream[Row]:
        unit = joined(self._engine)
        if unit is not None:
            return unit._stream(sql, params)  # type: ignore[attr-defined, no-any-return]
        if witness.get() is not None and watch_for(self._engine) is not None:
            return RowStream(each(self._read(sql, params, None)))
        engine, wanted = self._using(), request(sql, params)
        engine.using(lambda store: run(BlockingSource(store).plan(wanted)))
        engine.events.tell("uncached")

        made: list[weakref.ref[RowStream[Row]]] = []  # weak, so that an abandoned iterator frees its reader at once

        def rows() -> Generator[Row, None, None]:
            refuse_proof("rows of an iterator that was made before")
            store, connection = engine.using(lambda store: (store, store.readers.hold()))
            stream = made[0]()
            if stream is not None:
                store.streaming(stream)
            del stream
            try:
                yield from connection.stream(sql, wanted.parameters)
            finally:
                store.readers.let_go(connection)

        stream = RowStream(rows())
        made.append(weakref.ref(stream))
        return stream

    # -- units --------------------------------------------------------------------------------------------------------

    def transaction(self) -> Transaction | Savepoint:
        """A write transaction, for ``with``: it waits for its turn at entry, commits durably at exit, rolls back where the block raises.

        Inside another transaction of the same context it is a savepoint. Its reads see its own writes and are never cached.
        """
        unit = joined(self._engine)
        return Savepoint(unit) if isinstance(unit, Transaction) else Transaction(self._using())

    def snapshot(self) -> AbstractContextManager[Reads]:
        """Several reads of one moment, for ``with``, cached ones too. Holds a reader; end it soon.

        It only reads: writes made meanwhile are transactions of their own, and not seen in it.

        Inside a transaction or another snapshot of the same context it is that one, which is of one moment already.
        """
        unit = joined(self._engine)
        return nullcontext(unit) if isinstance(unit, Snapshot | Transaction) else Snapshot(self._using())

    # -- cached calls -------------------------------------------------------------------------------------------------

    @overload
    def cached(self, function: Callable[P, R], /) -> CachedFunction[P, R]: ...
    @overload
    def cached(
        self,
        /,
        *,
        ttl: float | None = None,
        tags: str | Iterable[str] = (),
        stale_while_revalidate: float = 0,
        key: Callable[..., Any] | None = None,
        vary: Vary | Iterable[Vary] = (),
        negative: Negative = True,
        version: str = "",
        leave_out: Collection[str | type] = (),
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...
    def cached(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Keep what a function returns, as long as nothing that it has read through this database has changed.

        Everything that it reads is noted, in functions that it calls, cached ones too, and in threads and tasks that it starts. A call
        gets the kept value, or computes one: of callers who want the same at the same time one computes. None is ever older than what
        the function would have read. Immutable results are shared; of others every caller gets a copy of its own. A function that writes
        raises TrackedWriteError. What cannot be proved (it read nothing, or what Coeval knows nothing of) is computed each time, and
        the log says so once. Inside a transaction the function runs each time; inside a snapshot all is of that moment.

        The key is the function's module and name, the setting `version`, ``version``, and its arguments, in whatever way they are given.
        Arguments of types that say how and not what (databases, requests, sessions) are left out, as are those named in ``leave_out``,
        by name or type. ``key`` makes the key from the arguments instead; ``vary`` are context variables, or functions without
        arguments, whose values are part of it. Raises KeyArgumentError for an argument that cannot be part of a key. A function that is
        made anew each time, and uses variables of the one around it, is another function each time: decorate it once.

        ``ttl``: seconds after which a value is computed again in any case. ``tags``: `invalidate` makes values that have them invalid.
        ``stale_while_revalidate``: for so many seconds since it was last known to be valid an old value is given while a new one is
        computed beside; 0: never. ``negative``: False: None is not kept; or exceptions that are kept and raised again.
        """
        from .cached import decorated

        return decorated(self, function, options)

    # -- in bulk and in pieces ----------------------------------------------------------------------------------------

    def load(
        self,
        table: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        columns: Sequence[str] | None = None,
        batch: int = 10_000,
        upsert: str | Sequence[str] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Loaded:
        """Insert ``rows``, from any iterator, in constant memory: a transaction for each ``batch`` of them; what was done.

        ``rows`` are sequences, in the order of ``columns`` (default: all of the table), or mappings (default: the keys of the first).
        ``upsert`` names the column or columns of a unique key: a row that meets one with the same key updates its other columns;
        ``upsert=()``: it is left out. Without it that is an error. ``progress(rows_so_far)`` is called after each transaction.
        The iterator and ``progress`` run without the turn to write; inside a transaction of the same context all is part of that.

        On return everything is durable and visible to every later read. Where something raises (a row, which the error names by
        its place from 1; the iterator; ``progress``) the load ends: whole batches before it stay, nothing of the present one, and
        the error says how many rows are in. Users' triggers fire as for any insert. Raises as `executemany`, and SQLError for a
        table or column that cannot be loaded, before anything is taken from the iterator.
        """
        from .loading import load

        return load(self, table, rows, columns, batch, upsert, progress)

    def blob(self, table: str, column: str, rowid: int, *, writable: bool = False) -> Blob:
        """One value as a raw binary file of fixed size, for ``with``; of any size, in constant memory. `Blob` says the rest.

        Reading is of one moment. Writing is a transaction, held until the block ends, then durable and visible; calls in the block
        belong to it, and where the block raises all is rolled back. SQLite runs no trigger for such writes. The size is fixed: make
        room before, by ``zeroblob(size)``.
        """
        return Blob(self, table, column, rowid, writable)

    # -- the file -----------------------------------------------------------------------------------------------------

    def explain(self, sql: str, *params: Any) -> Explanation:
        """What ``sql`` reads, whether its results can be cached and are kept, why not, and SQLite's plan for it. It is not run."""
        parameters = request("", params).parameters
        from .explanation import explain

        refuse_proof("the plan of a statement (explain)")
        engine = self._using()
        found = engine.using(lambda store: explain(store, sql, parameters))
        return replace(found, unkept=engine.tier.admission.why(sql) if found.cacheable else None)

    def create_function(
        self, name: str, call: Callable[..., Any], nargs: int = -1, *, deterministic: bool = False
    ) -> None:
        """Give SQL the function ``name`` on every connection. Only a deterministic one leaves statements that use it cacheable."""
        self._using().add_function(Function(name, call, nargs, deterministic))

    def create_collation(self, name: str, compare: Callable[[str, str], int]) -> None:
        """Give SQL the collation ``name`` on every connection. Statements that may use it are not cached."""
        self._using().add_function(Function(name, compare, collation=True))

    def listen(self, listener: Callable[[str, Mapping[str, Any]], object]) -> Callable[[], None]:
        """Call ``listener(name, facts)`` on every event of `coeval.events`; returns what ends that."""
        return self._engine.events.listen(listener)

    @property
    def aio(self) -> AsyncDatabase:
        """The asyncio face of this database: the same names, the same engine; closing either closes both."""
        if self._aio is None:
            from .aio import AsyncDatabase

            self._aio = AsyncDatabase(lambda: self, self.path, self.settings, self)
        return self._aio

    @property
    def path(self) -> str:
        """The file's real path."""
        return self._engine.path

    @property
    def settings(self) -> Settings:
        """As resolved when the file was opened."""
        return self._engine.settings

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Close this face; with the last one of the file all its connections. Waits for the write under way. Twice does no harm."""
        if isinstance(joined(self._engine), Transaction):
            raise ReentryError("close() inside a transaction would wait for it", hint="Close after its block.")
        self._find, self._direct, self._passing = _nothing, False, _nothing
        self._engine.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<coeval.Database {self.path!r}{' closed' if self._closed else ''}>"

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _using(self) -> Engine:
        if self._closed:
            raise ClosedError(f"{self._engine.path} is closed", hint="Open it again with coeval.open.")
        return self._engine


def _nothing(key: object) -> None:
    """What a closed database finds."""
