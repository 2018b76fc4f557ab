"""The memory tier: entries by key, bounded in bytes, evicted by SIEVE (laws 9 and 10).

Ring: shell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..cache.admission import MEMORY, Admission
from ..cache.entry import Entry
from ..cache.key import Key
from .sieve import Sieve

#: An entry larger than this part of the limit would push out too much else.
LARGEST = 8


class MemoryTier:
    """Entries in this process. ``find`` is safe without a lock; changes are made under one."""

    def __init__(self, limit: int) -> None:
        """``limit``: bytes that entries may take together, estimated; 0 keeps nothing."""
        self.limit = limit
        self._entries: dict[Key, Entry] = {}
        self._sieve = Sieve()
        self.admission = Admission(MEMORY)
        self._lock = threading.Lock()
        #: the entry for a key, or None; a bound method of the dictionary, which is never replaced
        self.find: Callable[[Key], Entry | None] = self._entries.get
        #: counts the times that everything was forgotten; a result begun before is not kept after
        self.epoch = 0
        self.bytes = 0
        self.evictions = 0
        self.refused = 0
        self._past_hits = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def hits(self) -> int:
        """Hits by the clock, of present and past entries."""
        with self._lock:
            return self._past_hits + sum(entry.hits for entry in self._entries.values())

    def put(self, entry: Entry, epoch: int) -> bool:
        """Keep ``entry``, in place of any other of its key; False when it is too large, or was begun before ``epoch``."""
        with self._lock:
            if epoch != self.epoch or entry.size * LARGEST > self.limit:
                self.refused += 1
                return False
            old = self._entries.get(entry.key)
            if old is not None:
                self._forget(old)
            self._entries[entry.key] = entry
            self._sieve.add(entry)
            self.bytes += entry.size
            self.admission.kept(entry)
            while self.bytes > self.limit and (victim := self._sieve.victim()) is not None:
                self._forget(victim)
                self.evictions += 1
            return True

    def drop(self, entry: Entry) -> None:
        """Forget ``entry``, which stamps have disproved: they never repeat, so it will not be valid again."""
        with self._lock:
            if self._entries.get(entry.key) is entry:
                if entry.account is not None:
                    entry.account.disproved()
                self._forget(entry)

    def forget(self, key: Key) -> None:
        """Forget what is kept under ``key``; results under way are not kept, whatever their key."""
        with self._lock:
            self.epoch += 1
            entry = self._entries.get(key)
            if entry is not None:
                self._forget(entry)

    def clear(self) -> None:
        """Forget every entry; results under way are not kept."""
        with self._lock:
            self.epoch += 1
            for entry in list(self._entries.values()):
                self._forget(entry)

    def forget_marks(self) -> None:
        """Forget what the commit clock proved: another file, or another process, has another clock."""
        with self._lock:
            self.epoch += 1
            for entry in list(self._entries.values()):
                if entry.scopes is None:
                    self._forget(entry)
                else:
                    entry.mark = None

    def before_fork(self) -> None:
        """Hold changes back, so that the child finds none half done."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Go on without marks: this process has a clock of its own."""
        self._lock = threading.Lock()
        self.forget_marks()

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self._sieve.remove(entry)
        self.admission.left(entry)
        self._past_hits += entry.hits
        self.bytes -= entry.size
