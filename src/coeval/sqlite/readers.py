"""The readers: connections that only read, lent to one thread at a time, made when first needed (law 10).

Ring: shell.
"""

from __future__ import annotations

import threading
import time
import weakref
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
        self.patience = max(1, int(timeout * 1000))  #: the busy time-out of each connection, in milliseconds
        #: those that nobody uses; `take` and `give_back` say how it may be used
        self.idle: deque[Connection] = deque()
        # Weak, so that one which an interrupt took from its borrower is no longer counted. Opening ones are counted beside.
        self._members: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._opening = 0
        self._waiting = 0
        self._closed = False
        self._free = threading.Condition()

    def take(self) -> Connection:
        """A connection for the calling thread alone, to be given back. Raises PoolTimeoutError, Retired, or what opening raises."""
        try:
            return self.idle.pop()
        except IndexError:
            return self._take_slowly()

    def give_back(self, connection: Connection) -> None:
        """``connection`` is idle again: no transaction, no unfinished statement."""
        self.idle.append(connection)
        if self._closed:
            self._close_idle()
        elif self._waiting:
            with self._free:
                self._free.notify()

    def give_back_doubtful(self, connection: Connection) -> None:
        """As `give_back`, after an exception that may have come at any moment: one that still reads is closed."""
        if connection.reading:
            self.discard(connection)
        else:
            self.give_back(connection)

    def try_take(self) -> Connection | None:
        """As `take`, where none has to be waited for; else None."""
        with self._free:
            if not self.idle and len(self._members) + self._opening >= self._most:
                return None
        return self.take()

    def hold(self) -> Connection:
        """As `take`, for a snapshot or an iterator, which may last; to be given back with `let_go`."""
        connection = self.take()
        connection.held.append(time.monotonic())
        return connection

    def let_go(self, connection: Connection) -> None:
        """Give back what `hold` gave.

        Whoever takes the time out of ``held`` decides what becomes of the connection: its borrower here, or `end`. So nobody who
        has it later is hit.
        """
        if connection.held:
            try:
                connection.held.pop()
            except IndexError:
                pass
            else:
                self.give_back_doubtful(connection)
                return
        self.discard(connection)

    def discard(self, connection: Connection) -> None:
        """``connection`` is not fit for use any more."""
        if connection.ended is None:
            connection.close()
        elif not connection.end():
            return  # another thread is just closing it, or in it
        with self._free:
            self._members.discard(connection)
            self._free.notify()

    def lent(self) -> list[Connection]:
        """Those that somebody uses now, more or less."""
        with self._free:
            members = set(self._members)
        return list(members.difference(self.idle.copy()))

    def end(self, connection: Connection, least: float) -> bool:
        """Take ``connection``, `held` for ``least`` seconds, from its borrower, whose next use of it raises SnapshotEndedError.

        False where that came first. Its place in the pool is free on return, or when the statement that runs on it has noticed.
        """
        try:
            since = connection.held.pop()
        except IndexError:
            return False
        age = time.monotonic() - since
        if age < least:
            connection.held.append(since)
            return False
        connection.ended = age, connection.statement
        self.discard(connection)
        return True

    def close(self) -> None:
        """Close idle connections now, and those that are lent when they come back."""
        self._closed = True
        self._close_idle()

    def close_if_quiet(self) -> bool:
        """Close all, if none is lent; else nothing, and False."""
        with self._free:
            idle = []
            while self.idle:
                idle.append(self.idle.pop())
            if self._opening or len(idle) != len(self._members):
                self.idle.extend(reversed(idle))
                self._free.notify_all()
                return False
            self._closed = True
            self._members.clear()
        for connection in idle:
            connection.close()
        return True

    @property
    def gone(self) -> bool:
        """True when none is open."""
        with self._free:
            return not self._opening and not self._members

    def _take_slowly(self) -> Connection:
        deadline = time.monotonic() + self._timeout
        with self._free:
            while True:
                if self._closed:
                    raise Retired
                if self.idle:
                    return self.idle.pop()
                if len(self._members) + self._opening < self._most:
                    self._opening += 1
                    break
                self._waiting += 1
                try:
                    # Woken by whoever gives one back; one lost to garbage is found by looking again.
                    self._free.wait(min(0.1, max(0.0, deadline - time.monotonic())))
                finally:
                    self._waiting -= 1
                if time.monotonic() >= deadline and not self.idle:
                    raise PoolTimeoutError(
                        f"No reader became free in {self._timeout:g} s; all {self._most} are in use",
                        hint="Close iterators and snapshots soon, or raise `readers`.",
                    )
        connection = None
        try:
            connection = self._make()
            return connection
        finally:
            with self._free:
                self._opening -= 1
                if connection is not None:
                    self._members.add(connection)
                else:
                    self._free.notify()

    def _close_idle(self) -> None:
        while True:
            try:
                connection = self.idle.pop()
            except IndexError:
                return
            self.discard(connection)
