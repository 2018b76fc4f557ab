"""The readers: connections that only read, lent to one thread at a time, made when first needed (law 10).

Ring: shell.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ..errors import PoolTimeoutError
from .connection import Connection


class Retired(Exception):
    """This store is being closed; where another takes its place, ask that one."""


class Readers:
    """A bounded pool. The connection used last is lent first, so that its page cache is warm."""

    def __init__(self, make: Callable[[], Connection], most: int, timeout: float) -> None:
        """``make`` opens one; at the most ``most`` are open; ``timeout``: seconds to wait for one."""
        self._make = make
        self._most = most
        self._timeout = timeout
        self._idle: deque[Connection] = deque()
        self._open = 0
        self._closed = False
        self._free = threading.Condition()

    def take(self) -> Connection:
        """A connection for the calling thread alone, to be given back. Raises PoolTimeoutError, Retired, or what opening raises."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._take_slowly()

    def give_back(self, connection: Connection) -> None:
        """``connection`` is idle again: no transaction, no unfinished statement."""
        self._idle.append(connection)
        if self._closed:
            self._close_idle()
        elif self._open == self._most:
            with self._free:
                self._free.notify()

    def discard(self, connection: Connection) -> None:
        """``connection`` is not fit for use any more."""
        connection.close()
        with self._free:
            self._open -= 1
            self._free.notify()

    def close(self) -> None:
        """Close idle connections now, and those that are lent when they come back."""
        self._closed = True
        self._close_idle()

    def close_if_quiet(self) -> bool:
        """Close all, if none is lent; else nothing, and False."""
        with self._free:
            idle = []
            while self._idle:
                idle.append(self._idle.pop())
            if len(idle) != self._open:
                self._idle.extend(reversed(idle))
                self._free.notify_all()
                return False
            self._closed = True
            self._open = 0
        for connection in idle:
            connection.close()
        return True

    @property
    def gone(self) -> bool:
        """True when none is open."""
        return self._open == 0

    def _take_slowly(self) -> Connection:
        deadline = time.monotonic() + self._timeout
        with self._free:
            while True:
                if self._closed:
                    raise Retired
                if self._idle:
                    return self._idle.pop()
                if self._open < self._most:
                    self._open += 1
                    break
                if not self._free.wait(deadline - time.monotonic()) and not self._idle:
                    raise PoolTimeoutError(
                        f"No reader became free in {self._timeout:g} s; all {self._most} are in use",
                        hint="Close iterators and snapshots soon, or raise `readers`.",
                    )
        try:
            return self._make()
        except BaseException:
            with self._free:
                self._open -= 1
                self._free.notify()
            raise

    def _close_idle(self) -> None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            self.discard(connection)
