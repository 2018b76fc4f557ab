"""The APSW connection under a `Connection`, its turn to write, and what it takes to open it again.

`Handle` is a database in memory, private to its connection: no engine, no turn. `FileHandle` is a connection to the file of an engine,
whose guard, WAL, triggers and gate are in force (laws 1, 7 and 8). What must hold there:

* A statement that writes, or begins to, has the turn before it runs. The turn goes on when no write transaction is open any more.
* What would let a stale result pass, there or in a file that is attached, is refused (`judge`).
* Before a fork an idle connection is closed; it is opened again, set up as it was, when next used (`forking`).

Ring: shell.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import apsw

from .. import errors as ours
from ..coherence.buckets import FUNCTIONS
from ..coherence.names import fold, quoted
from ..coherence.scopes import block
from ..engine import Engine
from ..sqlite import guard, pragmas
from ..sqlite.readers import Retired
from ..sqlite.store import Store
from ..witnessing import refuse_writes
from .errors import NotSupportedError, ProgrammingError, locked, not_opened
from .judge import Authorizer, Judge
from .undertaker import undertaker


class User(Protocol):
    """A cursor or blob of the connection."""

    @property
    def pending(self) -> bool:
        """True while it is in the middle of a statement."""


class Handle:
    """A connection to a database in memory."""

    engine: Engine | None = None

    def __init__(self, open: Callable[[], apsw.Connection]) -> None:
        self.lock = threading.RLock()
        self.users: weakref.WeakSet[User] = weakref.WeakSet()
        self.judge = Judge(own=self.engine is not None)
        self._setup: dict[Any, Callable[[apsw.Connection], object]] = {}
        self._open = open
        self._raw: apsw.Connection | None = self._judged(open())

    def _judged(self, raw: apsw.Connection) -> apsw.Connection:
        raw.set_authorizer(self.judge)
        return raw

    @property
    def raw(self) -> apsw.Connection:
        """The APSW connection, for a caller that has the lock."""
        assert self._raw is not None
        return self._raw

    def keep(self, key: Any, apply: Callable[[apsw.Connection], object], *, applied: bool = False) -> None:
        """Set something up on the connection, and again when it is opened again; ``key`` names what it replaces."""
        if not applied:
            apply(self.raw)
        self._setup.pop(key, None)
        self._setup[key] = apply

    def authorize(self, authorizer: Authorizer | None) -> None:
        """Ask ``authorizer`` from now on."""
        self.judge.user = authorizer
        self.raw.set_authorizer(self.judge)  # once more, so that what is compiled already is judged anew

    def refuse_function(self, name: str) -> None:
        """Raise NotSupportedError where the function ``name`` is SQLite's own, and triggers of Coeval's may call it."""
        if fold(name) not in FUNCTIONS:
            return
        if self.engine is not None or set(self.raw.db_names()) - {"main", "temp"}:
            raise NotSupportedError(f"{name} cannot be replaced here: Coeval's triggers call it")
        self.judge.replaced = name

    def switch_triggers(self, apply: Callable[[], object], *, on: bool) -> None:
        """Have ``apply`` switch them. Raises NotSupportedError where they may be Coeval's, and are to be off."""
        if not on and self.engine is not None:
            raise NotSupportedError("Triggers cannot be switched off here: Coeval's caches rest on them")
        if not on and set(self.raw.db_names()) - {"main", "temp"}:
            raise NotSupportedError(
                "Triggers cannot be switched off while a database is attached: Coeval's caches of a file rest on them; DETACH it first"
            )
        apply()
        self.judge.triggers = on

    def follow(self) -> None:
        """Go on with the file that the name leads to now, where that may be done unnoticed."""

    def enter(self, what: str) -> None:
        """Have the turn for ``what``, which is about to write."""

    def settle(self) -> None:
        """Give the turn back, where no write transaction is open."""

    def stamp(self, schema: str, table: str) -> None:
        """Replace the stamp of ``table``, whose rows were changed without a trigger, in the write transaction that is open.

        ``schema`` may be an attached file. Nothing happens where it has no stamps. Upholds law 1: incremental BLOB writes fire no trigger
        (hole 10).
        """
        raw, place = self.raw, quoted(schema)
        self.judge.stamping = True
        try:  # not from the cache of statements, where the user could find them
            known = f"SELECT 1 FROM {place}.sqlite_schema WHERE name = '_coeval_tables'"
            if raw.execute(known, can_cache=False).get is None:
                return
            sql = f"SELECT id FROM {place}._coeval_tables WHERE name = ? COLLATE NOCASE"
            number = raw.execute(sql, (table,), can_cache=False).get
            if number is not None:
                sql = f"UPDATE {place}._coeval_stamps SET stamp = random() WHERE id BETWEEN ? AND ?"
                raw.execute(sql, block(number), can_cache=False)
        finally:
            self.judge.stamping = False

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        if self._raw is not None:
            self._raw.close(True)  # raises where it is called by what it runs
            self._raw = None

    def forsake(self) -> None:
        """The connection was not closed and nobody has it any more. May be called by the garbage collector, at any point of any thread."""
        self._raw = None


