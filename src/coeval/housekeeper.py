"""The housekeeper: one daemon thread a process that looks after every open database at a bounded interval.

It asks whether the path still leads to the open file (hole 9), so that hits need not, and whether its write-ahead log is due to be moved
into the file. It holds no database alive, ends when none
is left, and never keeps the process from ending.

Ring: shell.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Protocol

log = logging.getLogger("coeval")

#: Seconds between two looks; a replaced file is noticed within twice that.
INTERVAL = 0.4


class Looked(Protocol):
    """What the housekeeper looks after."""

    def look(self) -> None:
        """Do what is due; quick, and safe beside every other call."""


class Housekeeper:
    """The thread and its list."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._list: weakref.WeakSet[Looked] = weakref.WeakSet()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, looked: Looked) -> None:
        """Look after ``looked`` from now on; starts the thread if there is none."""
        with self._lock:
            self._list.add(looked)
            if self._thread is None:
                self._wake = threading.Event()
                self._thread = threading.Thread(target=self._run, name="coeval-housekeeper", daemon=True)
                self._thread.start()

    def remove(self, looked: Looked) -> None:
        """No longer look after ``looked``; the thread ends soon where nothing is left."""
        with self._lock:
            self._list.discard(looked)
            if not self._list:
                self._wake.set()

    def wake(self) -> None:
        """Look now. Quick, and from any thread."""
        self._wake.set()

    def after_fork(self) -> None:
        """In the child there is no such thread, and the lock may be held by nobody."""
        self.__init__()  # type: ignore[misc]

    def _run(self) -> None:
        wake = self._wake
        while True:
            wake.wait(INTERVAL)
            with self._lock:
                if not self._list:
                    self._thread = None
                    return
                wake.clear()
                looked = list(self._list)
            for one in looked:
                try:
                    one.look()
                except Exception:
                    log.exception("Looking after %r failed", one)
            del looked


housekeeper = Housekeeper()
