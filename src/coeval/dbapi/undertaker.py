"""The thread that closes connections which are garbage: the collector may run while its thread holds a lock that closing needs.

It is there while a connection to a file is open, so that a finaliser need not start it, and ends a while after the last was closed.

Ring: shell.
"""

from __future__ import annotations

import logging
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .handle import FileHandle

log = logging.getLogger("coeval")

#: Seconds that the thread stays when no connection is open.
PATIENCE = 1.0


class Undertaker:
    """The thread and what it has to close."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[FileHandle | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        # of handles that are not closed; one of them that is garbage is kept by the queue
        self._charges: set[int] = set()

    def attend(self, handle: FileHandle) -> None:
        """``handle`` is open: have the thread. Not for finalisers."""
        with self._starting:
            self._charges.add(id(handle))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="coeval-dbapi-close", daemon=True)
                self._thread.start()

    def leave(self, handle: FileHandle) -> None:
        """``handle`` is closed."""
        self._charges.discard(id(handle))
        if not self._charges:
            self._queue.put(None)

    def bury(self, handle: FileHandle) -> None:
        """Close ``handle``, which nobody has any more, soon and in another thread. This may be called at any point of any thread."""
        self._queue.put(handle)

    def after_fork(self, left: list[FileHandle]) -> None:
        """The thread is the parent's, and what it had to close, too; the child has ``left``. Whoever connects next starts another."""
        self.__init__()  # type: ignore[misc]
        self._charges.update(map(id, left))

    def _run(self) -> None:
        while True:
            try:
                handle = self._queue.get(timeout=None if self._charges else PATIENCE)
            except Empty:
                with self._starting:
                    if not self._charges and self._queue.empty():
                        self._thread = None
                        return
                continue
            try:
                if handle is not None:
                    with handle.lock:
                        handle.close()
            except Exception:
                log.exception("Closing a forgotten connection failed")
            del handle


undertaker = Undertaker()
