"""The engine: one open file in one process, whatever faces it has, and how it goes on after a fork or a replaced file.

Ring: shell.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import apsw

from .cache.entry import Entry
from .coherence.stamps import Mark
from .config import Settings, conflicts
from .errors import ClosedError, ConfigError
from .events import Events, Statistics
from .housekeeper import housekeeper
from .sqlite.functions import Function, Functions
from .sqlite.store import Store
from .tiers.memory import MemoryTier

log = logging.getLogger("coeval")


class _Registry:
    """The engines of this process by real path, and the lock under which they open and close."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.engines: dict[str, Engine] = {}

    def after_fork(self) -> None:
        """In the child: the lock may be held by a thread that does not exist here."""
        self.lock = threading.RLock()
        housekeeper.after_fork()
        for engine in self.engines.values():
            engine.after_fork()


_registry = _Registry()


def _nothing() -> Mark:
    """The commit clock while there is no store: equals no mark."""
    return b""


class Engine:
    """A store, a memory tier and what they tell. Shared by every face of one file in one process."""

    def __init__(self, path: str, settings: Settings, private: str | None = None) -> None:
        """Open ``path``. ``private``: a folder of our own to remove at the end."""
        self.path = path
        self.settings = settings
        self.functions = Functions()
        self.events = Events()
        self.tier = MemoryTier(settings.memory_limit if settings.cache else 0)
        self.find: Callable[[Any], Entry | None] = self.tier.find
        self._private = private
        self._users = 0
        self._closed = False
        self._inherited = False
        self._lock = threading.RLock()
        self._store: Store | None = Store(path, settings, self.functions, self.events.tell)
        #: the commit clock, for the hit path: compare with an entry's mark; ValueError where it is just being closed
        self.now: Callable[[], Mark] = self._store.clock.raw

    def store(self) -> Store:
        """The store, opened anew where the file was replaced or the process has forked since."""
        store = self._store
        return store if store is not None else self._reopen()

    def acquire(self) -> None:
        self._users += 1

    def release(self) -> None:
        """One face less; with the last one everything is closed."""
        with _registry.lock:
            self._users -= 1
            if self._users:
                return
            _registry.engines.pop(self.path, None)
            self._close()

    def add_function(self, function: Function) -> None:
        """Make ``function`` known to all connections, from their next statement on; results made without it are forgotten."""
        self.functions.add(function)
        self.store().statements.forget()
        self.tier.clear()

    def forget(self) -> None:
        """Forget every result and analysis: what is in the file is another's by now."""
        self.store().statements.forget()
        self.tier.clear()

    def statistics(self) -> Statistics:
        counts, tier = self.events.counts, self.tier
        return Statistics(
            hits=tier.hits,
            revalidated=counts["revalidated"],
            misses=counts["miss"],
            uncached=counts["uncached"],
            refused=counts["refused"],
            writes=counts["write"],
            entries=len(tier),
            bytes=tier.bytes,
            evictions=tier.evictions,
            verifications=counts["verified"],
            repairs=counts["repaired"],
            reopened=counts["reopened"],
        )

    def look(self) -> None:
        """The housekeeper's: is the file still the one at the path?"""
        store = self._store
        if store is None or self._closed:
            return
        try:
            if not store.moved():
                return
        except apsw.ConnectionClosedError:  # closed just now
            return
        log.warning("%s was replaced by another file; it is opened anew", self.path)
        with self._lock:
            if self._store is not store:
                return
            self._detach()
        store.close(0.0)

    def after_fork(self) -> None:
        """In the child: touch nothing of the parent's, open anew when next used."""
        self._lock = threading.RLock()
        store = self._store
        if store is not None:
            store.abandon()
        self._inherited = True
        self.tier.after_fork()
        self._detach()

    def _detach(self) -> None:
        self.now = _nothing
        self._store = None
        self.tier.forget_marks()

    def _reopen(self) -> Store:
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self.path} is closed", hint="Open it again with coeval.open.")
            if self._store is None:
                self._store = Store(
                    self.path, self.settings, self.functions, self.events.tell, again=True, inherited=self._inherited
                )
                self.now = self._store.clock.raw
                self.events.tell("reopened")
                housekeeper.add(self)
            return self._store

    def _close(self) -> None:
        housekeeper.remove(self)
        with self._lock:
            self._closed = True
            store = self._store
            self._detach()
        if store is not None:
            store.close(self.settings.timeout)
        if self._private:
            shutil.rmtree(self._private, ignore_errors=True)


def engine_for(path: str, settings: Settings) -> Engine:
    """The engine of ``path``, shared with whoever has it open in this process; raises ConfigError where settings conflict."""
    private = None
    if path == ":memory:":
        private = tempfile.mkdtemp(prefix="coeval-")
        path = os.path.join(private, "memory.db")
    real = os.path.realpath(path)
    with _registry.lock:
        engine = _registry.engines.get(real)
        if engine is None:
            engine = Engine(real, settings, private)
            _registry.engines[real] = engine
            housekeeper.add(engine)
        else:
            differing = conflicts(engine.settings, settings)
            if differing:
                raise ConfigError(
                    f"{path} is open in this process with another {', '.join(differing)}",
                    hint="Open it once and share the Database, or give the same settings everywhere.",
                )
        engine.acquire()
        return engine


def is_open(path: str) -> bool:
    """Whether the real path ``path`` is open in this process."""
    return path in _registry.engines


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registry.after_fork)
