"""Connections to files across a fork.

SQLite counts a process's locks in its memory, and a child would inherit the counts without the locks. So before a fork every
connection that is idle is closed, and opened again when next used, in parent and child. One that is not idle stays the parent's: it goes
on there, in the child it is lost, and the child refuses to open the file (`coeval.sqlite.guard`). These hooks run before the engine's,
being registered later.

Ring: shell.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref

from ..registry import LONGEST_WAIT_TO_FORK
from .handle import FileHandle
from .undertaker import undertaker

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
    undertaker.after_fork([handle for handle in _open if handle.suspended])
    _held.clear()
    for handle in list(_open):
        handle.lock = threading.RLock()
        if handle.suspended:
            continue
        handle.lose(_LOST)


def opened(handle: FileHandle) -> None:
    """``handle`` is open: watch over it."""
    undertaker.attend(handle)
    _open.add(handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
