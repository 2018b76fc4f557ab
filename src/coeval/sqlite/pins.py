"""Who pins the WAL: the readers whose snapshots keep it from being moved into the file and started over.

Of our own each says how long its snapshot has been open, and for which statement. Other processes are named by the locks that SQLite
holds on the read marks of the -shm, asked of the kernel through descriptors that SQLite has open (law 8).

Ring: shell.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import apsw

from .connection import Connection
from .lock_owner import READ, READS, lock_owner
from .readers import Readers


@dataclass(frozen=True)
class Pin:
    """One reader, or one other process with readers."""

    pid: int
    age: float  #: seconds; where it is not one of `Readers`, since it was first seen
    statement: str | None  #: None where it is not one of `Readers`
    connection: Connection | None = None  #: None where it is not one of `Readers`

    @property
    def own(self) -> bool:
        """Whether it is one of `Readers`."""
        return self.connection is not None


class Pins:
    """Looks for them, and remembers when each was first seen. For one thread."""

    def __init__(self, path: str, readers: Readers) -> None:
        self._path = path
        self._readers = readers
        self._others: dict[int, float] = {}  # process, and time.monotonic() at which it was first seen
        self._uses: dict[Connection, tuple[int, float]] = {}  # statements so far, and when that was first seen
        self._interrupted: dict[Connection, int] = {}  # single statements, by the number of theirs

    def look(self) -> list[Pin]:
        """All that can be told of at this moment, the oldest first. Where there is none it is another reader of this process."""
        own = self._own()
        return sorted((*own, *self._foreign(alone=not own)), key=lambda pin: -pin.age)

    def forget(self) -> None:
        """Nothing is pinned any more."""
        self._acquit([])
        self._others.clear()
        self._uses.clear()

    def end(self, pin: Pin, least: float) -> bool:
        """End the snapshot of one of ours, if it is at least ``least`` seconds old: see `SnapshotEndedError`. True where it was ended."""
        connection = pin.connection
        if connection is None or pin.age < least:
            return False
        if connection.held:
            return self._readers.end(connection, least)
        if connection.ended is not None and connection not in self._interrupted:
            self._readers.discard(connection)  # met inside a statement the last time
            return False
        uses, _ = self._uses.get(connection, (-1, 0.0))
        if connection.uses != uses:
            return False
        # A single statement: it is interrupted, and whoever runs it gives the connection back as unfit. Had it just come to its
        # end, `_acquit` takes that back.
        new = connection not in self._interrupted
        self._interrupted[connection] = uses
        connection.ended = pin.age, connection.statement
        with suppress(apsw.ConnectionClosedError):
            connection.raw.interrupt()
        return new

    def _own(self) -> list[Pin]:
        now = time.monotonic()
        pins, uses = [], {}
        lent = self._readers.lent()
        self._acquit(lent)
        for connection in lent:
            held = connection.held[:1]
            if held:
                pins.append(Pin(os.getpid(), now - held[0], connection.statement, connection))
                continue
            count, since = self._uses.get(connection, (-1, now))
            if count != connection.uses:
                count, since = connection.uses, now
            uses[connection] = count, since
            pins.append(Pin(os.getpid(), now - since, connection.statement, connection))
        self._uses = uses
        return pins

    def _acquit(self, lent: Sequence[Connection]) -> None:
        """Those whose statement came to its end before the interrupt are as good as ever."""
        for connection, uses in list(self._interrupted.items()):
            if connection not in lent or connection.uses != uses:
                connection.ended = None
                del self._interrupted[connection]

    def _foreign(self, *, alone: bool) -> list[Pin]:
        now = time.monotonic()
        found = {pid for mark in range(READS) if (pid := lock_owner(self._path, READ + mark)) is not None}
        if alone and not found:
            found = {os.getpid()}
        self._others = {pid: self._others.get(pid, now) for pid in sorted(found)}
        return [Pin(pid, now - since, None) for pid, since in self._others.items()]
