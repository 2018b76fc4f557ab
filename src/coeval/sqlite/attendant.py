"""A thread that is there while there is work for it, and keeps no process alive.

Ring: shell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Seconds that it stays when there is nothing to do.
PATIENCE = 1.0


class Attendant:
    """Calls ``work`` on a daemon thread of its own, at least once after every `wake`."""

    def __init__(self, name: str, work: Callable[[], float | None]) -> None:
        """``name`` of the thread. ``work`` does all that there is, does not raise, and says in how many seconds to call it again."""
        self._name = name
        self._work = work
        self._lock = threading.Lock()
        self._calls = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """There is work."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()  # first: after an interrupt here it ends by itself, and the next call starts another
                self._thread = thread
            self._calls.release()

    def end(self) -> None:
        """There is none any more: the thread ends, after what it is doing."""
        with self._lock:
            if self._thread is not None:
                self._thread = None
                self._calls.release()

    def _run(self) -> None:
        again: float | None = None
        while True:
            called = self._calls.acquire(timeout=PATIENCE if again is None else again)
            with self._lock:
                if self._thread is not threading.current_thread():
                    return
                if again is None and not called and not self._calls.acquire(blocking=False):
                    self._thread = None
                    return
            again = self._work()
