"""The writer: the one connection that writes, used by whoever has the turn (laws 6 and 7).

Ring: shell.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import apsw

from ..errors import Error, LockTimeoutError, ReentryError
from .commit_clock import moved_asker
from .connection import Connection
from .gate import Gate
from .lock_owner import WRITE, lock_owner, process_name
from .place import Place, Turn
from .queue_file import QueueFile
from .readers import Retired

T = TypeVar("T")

#: Seconds for which an answer to "is the path still this file?" is good enough for the next write (hole 9).
LOOKED = 0.0005


class Writer:
    """Write transactions, one at a time: `begin`, then `commit` or `rollback`. Between them the connection is the caller's."""

    def __init__(
        self,
        path: str,
        make: Callable[[], Connection],
        timeout: float,
        file: Callable[[], QueueFile | None] = lambda: None,
    ) -> None:
        """``make`` opens the connection when it is first needed; ``timeout``: seconds to wait for the turn.

        ``file`` opens the queue among processes.
        """
        self._path = path
        self._make = make
        self._moved: Callable[[], bool] = (
            bool  # whether the path leads to another file by now: a write to the old one would be lost
        )
        self._look_again = 0.0  # time.monotonic() from which that is asked again
        self._patience = -1.0  # seconds, as the connection was last told
        self.timeout = timeout
        self._connection: Connection | None = None
        self._discarded = False
        self._retired = False
        self.undone = False  #: since the last BEGIN
        self.gate = Gate(file, self._foreigner)

    def begin(self, turn: Turn) -> Connection:
        """Take ``turn`` and the write lock, both within the time-out. Raises LockTimeoutError, Retired; then neither is held."""
        try:
            self.gate.take(turn, self.timeout)
            return self.begin_held(turn)
        except BaseException:  # an interrupt may come at any moment
            self.give_up(turn)
            raise

    def begin_held(self, place: Place) -> Connection:
        """Take the write lock, having the turn of ``place``. Raises as `begin`, and the turn is passed on then."""
        try:
            return self._lock(self._left(place))
        except BaseException:
            self.give_up(place)
            raise

    def ready_held(self, place: Place) -> Connection:
        """The connection without a transaction, having the turn of ``place``. Raises Retired, and the turn is passed on then."""
        try:
            connection = self._connection
            if (
                connection is not None
                and place.future is None
                and self._patience == self.timeout
                and place.asked <= self._look_again  # a place that did not wait was asked just now
                and not self._retired
                and not connection.raw.in_transaction
            ):
                return connection
            connection = self._ready()
            self._wait_for(connection, self._left(place))
            if connection.raw.in_transaction:  # an interrupt between two steps has left it so
                connection.run("ROLLBACK")
            self._look_whether_moved()
            return connection
        except BaseException:
            self.give_up(place)
            raise

    def at_leisure(self, what: str, work: Callable[[Connection], T]) -> T | None:
        """What ``work`` gives, committed, where the turn and the lock are free at this moment; else None, and nothing is done.

        Nothing of it is written, and neither is held, where it raises, by an interrupt at any moment too.
        """
        turn = Turn(what)
        try:
            if not self.gate.at_once(turn):
                return None
            try:
                connection = self._lock(0.0)
            except LockTimeoutError:
                return None
            found = work(connection)
            self.commit()
            return found
        finally:
            self.give_up(turn)

    def commit(self) -> None:
        """Commit and pass the turn on. Where COMMIT fails everything is rolled back before this raises."""
        try:
            connection = self._connection
            assert connection is not None
            connection.run("COMMIT")
        except BaseException:
            self.rollback()
            raise
        self.leave()

    def leave(self) -> None:
        """Pass the turn on, where nothing has to be undone."""
        if self._discarded or self._retired:
            self.finish()
        else:
            self.gate.leave()

    def rollback(self) -> None:
        """Undo everything since `begin` and pass the turn on. SQLite may have rolled back by itself already."""
        try:
            self.undo()
        finally:
            self.finish()

    def commit_held(self) -> None:
        """Commit and keep the turn. Where COMMIT fails everything is rolled back before this raises.

        An interrupt may come when COMMIT has returned: then `undone` is False, and it was made.
        """
        connection = self._connection
        assert connection is not None
        try:
            connection.run("COMMIT")
        except BaseException as error:
            refused = isinstance(error, Error) or isinstance(error.__context__, apsw.Error)
            if refused or connection.raw.in_transaction:
                self.undo()
            raise

    def undo(self) -> None:
        """Undo everything since `begin`, and keep the turn."""
        self.undone = True
        if self._connection is not None and self._connection.raw.in_transaction:
            self._connection.run("ROLLBACK")

    def give_up(self, place: Place) -> None:
        """Undo what there is, and pass the turn on, if it is that of ``place``; no longer wait for it. Twice does no harm."""
        if self.gate.has(place):
            self.rollback()
        else:
            self.gate.drop(place)

    def again(self) -> Connection:
        """Another transaction in the same turn."""
        return self._lock(self.timeout)

    def finish(self) -> None:
        """Pass the turn on."""
        try:
            if (self._discarded or self._retired) and self._connection is not None:
                self._connection.close()
                self._connection = None
            self._discarded = False
        finally:
            self.gate.leave()

    def alone(self, what: str, *, first: bool = False) -> Connection:
        """The turn without a transaction, for VACUUM and its like; `rollback` ends it. ``first``: before all who wait in this process."""
        turn = Turn(what)
        try:
            self.gate.take(turn, self.timeout, first=first)
            connection = self._ready()
            self._wait_for(connection, self.timeout)
            return connection
        except BaseException:
            self.give_up(turn)
            raise

    def discard(self) -> None:
        """Close the connection when the turn ends, because it carries what others must not see."""
        self._discarded = True

    def close(self, timeout: float) -> None:
        """Close the connection, after waiting ``timeout`` seconds for the turn; then leave that to whoever has it."""
        self._retired = True
        self.gate.stay_here()
        try:
            self.gate.enter("close", timeout)
        except (LockTimeoutError, ReentryError):
            return
        self.finish()

    def close_in_turn(self) -> None:
        """Close the connection, having the turn."""
        self._retired = True
        self.finish()

    def close_rest(self) -> None:
        """After `close`: whoever had the turn then may have passed it on just before it could know."""
        if self._connection is not None and self.gate.try_enter("close") is not None:
            self.finish()

    @property
    def closed(self) -> bool:
        """True when its connection is closed."""
        return self._connection is None

    @property
    def gone(self) -> bool:
        """True when it is `closed`, and nobody has or wants the turn."""
        return self.closed and self.gate.idle

    def _ready(self) -> Connection:
        if self._retired:
            raise Retired
        if self._connection is None:
            self._connection = connection = self._make()
            self._moved = moved_asker(connection.raw)
            self._patience, self._look_again = -1.0, 0.0
        return self._connection

    def _left(self, place: Place) -> float:
        """Seconds of the time-out that are left to ``place``; all of them where it did not have to wait."""
        return self.timeout if place.future is None else self.timeout - (time.monotonic() - place.asked)

    def _wait_for(self, connection: Connection, seconds: float) -> None:
        """Have ``connection`` wait so long for SQLite's own lock, from now on."""
        if seconds != self._patience:
            self._patience = seconds
            connection.raw.set_busy_timeout(max(0, int(seconds * 1000)))

    def _lock(self, seconds: float) -> Connection:
        try:
            connection = self._connection
            if connection is None or self._retired:
                connection = self._ready()
            self._wait_for(connection, seconds)
            if connection.raw.in_transaction:  # an interrupt between two steps has left it so
                connection.run("ROLLBACK")
            self.undone = False
            connection.run("BEGIN IMMEDIATE")
            self._look_whether_moved()
            return connection
        except LockTimeoutError as error:
            raise self.locked() from error
        except BaseException:  # an interrupt while waiting, too
            self.undo()
            raise

    def _look_whether_moved(self) -> None:
        now = time.monotonic()
        if now > self._look_again:
            if self._moved():
                raise Retired
            self._look_again = now + LOOKED

    def locked(self) -> LockTimeoutError:
        """The error for a lock of SQLite's that did not come in time. Ours wait in the gate, so it is another program's."""
        return LockTimeoutError(
            f"{self._path} stayed locked for {max(0.0, self._patience):.1f} s by {self._foreigner() or 'another program'}",
            hint="Have it end its transactions sooner, or raise `timeout`.",
        )

    def _foreigner(self) -> str:
        """The process other than this one that has SQLite's write lock now; '' where there is none."""
        pid = lock_owner(self._path, WRITE)
        if pid is None:
            return ""
        name = process_name(pid)
        return f"process {pid}{f' ({name})' if name else ''}"
