"""What `write` gives its function: reads on a snapshot, and from the first write on a transaction, if what was read is still true.

Nobody waits while it reads. At the first write it takes its turn and compares the stamps of all that it read, in the transaction, with
those it saw; where they are equal, it is as if it had read only now: serialisable. What has no stamp (virtual and system tables) is
unchanged where nobody has committed at all since, by the commit clock.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from .blocking import BlockingReading, BlockingSource, in_order, run
from .cache.lookup import Request, read_within
from .coherence.scopes import BLOCK, TAGS
from .errors import SerializationError
from .reads import request
from .rows import Result, Row
from .sqlite.place import Turn
from .sqlite.routing import check_write
from .sqlite.statement import Kind
from .streams import RowStream
from .transaction import IN_TRANSACTION, Transaction
from .witnessing import refuse_proof, refuse_writes

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .coherence.scopes import Scope
    from .coherence.stamps import Seen
    from .engine import Engine
    from .sqlite.connection import Connection, Parameters
    from .sqlite.statements import Analysis
    from .sqlite.store import Store
    from .sqlite.writer import Writer


class _Noting(BlockingReading):
    """A snapshot that knows what was read in it."""

    __slots__ = ("unclear",)

    def __init__(self, store: Store, connection: Connection) -> None:
        super().__init__(store, connection)
        self.unclear = False  #: something without stamps was read

    async def plan(self, request: Request) -> Analysis | None:
        found = await super().plan(request)
        scopes = None if found is None else found.scopes_for(request.parameters)
        if scopes is None:
            self.unclear = True
        else:
            await self.seen(scopes)
        return found

    @property
    def read(self) -> dict[tuple[Scope, ...] | None, Seen]:
        return self._known


class Attempt(Transaction):
    """Reads and writes as in a transaction, whose turn comes with the first write. Calls on the database in the same context join it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, "write()")
        self._reading: _Noting | None = None
        #: what this attempt was given up with, whether or not its function let it out
        self.conflict: SerializationError | None = None

    def __enter__(self) -> Self:
        """The moment of its reads is now."""
        self._store, self._source, self._reading = self._engine.using(_begin)
        self._push()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits what was written, durably, or rolls back where the function raised. Raises SerializationError that it swallowed."""
        try:
            self._pop()
            if self._forked:
                return
            if self._connection is not None:
                self._end(good=error is None and self.conflict is None)
        finally:
            if not self._forked:
                self._give_up()
                self._cut_streams()
                self._end_reading()
        if error is None and self.conflict is not None:
            raise self.conflict

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        reading = self._reading
        if self._connection is not None or reading is None:
            return super()._read(sql, params, limit)
        self._check_mine()
        refuse_proof(IN_TRANSACTION)
        engine = self._engine
        wanted = request(sql, in_order(engine, sql, params), limit)
        hit = None if engine.auditor is None else engine.auditor.hit
        return run(read_within(wanted, reading, self._store.mark, engine.tier, engine.events.tell, None, hit))

    def _stream(self, sql: str, params: tuple[Any, ...]) -> RowStream[Row]:
        reading = self._reading
        if self._connection is not None or reading is None:
            return super()._stream(sql, params)
        self._check_mine()
        refuse_proof(IN_TRANSACTION)
        wanted = request(sql, params)
        run(reading.plan(wanted))
        self._engine.events.tell("uncached")
        return self._streaming(reading.connection.stream(sql, wanted.parameters))

    def _write(self, sql: str, parameters: Parameters) -> Result:
        if self._connection is None and self._reading is not None:
            statement = self._refuse(sql, (parameters,))  # bad input takes no turn, and reading needs none
            if statement.kind is Kind.READ:
                rows = (parameters,) if not isinstance(parameters, tuple) else parameters
                return Result(0, None, self._read(sql, rows, None))
        return super()._write(sql, parameters)

    def _write_many(self, sql: str, parameters: Sequence[Parameters]) -> Result:
        if self._connection is None and self._reading is not None:
            check_write(self._refuse(sql, parameters), in_transaction=True)
        return super()._write_many(sql, parameters)

    def _seen(self, scopes: tuple[Scope, ...]) -> Seen:
        if self._connection is not None or self._reading is None:
            return super()._seen(scopes)
        self._check_mine()
        return run(self._reading.seen(scopes))._replace(mark=None)

    def _ready(self) -> Connection:
        if self._connection is None and self._reading is not None:
            self._check_mine()
            self._take_turn(self._reading)
        return super()._ready()

    def _check_mine(self) -> None:
        if self.conflict is not None:
            raise self.conflict
        if not self._mine:
            super()._ready()  # says so

    def _take_turn(self, reading: _Noting) -> None:
        """The first write. Raises SerializationError where what was read is not true any more; LockTimeoutError."""
        writer = self._store.writer
        connection = self._lock(writer)
        try:
            changed = self._changed(reading, connection)
            if changed is not None:
                self.conflict = SerializationError(
                    f"What write() had read was changed by another before its first write: {changed}",
                    hint="Where others write the same all the time use `with db.transaction():`, which has its turn first.",
                )
                raise self.conflict
        except BaseException:
            writer.rollback()
            raise
        self._connection = connection
        if not self._streams:  # else they go on; what they give was compared, too
            self._end_reading()

    def _lock(self, writer: Writer) -> Connection:
        """The turn, and the lock."""
        refuse_writes(self._what)
        self._turn = Turn(self._what)
        return writer.begin(self._turn)

    def _changed(self, reading: _Noting, connection: Connection) -> str | None:
        """What has changed since the snapshot, in the write transaction on ``connection``; None where nothing has that was read."""
        then = reading.read
        mark = next(iter(then.values())).mark
        now = connection.seen((), self._store.clock)
        if mark is not None and self._store.mark() == mark:
            return None  # nobody has committed at all, and nobody can while this has the lock
        if reading.unclear or None in then:
            return "something was committed, and it had read what has no stamp (a virtual or system table, an implicit rowid)"
        if now.schema is None or any(seen.schema != now.schema for seen in then.values()):
            return "the schema"
        for scopes, seen in then.items():
            if scopes:
                present = connection.seen(scopes, self._store.clock).stamps
                different = [s for s, a, b in zip(scopes, seen.stamps, present, strict=True) if a is None or a != b]
                if different:
                    values = ["a value of db.cache"] if different[0] <= TAGS else []
                    names = [self._named(connection, scope) for scope in different if scope > TAGS]
                    return ", ".join([*values, *([f"table {', '.join(names)}"] if names else [])])
        return None

    def _named(self, connection: Connection, scope: Scope) -> str:
        name = connection.raw.execute("SELECT name FROM main._coeval_tables WHERE id = ?", (scope // BLOCK,)).get
        return str(name)

    def _end_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            run(self._source.end(reading))


def _begin(store: Store) -> tuple[Store, BlockingSource, _Noting]:
    source = BlockingSource(store)
    plain = run(source.begin())
    reading = _Noting(store, plain.connection)
    try:
        run(reading.seen(()))  # the first read: the moment is fixed here
    except BaseException:
        run(source.end(plain))
        raise
    return store, source, reading
