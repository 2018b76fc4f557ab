"""The engines of this process by path, and what a fork does to them.

Ring: shell.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from .housekeeper import housekeeper

if TYPE_CHECKING:
    from .engine import Engine

#: Seconds that a fork waits for the calls under way in other threads.
LONGEST_WAIT_TO_FORK = 1.0


class Registry:
    """The engines of this process by real path. Opening one waits for others of its path alone, never under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.opening: dict[str, Any] = {}  #: a lock for each path that was ever opened
        self.engines: dict[str, Engine] = {}
        self.held: list[Any] = []  #: of `opening`, by the thread that forks
        self.paused: list[Engine] = []
        self.closing: set[Engine] = set()  #: closed, and waiting for units that are still open

    def before_fork(self) -> None:
        """Nothing opens or closes from now on, until the fork is done."""
        end = time.monotonic() + LONGEST_WAIT_TO_FORK
        # With a deadline: an on_connect that opens another file holds one and waits for the next.
        with self.lock:
            opening = list(self.opening.values())
        self.held = [lock for lock in opening if lock.acquire(timeout=max(0.0, end - time.monotonic()))]
        self.lock.acquire()
        self.paused = list(self.engines.values())
        for engine in self.paused:
            engine.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        for engine in self.paused:
            engine.after_fork_in_parent()
        self.lock.release()
        for lock in self.held:
            lock.release()

    def after_fork_in_child(self) -> None:
        """The locks may be held by threads that do not exist here."""
        self.lock = threading.RLock()
        self.opening = {}
        housekeeper.after_fork()
        for engine in self.engines.values():
            engine.after_fork_in_child()
        for engine in self.closing:
            engine.after_fork_in_child()
        self.closing = set()


registry = Registry()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=registry.before_fork,
        after_in_parent=registry.after_fork_in_parent,
        after_in_child=registry.after_fork_in_child,
    )
