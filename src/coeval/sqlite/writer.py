"""The writer: the one connection that writes, used by whoever has the turn (laws 6 and 7).

Ring: shell.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import LockTimeoutError, ReentryError
from .connection import Connection
from .gate import Gate, Turn
from .readers import Retired


class Writer:
    """Write transactions, one at a time: `begin`, then `commit` or `rollback`. Between them the connection is the caller's."""

    def __init__(self, make: Callable[[], Connection], moved: Callable[[], bool], timeout: float) -> None:
        """``make`` opens the connection when it is first needed; ``timeout``: seconds to wait for the turn.

        ``moved``: whether the path leads to another file by now; a write to the old one would be lost.
        """
        self._make = make
        self._moved = moved
        self._timeout = timeout
        self._connection: Connection | None = None
        self._discarded = False
        self._retired = False
        self.gate = Gate()

    def begin(self, what: str, *, stacked: bool = False) -> Connection:
        """Take the turn and the write lock, both within the time-out. Raises LockTimeoutError, Retired; then neither is held."""
        turn = self.gate.turn(what, stacked=stacked)
        try:
            self.gate.take(turn, self._timeout)
            return self._lock(self._timeout - (time.monotonic() - turn.asked))
        except BaseException:  # an interrupt may come at any moment
            self._give_up(turn)
            raise

    def try_begin(self, what: str) -> Connection | None:
        """As `begin`, where nothing has to be waited for; else None."""
        turn = self.gate.try_enter(what)
        if turn is None:
            return None
        try:
            return self._lock(0.0)
        except BaseException as error:
            self._give_up(turn)
            if isinstance(error, LockTimeoutError):
                return None
            raise

    def commit(self) -> None:
        """Commit and pass the turn on. Where COMMIT fails everything is rolled back before this raises."""
        connection = self._connection
        assert connection is not None
        try:
            connection.run("COMMIT")
        except BaseException:
            self.rollback()
            raise
        self._finish()

    def rollback(self) -> None:
        """Undo everything since `begin` and pass the turn on. SQLite may have rolled back by itself already."""
        try:
            self._undo()
        finally:
            self._finish()

    def _give_up(self, turn: Turn) -> None:
        if self.gate.has(turn):
            self._finish()

    def _undo(self) -> None:
        if self._connection is not None and self._connection.raw.in_transaction:
            self._connection.run("ROLLBACK")

    def alone(self, what: str) -> Connection:
        """The turn without a transaction, for VACUUM and its like; `rollback` ends it."""
        self.gate.enter(what, self._timeout)
        try:
            connection = self._ready()
            connection.raw.set_busy_timeout(int(self._timeout * 1000))
            return connection
        except BaseException:
            self._finish()
            raise

    def discard(self) -> None:
        """Close the connection when the turn ends, because it carries what others must not see."""
        self._discarded = True

    def close(self, timeout: float) -> None:
        """Close the connection, after waiting ``timeout`` seconds for the turn; then leave that to whoever has it."""
        self._retired = True
        try:
            self.gate.enter("close", timeout)
        except (LockTimeoutError, ReentryError):
            return
        self._finish()

    def close_in_turn(self) -> None:
        """Close the connection, having the turn."""
        self._retired = True
        self._finish()

    @property
    def gone(self) -> bool:
        """True when its connection is closed."""
        return self._connection is None

    def _ready(self) -> Connection:
        if self._retired:
            raise Retired
        if self._connection is None:
            self._connection = self._make()
        return self._connection

    def _lock(self, seconds: float) -> Connection:
        try:
            connection = self._ready()
            connection.raw.set_busy_timeout(max(0, int(seconds * 1000)))
            connection.run("BEGIN IMMEDIATE")
            if self._moved():
                raise Retired
        except BaseException:  # an interrupt while waiting, too
            self._undo()
            raise
        return connection

    def _finish(self) -> None:
        try:
            if (self._discarded or self._retired) and self._connection is not None:
                self._connection.close()
                self._connection = None
            self._discarded = False
        finally:
            self.gate.leave()
