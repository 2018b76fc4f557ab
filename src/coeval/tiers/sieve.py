"""SIEVE: which entry has to go (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024).

Entries stand in order of arrival. A hand walks from the oldest to the newest; an entry that was hit since the hand last
passed is spared, the first other one goes. A hit moves nothing and takes no lock: it counts, and the hand compares.

Ring: policy.
"""

from __future__ import annotations

from ..cache.entry import Entry


class Sieve:
    """The order of arrival and the hand. Not thread-safe: the tier's lock guards it."""

    def __init__(self) -> None:
        self._oldest: Entry | None = None
        self._newest: Entry | None = None
        self._hand: Entry | None = None

    def add(self, entry: Entry) -> None:
        """``entry`` arrives: it is the newest."""
        entry.older, entry.newer = self._newest, None
        if self._newest is None:
            self._oldest = entry
        else:
            self._newest.newer = entry
        self._newest = entry

    def remove(self, entry: Entry) -> None:
        """``entry`` leaves; the hand moves on if it stood there."""
        if self._hand is entry:
            self._hand = entry.newer
        if entry.older is None:
            self._oldest = entry.newer
        else:
            entry.older.newer = entry.newer
        if entry.newer is None:
            self._newest = entry.older
        else:
            entry.newer.older = entry.older
        entry.older = entry.newer = None

    def victim(self) -> Entry | None:
        """The entry to evict, still in its place; None when there is none. Walks two rounds at the most."""
        entry = self._hand or self._oldest
        while entry is not None and entry.hits != entry.passed:
            entry.passed = entry.hits
            entry = entry.newer or self._oldest
        self._hand = entry
        return entry
