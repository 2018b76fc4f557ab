"""Named points of a write and of a checkpoint, at which a process can be made to die by SIGKILL.

Nothing in Coeval knows of them: statements are traced, files watched by a VFS, and the gate by its
``fcntl.flock``. `arm` comes before ``import coeval``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from faults import shim

#: Points in statements: which moment, and how the statement begins.
STATEMENTS = {
    "before begin": ("start", "BEGIN IMMEDIATE"),
    "begun": ("end", "BEGIN IMMEDIATE"),
    "before a savepoint": ("start", "SAVEPOINT"),
    "in a savepoint": ("end", "SAVEPOINT"),
    "before a release": ("start", "RELEASE"),
    "after a release": ("end", "RELEASE"),
    "before an insert": ("start", "INSERT INTO rows"),
    "before commit": ("start", "COMMIT"),
    "after commit": ("end", "COMMIT"),
}
#: Points in files: which file, and what is done to it.
FILES = {
    "before the log is written": ("wal", "write"),
    "after the log is written": ("wal", "wrote"),
    "before the log is synced": ("wal", "sync"),
    "after the log is synced": ("wal", "synced"),
    "before a checkpoint writes": ("db", "write"),
    "after a checkpoint wrote": ("db", "wrote"),
    "before a checkpoint syncs": ("db", "sync"),
    "after a checkpoint synced": ("db", "synced"),
}
#: Points in the gate between processes: before or after which operation.
GATE = {
    "before the gate": ("before", fcntl.LOCK_EX),
    "in the gate": ("after", fcntl.LOCK_EX),
    "before the gate is passed on": ("before", fcntl.LOCK_UN),
    "after the gate is passed on": ("after", fcntl.LOCK_UN),
}
NAMED = {
    "savepoint": ("before a savepoint", "in a savepoint", "before a release", "after a release", "before an insert"),
    "commit": (
        *("before begin", "begun", "before commit", "after commit", "before the log is written"),
        *("after the log is written", "before the log is synced", "after the log is synced"),
    ),
    "checkpoint": tuple(point for point, (kind, _) in FILES.items() if kind == "db"),
    "gate": tuple(GATE),
}


class Trap:
    """Counts passages, and kills the process at one of them. ``set`` comes once the file is open: opening passes too."""

    def __init__(self, passage: int) -> None:
        self._left = passage
        self._lock = threading.Lock()
        self.set = False

    def __call__(self) -> None:
        with self._lock:
            self._left -= self.set
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, passage: int) -> Trap:
    """A trap at ``point``."""
    trap = Trap(passage)
    if point in STATEMENTS:
        moment, beginning = STATEMENTS[point]

        def heard(at: str, sql: str, _connection: int) -> None:
            _if(at == moment and sql.startswith(beginning), trap)

        shim.watch_statements(heard)
        return trap
    if point in FILES:
        place = FILES[point]
        _kept.append(shim.watch(lambda kind, what, *_: _if((kind, what) == place, trap)))
        return trap
    moment, wanted = GATE[point]
    flock = fcntl.flock

    def watched(file: Any, operation: int) -> None:
        if moment == "before":
            _if(bool(operation & wanted), trap)
        flock(file, operation)
        if moment == "after":
            _if(bool(operation & wanted), trap)

    fcntl.flock = watched
    return trap


_kept: list[object] = []


def _if(here: bool, trap: Callable[[], None]) -> None:
    if here:
        trap()
