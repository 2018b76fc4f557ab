"""Which entry has to go: SIEVE, by worth (law 9; Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024).

Entries stand in order of arrival. A hand walks from the oldest to the newest; an entry that was hit since the hand last
passed is spared, the first other one goes. A hit moves nothing and takes no lock: it counts, and the hand compares.

An entry whose *worth*, the seconds that it takes to make for each byte, is well above the usual is spared for so many more rounds as
it is times the usual, so that what is cheap and large goes before what is dear and small. Where all are alike it is SIEVE itself.

Ring: policy.
"""

from __future__ import annotations

from math import frexp

from ..cache.entry import Entry

#: Rounds for which an entry is spared for its worth at the most.
MOST = 8

#: Entries spared for their worth in one search, after which the one that would be spared least goes: the search stays short.
SEARCHED = 32


class Sieve:
    """The order of arrival and the hand. Not thread-safe: the tier's lock guards it."""

    def __init__(self) -> None:
        self._oldest: Entry | None = None
        self._newest: Entry | None = None
        self._hand: Entry | None = None
        self._count = 0
        self._worths = 0  # together

    def add(self, entry: Entry) -> None:
        """``entry`` arrives: it is the newest."""
        entry.older, entry.newer = self._newest, None
        if self._newest is None:
            self._oldest = entry
        else:
            self._newest.newer = entry
        self._newest = entry
        self._count += 1
        entry.worth = worth = _worth(entry)
        self._worths += worth

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
        self._count -= 1
        self._worths -= entry.worth

    def victim(self) -> Entry | None:
        """The entry to evict, still in its place; None when there is none. Walks two rounds at the most."""
        entry = self._hand or self._oldest
        usual = self._worths / self._count if self._count else 0.0
        least, searched = (0, entry), 0
        while entry is not None:
            if entry.hits != entry.passed:
                entry.passed = entry.hits
                entry.spared = 0
            else:
                rounds = _rounds(entry.worth - usual) - entry.spared
                if rounds <= 0:
                    break
                entry.spared += 1
                if not searched or rounds < least[0]:
                    least = rounds, entry
                searched += 1
                if searched == SEARCHED:
                    entry = least[1]
                    break
            entry = entry.newer or self._oldest
        self._hand = entry
        return entry


def _worth(entry: Entry) -> int:
    """Seconds for each byte, as a power of two."""
    return frexp(entry.cost / entry.size)[1] if entry.cost else -64


def _rounds(above: float) -> int:
    """For how many rounds to spare an entry whose worth is so many powers of two above the usual."""
    return 0 if above < 1 else min(MOST, int(2.0**above))
