"""Connections to files across a fork, and those that were never closed.

SQLite counts a process's locks in its memory, and a child would inherit the counts without the locks. So before a fork every
connection that is idle is closed, and opened again when next used, in parent and child. One that is not idle stays the parent's: it goes
on there, in the child it is lost, and the child refuses to open the file (`coeval.sqlite.guard`). These hooks run before the engine's,
being registered later.

A connection that is garbage is closed by a thread: the collector may run while its thread holds a lock that closing needs.

Ring: shell.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from queue import SimpleQueue

from ..engine import LONGEST_WAIT_TO_FORK
from .handle import FileHandle

log = logging.getLogger("coeval")

_open: weakref.WeakSet[FileHandle] = weakref.WeakSet()
_held: list[FileHandle] = []
_LOST = "This connection was in use when its process forked; it goes on in the parent. Connect anew."


def _before_fork() -> None:
    end = time.monotonic() + LONGEST_WAIT_TO_FORK
    for handle in list(_open):
        if handle.lock.acquire(timeout=max(0.0, end - time.monotonic())):
            _held.append(handle)
            try:
                if handle.idle:
                    handle.suspend()
            except Exception:
                log.exception(
                    "Closing a connection to %s before a fork failed; the child will refuse it", handle.engine.path
                )


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().lock.release()


def _after_fork_in_child() -> None:
    _undertaker.after_fork()
    _held.clear()
    for handle in list(_open):
        handle.lock = threading.RLock()
        if handle.suspended:
            continue
        handle.lose(_LOST)


class _Undertaker:
    """The thread that closes what nobody has any more."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[FileHandle] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Have the thread. Not for finalisers."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="coeval-dbapi-close", daemon=True)
                self._thread.start()

    def put(self, handle: FileHandle) -> None:
        """Close ``handle`` soon; this may be called at any point of any thread."""
        self._queue.put(handle)

    def after_fork(self) -> None:
        """The thread is the parent's, and what it had to close, too."""
        self.__init__()  # type: ignore[misc]

    def _run(self) -> None:
        while True:
            handle = self._queue.get()
            try:
                with handle.lock:
                    handle.close()
            except Exception:
                log.exception("Closing a forgotten connection to %s failed", handle.engine.path)
            del handle


_undertaker = _Undertaker()


def opened(handle: FileHandle) -> None:
    """``handle`` is open: watch over it."""
    _undertaker.start()
    _open.add(handle)


def bury(handle: FileHandle) -> None:
    """Close ``handle``, which nobody has any more, soon and in another thread. For finalisers."""
    _undertaker.put(handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
