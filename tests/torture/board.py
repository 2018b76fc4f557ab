"""The history, in memory that all processes of a run share: a side file of 8-byte numbers, never the database.

Of each cell (a row, or a value outside the database) the versions only rise. A writer puts the version it is about to commit into
``begun``, commits, and then puts it into ``known``. So a read may show nothing older than what ``known`` said before its call, and nothing
newer than what ``begun`` says after its return. Even versions are rows, odd ones their absence; ``gone`` is the latest absence begun.

One number is one aligned store, which no other process sees half of. A writer that is killed between COMMIT and ``known`` leaves a version
that may have happened: it is allowed, and not demanded, until the next writer finds it in the file and makes it known.

Ring: shell.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

from torture.world import CELLS, KINDS, SLOTS, TABLES

#: Of each thread and kind of read: reads judged, those served with the same object as before, those that raced a commit, violations.
COUNTS = 4

_FIELDS = 16
_WORDS = _FIELDS + 3 * CELLS + len(TABLES) + SLOTS * len(KINDS) * COUNTS
EVENTS, STOP, PAUSE, COMMITS, ERRORS, RESTORES = range(6)


class Board:
    """The shared numbers. Every attribute is a view of them."""

    def __init__(self, folder: Path | None = None) -> None:
        """In the file ``board`` of ``folder``, made by the first who asks; without a folder, of this process alone."""
        size = 8 * _WORDS
        if folder is None:
            self._memory = mmap.mmap(-1, size)
        else:
            with (folder / "board").open("a+b") as file:
                if os.fstat(file.fileno()).st_size < size:
                    file.truncate(size)
                self._memory = mmap.mmap(file.fileno(), size)
        words = memoryview(self._memory).cast("q")
        self.fields = words[:_FIELDS]
        end = _FIELDS
        self.known, end = words[end : end + CELLS], end + CELLS
        self.begun, end = words[end : end + CELLS], end + CELLS
        self.gone, end = words[end : end + CELLS], end + CELLS
        #: of each table a number that is another after ``known`` has changed
        self.turns, end = words[end : end + len(TABLES)], end + len(TABLES)
        self.counts = words[end:]

    @property
    def stopped(self) -> bool:
        """Whether the run is over."""
        return self.fields[STOP] != 0

    def event(self) -> None:
        """A commit begins or has returned. Two at one moment may be counted as one, which can only lower what is said to have raced."""
        self.fields[EVENTS] += 1

    def begin(self, cell: int, version: int) -> None:
        """``version`` may be committed from now on. By whoever alone may write the cell at this moment."""
        if version & 1:
            self.gone[cell] = version
        self.begun[cell] = version

    def next_row(self, cell: int) -> int:
        """A version for a row."""
        return (self.begun[cell] | 1) + 1

    def next_absence(self, cell: int) -> int:
        """A version for an absent row."""
        return (self.begun[cell] + 1) | 1

    def add(self, slot: int, kind: int, judged: int, same: int, raced: int, violations: int) -> None:
        """Counts of a thread; nobody else writes there."""
        at = (slot * len(KINDS) + kind) * COUNTS
        for number, more in enumerate((judged, same, raced, violations)):
            self.counts[at + number] += more

    def counted(self, kind: int) -> tuple[int, ...]:
        """The counts of a kind over all threads."""
        return tuple(
            sum(self.counts[(slot * len(KINDS) + kind) * COUNTS + number] for slot in range(SLOTS))
            for number in range(COUNTS)
        )


class Publisher:
    """What one thread makes known. The lock falls with its process, wherever that is killed."""

    def __init__(self, board: Board, folder: Path | None = None) -> None:
        self._board = board
        self._lock = None if folder is None else (folder / "publishing").open("a")

    def commits(self, versions: Mapping[int, int]) -> None:
        """These versions are in the file: their COMMIT has returned, or a later writer has read them under the write lock."""
        board = self._board
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            for cell, version in versions.items():
                board.known[cell] = max(version, board.known[cell])
            for number, table in enumerate(TABLES.values()):
                if any(table.first <= cell < table.first + table.size for cell in versions):
                    board.turns[number] += 1  # after `known`: who sees the turn sees the versions
            board.fields[COMMITS] += 1
            board.event()
        finally:
            if self._lock is not None:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
