"""The APSW connection under a `Connection`, its turn to write, and what it takes to open it again.

`Handle` is a database in memory, private to its connection: no engine, no turn. `FileHandle` is a connection to the file of an engine,
whose guard, WAL, triggers and gate are in force (laws 1, 7 and 8). What must hold there:

* A statement that writes, or begins to, has the turn before it runs. The turn goes on when no write transaction is open any more.
* What would let a stale result pass is refused by the authorizer: writes to our tables, and PRAGMAs that change the journal or forge
  the schema's version. The user's authorizer is not asked about our triggers, so it cannot switch them off.
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
from ..coherence.names import fold
from ..coherence.read_set import OWN_TABLES
from ..coherence.scopes import table_scope
from ..engine import Engine
from ..sqlite import guard, pragmas
from ..sqlite.readers import Retired
from ..sqlite.store import Store
from ..sqlite.triggers import _TRIGGER_NAME
from .errors import ProgrammingError, locked, not_opened

Authorizer = Callable[[int, str | None, str | None, str | None, str | None], Any]

_OURS_TO_SET = {"journal_mode", "locking_mode", "schema_version"}
#: What must not be done to the tables that hold the stamps. Where the table's name stands differs.
_CHANGES = frozenset(
    {
        *(apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE, apsw.SQLITE_DROP_TABLE, apsw.SQLITE_ALTER_TABLE),
        *(apsw.SQLITE_CREATE_TRIGGER, apsw.SQLITE_CREATE_TEMP_TRIGGER, apsw.SQLITE_CREATE_INDEX),
    }
)
_TEMPORARY = frozenset(
    code for name, code in apsw.mapping_authorizer_function.items() if str(name).startswith("SQLITE_CREATE_TEMP_")
)


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
        self.refusal = ""  #: why the authorizer has denied something, until that was raised
        self._setup: dict[Any, Callable[[apsw.Connection], object]] = {}
        self._authorizer: Authorizer | None = None
        self._open = open
        self._raw: apsw.Connection | None = open()

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
        self._authorizer = authorizer
        self.raw.set_authorizer(authorizer)

    def follow(self) -> None:
        """Go on with the file that the name leads to now, where that may be done unnoticed."""

    def enter(self, what: str) -> None:
        """Have the turn for ``what``, which is about to write."""

    def settle(self) -> None:
        """Give the turn back, where no write transaction is open."""

    def stamp(self, table: str) -> None:
        """Replace the stamp of ``table``, whose rows were changed without a trigger, in the write transaction that is open."""

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
        self._stamping = False
        self._temporary = False  # it may have made temporary tables
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
            raw.set_authorizer(self._judge)
            for apply in self._setup.values():
                apply(raw)
            store.checkpoints.follow(raw)
        except BaseException:
            raw.close()
            raise
        self._stamped = store.settings.coherence == "stamps"
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

    def authorize(self, authorizer: Authorizer | None) -> None:
        self._authorizer = authorizer
        self.raw.set_authorizer(self._judge)

    def _judge(self, code: int, a: str | None, b: str | None, c: str | None, source: str | None) -> int:
        if source is None or not _TRIGGER_NAME.fullmatch(source):
            self._temporary = self._temporary or code in _TEMPORARY
            if code == apsw.SQLITE_PRAGMA and b is not None and fold(a or "") in _OURS_TO_SET:
                self.refusal = f"PRAGMA {a} is not for a connection to change: Coeval's caches rest on it"
                return apsw.SQLITE_DENY
            copied = self._stamping or (c or "").startswith(
                "vacuum_"
            )  # VACUUM makes every table anew under such a name
            touched = OWN_TABLES & {fold(a or ""), fold(b or "")} if code in _CHANGES and not copied else None
            if touched:
                self.refusal = f"{min(touched)} is where Coeval keeps its stamps; `coeval uninstall FILE` removes it"
                return apsw.SQLITE_DENY
            if self._authorizer is not None and not self._stamping:
                return int(self._authorizer(code, a, b, c, source))
        return apsw.SQLITE_OK

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

    def stamp(self, table: str) -> None:
        """Upholds law 1: incremental BLOB writes fire no trigger (hole 10)."""
        if not self._stamped:
            return
        raw = self.raw
        number = raw.execute("SELECT id FROM main._coeval_tables WHERE name = ? COLLATE NOCASE", (table,)).get
        if number is not None:
            self._stamping = True
            try:  # not from the cache of statements, where the user could find it
                sql = "UPDATE main._coeval_stamps SET stamp = random() WHERE id = ?"
                raw.execute(sql, (table_scope(number),), can_cache=False)
            finally:
                self._stamping = False

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        try:
            self.suspend()
        finally:
            self.settle()
            self.engine.release(self)

    def forsake(self) -> None:
        """Another thread closes it: taking locks here could wait for ever for the thread that is being interrupted."""
        from .forking import bury

        if not self._closed and not self.lost:
            bury(self)

    @property
    def idle(self) -> bool:
        """True where closing and opening it again would not be noticed: nothing under way, temporary or attached."""
        raw = self._raw
        if raw is None:
            return True
        apart = self._temporary or len(raw.db_names()) > (2 if "temp" in raw.db_names() else 1)
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
