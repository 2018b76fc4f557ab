"""The engine: one open file in one process, whatever faces it has, and how it goes on after a fork or a replaced file.

Ring: shell.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import apsw

from .cache.admission import Account
from .cache.counts import Counts
from .cache.entry import Entry
from .cache.flights import Flights
from .cache.losses import Losses
from .coherence.stamps import Mark, Seen
from .config import Settings, conflicts
from .errors import ClosedError, ConfigError, OpenError, StoreError
from .events import Events, Statistics
from .housekeeper import housekeeper
from .registry import LONGEST_WAIT_TO_FORK, registry
from .sqlite import guard, tags
from .sqlite.functions import Function, Functions
from .sqlite.readers import Retired
from .sqlite.sizes import load_of, sizes
from .sqlite.store import Store
from .tiers.memory import MemoryTier
from .tiers.sets import Sets
from .unit import joined
from .witnessing import refuse_proof
from .workers import Workers

if TYPE_CHECKING:
    from .auditor import Auditor
    from .sqlite.place import Turn
    from .sqlite.writer import Writer

T = TypeVar("T")

log = logging.getLogger("coeval")


def _nothing() -> Mark:
    """The commit clock while there is no store: equals no mark."""
    return b""


class Face(Protocol):
    """What an engine is used by."""

    _closed: bool


class Engine:
    """A store, a memory tier and what they tell. Shared by every face of one file in one process."""

    def __init__(self, path: str, settings: Settings, private: str | None = None) -> None:
        """Open ``path``. ``private``: a folder of our own to remove at the end."""
        self.path = path
        self.settings = settings
        self.functions = Functions()
        self.events = Events()
        self.tier = MemoryTier(settings.memory_limit if settings.cache else 0)
        #: audits a share of the hits; None where none is asked for
        self.auditor: Auditor | None = None
        if settings.audit and settings.cache:
            from .auditor import Auditor

            self.auditor = Auditor(self, settings.audit)
        #: the entry for a key, for the hit paths; each of the others tells the auditor
        self.find: Callable[[Any], Entry | None] = self.tier.find if self.auditor is None else self.auditor.find
        #: the account of a statement whose reads may pass, or None
        self.passing: Callable[[Any], Account | None] = self.tier.admission.passing.get
        self.lost: deque[tuple[Writer, Turn]] = deque()  #: turns of transactions that nobody can end any more
        self.flights = Flights()
        self.sets = Sets()
        self.values = Counts()  #: what became of the calls for plain values
        self.losses = Losses()
        self._tagged: Store | None = None  # the store that is known to have stamps for tags
        self._private = private
        self._users = 0
        self._closed = False
        self._retired: list[Store] = []  # stores of files that were replaced, still in use by units
        self._owner = os.getpid()
        self._paused = False
        self._lock = threading.RLock()
        self.workers = Workers(settings.readers)
        self._store: Store | None = Store(path, settings, self.functions, self.events.tell)
        #: the commit clock, for the hit path: compare with an entry's mark; ValueError where it is just being closed
        self.now: Callable[[], Mark] = self._store.clock.raw

    def store(self) -> Store:
        """The store, opened anew where the file was replaced or the process has forked since."""
        store = self._store
        return store if store is not None else self._reopen()

    def using(self, work: Callable[[Store], T]) -> T:
        """``work`` with the store; once more with the next one where this one was retired before the work began."""
        while True:
            store = None
            try:
                store = self.store()
                return work(store)
            except Retired:
                if store is not None:
                    self._replace(store)
            except StoreError:
                refuse_proof("what could not be had just now")
                raise

    def check_tags(self) -> None:
        """Raise ConfigError where tags can have no stamps."""
        if self.settings.coherence != "stamps":
            raise ConfigError(
                'coherence="clock" leaves the file as it is, so there is no place for the stamps of tags and plain values',
                hint="Open it with the default coherence to use them.",
            )

    def make_tags(self, *, again: bool = False) -> bool:
        """See to it that tags have stamps, where that can be done at once: one transaction, once in the life of a file. True: they have.

        ``again``: somebody else has taken them away, or has changed the schema. Raises ConfigError.
        """
        store = self.store()
        if again or store is not self._tagged:
            self.check_tags()
            self._tagged = store if self.using(tags.ensure) else None
        return self._tagged is store

    @property
    def stampable(self) -> bool:
        """Whether stamps of tags may be made and replaced from here."""
        store = self._store
        return self.settings.coherence == "stamps" and (store is None or store.writable)

    def release(self, face: Face) -> None:
        """``face`` is closed, once; with the last one everything is."""
        with registry.lock:
            if face._closed:
                return
            face._closed = True
            self._users -= 1
            if self._users:
                return
            registry.engines.pop(self.path, None)
        self._close()

    def add_function(self, function: Function) -> None:
        """Make ``function`` known to all connections, from their next statement on; results made without it are forgotten."""
        self.functions.add(function)
        self.using(lambda store: store.statements.forget())
        self.tier.clear()

    def lose(self, entry: Entry, seen: Seen) -> None:
        """``entry`` is not what the snapshot of ``seen`` would give: it goes, and the work that it took is counted."""
        if seen.schema is not None:
            self.tier.drop(entry)
            self.losses.lost(entry, seen)

    def forget(self) -> None:
        """Forget every result and analysis: what is in the file is another's by now."""
        self.using(lambda store: store.statements.forget())
        self.tier.clear()

    def statistics(self) -> Statistics:
        counts, tier, store, auditor = self.events.counts, self.tier, self._store, self.auditor
        return Statistics(
            hits=tier.hits,
            revalidated=counts["revalidated"],
            misses=counts["miss"],
            uncached=counts["uncached"],
            refused=counts["refused"],
            passed=counts["passed"],
            writes=counts["write"],
            entries=len(tier),
            bytes=tier.bytes,
            evictions=tier.evictions,
            verifications=counts["verified"],
            repairs=counts["repaired"],
            reopened=counts["reopened"],
            checkpoints=counts["checkpoint"],
            audited=auditor.audited if auditor else 0,
            differences=auditor.differences if auditor else 0,
            audits_skipped=auditor.skipped if auditor else 0,
            audits_dropped=auditor.dropped if auditor else 0,
            **vars(sizes(self.path, store)),
            **vars(load_of(store)),
        )

    def look(self) -> None:
        """The housekeeper's: is the file still the one at the path? Have the stores before it come to rest?"""
        while self.lost:
            writer, turn = self.lost.popleft()
            writer.give_up(turn)
        store = self._store
        with self._lock:
            self._retired = [one for one in self._retired if not one.finished()]
        if self._closed and not self._retired:
            housekeeper.remove(self)
            registry.closing.discard(self)
        if store is None or self._closed:
            return
        try:
            if not store.moved():
                store.checkpoints.look()
                if self.settings.auto_track and self.settings.coherence == "stamps" and self.losses.enough():
                    from .lost_work import track_by_losses

                    self.workers.chores.run(lambda: track_by_losses(self))
                return
        except apsw.ConnectionClosedError:  # closed just now
            return
        self._replace(store)

    def _replace(self, store: Store) -> None:
        """``store`` is of a file that is no longer at the path: let it finish, and open the new one with the next call."""
        with self._lock:
            if self._store is not store:
                return
            log.warning("%s no longer leads to the file that was open; it is opened anew", self.path)
            self._detach()
            self._retired.append(store)
            if guard.identity_of(self.path) not in (None, store.identity):
                guard.remove_orphans(self.path, store.log)  # before anybody here opens the new file
        store.close(0.0)

    def before_fork(self) -> None:
        """Close every connection, so that the child inherits none, and hold new ones back until the fork is done.

        SQLite counts the locks of a process in its own memory. A child that inherited connections would believe to hold their
        locks, take none, and lose commits when the parent closes. Where something is in use for longer, or by the forking
        thread itself, nothing is closed, and the child refuses to open the file.
        """
        if self.auditor is not None:
            self.auditor.before_fork()
        self._paused = self._lock.acquire(timeout=LONGEST_WAIT_TO_FORK)
        if self._paused:  # else another thread is opening it, and what it has open by now the child will refuse
            self._close_for_fork()
        self.tier.before_fork()

    def _close_for_fork(self) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        quiet = False
        try:
            quiet = joined(self) is None and store.quieten(LONGEST_WAIT_TO_FORK)
        except Exception:
            log.exception("Closing %s before a fork failed; the child will refuse to open it", self.path)
        if quiet:
            self._detach()
        else:
            self._store = store

    def after_fork_in_parent(self) -> None:
        """Go on; what was closed opens with the next call."""
        self.tier.after_fork_in_parent()
        if self._paused:
            self._lock.release()
        if self.auditor is not None:
            self.auditor.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """Touch nothing of the parent's; open with the next call."""
        self._lock = threading.RLock()
        self.tier.after_fork_in_child()
        for store in (self._store, *self._retired):
            if store is not None:
                store.abandon()
        self._retired = []
        self.flights.after_fork_in_child()
        self.sets.after_fork_in_child()
        if self.auditor is not None:
            self.auditor.after_fork_in_child()
        self._detach()

    def _detach(self) -> None:
        self.now = _nothing
        self._store = None
        self.tier.forget_marks()

    def _reopen(self) -> Store:
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self.path} is closed", hint="Open it again with coeval.open.")
            store = self._store
            if store is not None:
                return store
            self._store = store = Store(self.path, self.settings, self.functions, self.events.tell, again=True)
            self.now = store.clock.raw
        housekeeper.add(self)
        self.events.tell("reopened")  # outside the lock: a listener may do anything
        return store

    def _close(self) -> None:
        if self.auditor is not None:
            self.auditor.close()
        with self._lock:
            self._closed = True
            store = self._store
            self._detach()
        if store is not None:
            self._retired.append(store)
            store.close(self.settings.timeout)
        registry.closing.add(self)
        housekeeper.add(self)
        self.workers.close()
        self.look()
        self.remove_private()

    def remove_private(self) -> None:
        """Remove the folder of a ``:memory:`` database, in the process that made it."""
        if self._private and self._owner == os.getpid():
            import shutil

            atexit.unregister(self.remove_private)
            shutil.rmtree(self._private, ignore_errors=True)