class FileHandle(Handle):
    """A connection to an engine's file."""

    engine: Engine

    def __init__(self, engine: Engine, timeout: float, flags: int, cached: int) -> None:
        """``timeout``: seconds to wait for the turn, and for locks of programs that know no turn. ``cached``: statements kept compiled."""
        self.engine = engine
        self._closed = False  # as a face of the engine
        self.lost = ""  #: why it can never be used again
        self._timeout = timeout
        self._flags = flags
        self._cached = cached
        self._turn: Any = None
        self._gate: Any = None
        try:
            super().__init__(self._opened)
        except BaseException:
            engine.release(self)
            raise

    def _opened(self) -> apsw.Connection:
        try:
            return self.engine.using(self._connect)
        except ours.Error as error:
            raise not_opened(error) from error

    def _connect(self, store: Store) -> apsw.Connection:
        flags = self._flags if store.writable else apsw.SQLITE_OPEN_READONLY
        identity = guard.watch(self.engine.path)  # as long as it is open, so that a forked child knows of it
        try:
            return self._tuned(store, identity, flags)
        except BaseException:
            guard.unwatch(identity)
            raise

    def _tuned(self, store: Store, identity: guard.Identity, flags: int) -> apsw.Connection:
        if identity != store.identity:
            raise Retired
        raw = apsw.Connection(self.engine.path, flags=flags, statementcachesize=self._cached)
        try:
            if guard.identity_of(self.engine.path) != identity:
                raise Retired
            raw.set_busy_timeout(int(self._timeout * 1000))
            for setting in pragmas.EVERY:
                if setting not in {pragmas.busy_timeout, pragmas.foreign_keys}:  # sqlite3's own: given, and off
                    setting(raw, store.settings)
            self._judged(raw)
            for apply in self._setup.values():
                apply(raw)
            store.checkpoints.follow(raw)
        except BaseException:
            raw.close()
            raise
        self._store = store
        return raw

    @property
    def raw(self) -> apsw.Connection:
        """The APSW connection, opened again where it was closed for a fork. For a caller that has the lock."""
        raw = self._raw
        if raw is None:
            if self.lost or self._closed:
                raise ProgrammingError(self.lost or "Cannot operate on a closed database.")
            raw = self._raw = self._open()
        return raw

    def follow(self) -> None:
        """The engine has another store after a fork, or where the file was replaced; then an idle connection is opened anew."""
        store = self.engine._store
        if store is None or store is self._store:
            return
        with self.lock:
            if store.identity == self._store.identity:
                self._store = store
            elif self.idle:
                self.suspend()

    # -- the turn -----------------------------------------------------------------------------------------------------

    def enter(self, what: str) -> None:
        refuse_writes(what)
        if self._turn is not None:
            return
        try:
            gate = self.engine.store().writer.gate
            self._turn, self._gate = gate.enter(what, self._timeout), gate
        except ours.Error as error:
            raise locked(error) from error

    def settle(self) -> None:
        if self._turn is not None and (self._raw is None or self._raw.txn_state("main") != apsw.SQLITE_TXN_WRITE):
            turn, self._turn = self._turn, None
            if self._gate.has(turn):
                self._gate.leave()

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        try:
            self.suspend()
        finally:
            self.settle()
            self.engine.release(self)
            undertaker.leave(self)

    def forsake(self) -> None:
        """Another thread closes it: taking locks here could wait for ever for the thread that is being interrupted."""
        if not self._closed and not self.lost:
            if (turn := self._turn) is not None:
                turn.hand_over()
            undertaker.bury(self)

    @property
    def idle(self) -> bool:
        """True where closing and opening it again would not be noticed: nothing under way, temporary or attached."""
        raw = self._raw
        if raw is None:
            return True
        apart = self.judge.temporary or len(raw.db_names()) > (2 if "temp" in raw.db_names() else 1)
        under_way = raw.in_transaction or raw.txn_state() != apsw.SQLITE_TXN_NONE or self._turn is not None
        return not (apart or under_way or any(user.pending for user in self.users.copy()))

    @property
    def suspended(self) -> bool:
        """True between `suspend` and the next use."""
        return self._raw is None

    def suspend(self) -> None:
        """Close it until it is used again. The caller has the lock."""
        raw = self._raw
        if raw is not None:
            raw.close(True)
            self._raw = None
            guard.unwatch(self._store.identity)

    def lose(self, why: str) -> None:
        """In a forked child: it is the parent's, and is never touched again, not even by garbage collection."""
        self.lost = why
        self._turn = None
        if self._raw is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._raw))
        self._raw = None
