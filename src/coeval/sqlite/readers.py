"""The readers: connections that only read, lent to one thread at a time, made when first needed (law 10).

Ring: shell.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ..errors import ClosedError, PoolTimeoutError
from .connection import Connection


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
        """A connection for the calling thread alone, to be given back. Raises PoolTimeoutError, or what opening raises."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._take_slowly()
        connection.catch_up()
        return connection

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

    def _take_slowly(self) -> Connection:
        deadline = time.monotonic() + self._timeout
        with self._free:
            while True:
                if self._closed:
                    raise ClosedError("The database is closed", hint="Open it again with coeval.open.")
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