def engine_for(path: str, settings: Settings) -> Engine:
    """The engine of ``path``, shared with whoever has it open in this process; raises ConfigError where settings conflict."""
    private = None
    if path == ":memory:":
        import tempfile

        private = tempfile.mkdtemp(prefix="coeval-")
        path = os.path.join(private, "memory.db")
    real = os.path.realpath(path)
    with registry.lock:
        opening = registry.opening.setdefault(real, threading.RLock())
    with opening:
        with registry.lock:
            engine = registry.engines.get(real)
            if engine is not None:
                _refuse_conflicts(engine, settings, path)
                engine._users += 1
                return engine
        try:
            engine = Engine(real, settings, private)
        except BaseException as error:
            if private:
                import shutil

                shutil.rmtree(private, ignore_errors=True)
            if isinstance(error, Retired):
                raise OpenError(f"{path} was replaced while it was opened", hint="Open it again.") from None
            raise
        if private:
            atexit.register(engine.remove_private)
        with registry.lock:
            registry.engines[real] = engine
            engine._users = 1
        housekeeper.add(engine)
        return engine


def _refuse_conflicts(engine: Engine, settings: Settings, path: str) -> None:
    differing = conflicts(engine.settings, settings)
    if differing:
        raise ConfigError(
            f"{path} is open in this process with another {', '.join(differing)}",
            hint="Open it once and share the Database, give the same settings everywhere, or close() the other one first.",
        )


def is_open(path: str) -> bool:
    """Whether the real path ``path`` is open in this process."""
    return path in registry.engines
