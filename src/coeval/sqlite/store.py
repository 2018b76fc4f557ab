"""The store: one file, its connections, clock and analyses, from opening to closing.

A store belongs to one inode and one process. Where the path leads to another file, or after a fork, the engine
opens another store.

Ring: shell.
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import apsw

from ..coherence.scopes import Scope
from ..coherence.stamps import Mark, Seen
from ..config import Settings
from ..errors import Error, LockTimeoutError, NotADatabaseError, NotWritableError, OpenError, ReentryError
from ..streams import RowStream
from . import guard, pragmas, triggers
from .batch import Batches
from .checkpoints import Checkpoints
from .commit_clock import CommitClock, HeaderClock, Unavailable, VersionClock
from .connection import Connection
from .failures import translate
from .functions import Functions
from .place import Turn
from .queue_file import queue_beside
from .readers import Readers, Retired
from .statements import Analysis, Statements
from .writer import Writer

log = logging.getLogger("coeval")

#: Seconds that closing waits for what had only waited for the turn.
LONGEST_REST = 1.0

#: Seconds between two tries to verify, where one failed.
VERIFY_AGAIN = 5.0

Tell = Callable[..., None]
T = TypeVar("T")


class Store:
    """Everything of ours that has the file open."""

    def __init__(self, path: str, settings: Settings, functions: Functions, tell: Tell, *, again: bool = False) -> None:
        """Open ``path``, tune it, install or verify the triggers. ``again``: a missing file is an error, not made anew.

        Raises OpenError and its kinds before anything is changed, DamagedError, LockTimeoutError; then nothing stays open.
        """
        self.path = path
        self.settings = settings
        self.functions = functions
        self.tell = tell
        self._finished = False
        self._verify_after = 0.0  # time.monotonic() before which a failed verification is not tried again
        self._streams: weakref.WeakSet[RowStream[Any]] = weakref.WeakSet()
        self.writable = _look_at(path, settings)
        there = os.path.exists(path)
        if again and not there:
            raise OpenError(f"{path} is gone", hint="Put the file back; this database goes on by itself then.")
        guard.refuse_network(path, settings.allow_network_filesystem)
        with ExitStack() as undo:
            if there:
                self._watch(undo)  # before looking, so that nobody slips in between
            guard.refuse_inherited(path)
            if not again and (not there or guard.watchers(self.identity) == 1):  # else ours may be on it, being closed
                guard.refuse_descriptors(path)
            try:
                self._open(undo, there)
            except apsw.Error as error:
                raise translate(error, path) from error
            self.log = guard.identity_of(f"{path}-wal")
            undo.pop_all()

    def _watch(self, undo: ExitStack) -> None:
        self.identity = guard.watch(self.path)
        undo.callback(guard.unwatch, self.identity)

    def _open(self, undo: ExitStack, there: bool) -> None:
        self.clock = self._prepare_file()
        undo.callback(self.clock.close)
        if not there:
            self._watch(undo)
        self.readers = Readers(self._connect, self.settings.readers, self.settings.timeout)
        undo.callback(self.readers.close)
        file = partial(queue_beside, self.path)
        self.writer = Writer(self.path, self._connect_to_write, self.settings.timeout, file)
        self.batches = Batches(self.writer, partial(self.tell, "write"), self._in_doubt, self._doubt)
        self.checkpoints = Checkpoints(self, self.tell)
        undo.callback(self._close_writer)
        stamped = self.settings.coherence == "stamps"
        analyser = self._connect()
        undo.callback(analyser.close)
        if stamped:
            self._verify_at_open(analyser)
        self.statements = Statements(analyser, self.clock, self.functions, stamps=stamped)

    def _prepare_file(self) -> CommitClock:
        """Create or open the file in its mode, and the clock on a connection that stays."""
        connection = apsw.Connection(self.path, flags=self._flags(create=True))
        if not self.writable and connection.readonly("main") and _wants_wal(connection):
            connection.close()
            raise NotWritableError(
                f"{self.path} is in WAL mode, and its folder cannot be written, where SQLite would keep the WAL's index",
                hint="Make the folder writable, or have its owner switch the file by `PRAGMA journal_mode = DELETE`.",
            )
        try:
            for setting in pragmas.FILE:
                self._in_time(setting, connection)
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            return self._clock_on(connection)
        except BaseException:
            connection.close()
            raise

    def _in_time(self, setting: Callable[[apsw.Connection, Settings], None], connection: apsw.Connection) -> None:
        """SQLite's busy time-out does not cover the change to WAL: where several processes open a new file, all but one are refused."""
        deadline = time.monotonic() + self.settings.timeout
        while True:
            try:
                return setting(connection, self.settings)
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)

    def _clock_on(self, connection: apsw.Connection) -> CommitClock:
        if self.settings.commit_clock != "data_version":
            try:
                clock = HeaderClock(connection)
            except Unavailable as why:
                log.info("%s: PRAGMA data_version is the commit clock, because %s", self.path, why)
            else:
                # Until the first commit after a clean close the header could repeat (hole 26). Where we commit at open, it
                # will not for long; where we must not write, ask SQLite instead.
                if self.settings.coherence == "stamps" or clock.read() is not None:
                    return clock
        return VersionClock(connection)

    def _verify_at_open(self, reader: Connection) -> None:
        """Verify the triggers by reading; take the turn only to repair, so that a busy file opens too."""
        reader.run("BEGIN")
        try:
            sound = triggers.sound(reader.raw)
        finally:
            if reader.raw.in_transaction:
                reader.run("COMMIT")
        repaired = 0
        if not sound:
            connection = self.writer.begin(Turn("install the triggers"))
            try:
                repaired = triggers.verify(connection.raw).repaired
            except BaseException:
                self.writer.rollback()
                raise
            self.writer.commit()
        self.tell("verified", repaired=repaired)
        if self.clock.read() is None:
            self._start_clock()

    def _start_clock(self) -> None:
        """One commit, so that the clock proves something (hole 26); whoever holds the lock now does as well."""
        self.writer.at_leisure("start the commit clock", lambda connection: triggers.touch(connection.raw))

    def verify(self) -> bool:
        """Verify and repair the triggers if the turn to write is free at this moment; True when done."""
        if not self.writable or self.settings.coherence != "stamps" or time.monotonic() < self._verify_after:
            return False
        try:
            verified = self.writer.at_leisure("verify the triggers", lambda connection: triggers.verify(connection.raw))
            if verified is None:
                return False
            self.statements.latest = verified.stamp
        except (apsw.Error, Error) as error:
            log.warning("%s: the triggers cannot be verified now, so nothing is cached: %s", self.path, error)
            self._verify_after = time.monotonic() + VERIFY_AGAIN
            return False
        self.tell("verified", repaired=verified.repaired)
        return True

    def renew(self, sql: str) -> Analysis:
        """The analysis of ``sql`` for the schema as it is now, after verifying it where that can be done at once."""
        analysis = self.statements.renew(sql)
        if analysis.schema is None and self.verify():
            analysis = self.statements.renew(sql)
        return analysis

    def verify_within(self, connection: Connection, *, doubt: bool = False) -> int | None:
        """Verify and repair inside the caller's write transaction, which has changed the schema.

        ``doubt``: triggers may have been skipped in it, so that every entry made before is to be worth nothing.
        What it returns is given to `verified` when that has committed.
        """
        if self.settings.coherence == "stamps":
            try:
                if doubt:
                    triggers.verify(connection.raw)  # our tables may be gone
                    triggers.doubt(connection.raw)
                verified = triggers.verify(connection.raw)
            except apsw.Error as error:
                raise translate(error, self.path) from error
            self.statements.latest = verified.stamp
            return verified.repaired
        return None

    def verified(self, repaired: int | None) -> None:
        """Tell of it, while nobody waits for this thread."""
        if repaired is not None:
            self.tell("verified", repaired=repaired)

    def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        """Stamps of ``scopes`` in a new snapshot."""
        connection = self.readers.take()
        try:
            seen = connection.seen(scopes, self.clock)
        except BaseException:
            self.readers.give_back_doubtful(connection)
            raise
        self.readers.give_back(connection)
        return seen

    def moved(self) -> bool:
        """True when the path leads elsewhere by now (hole 9)."""
        return self.clock.moved()

    def mark(self) -> Mark:
        """The commit clock's value now; None also where the store is just being closed."""
        try:
            return self.clock.read()
        except ValueError:
            return None

    def streaming(self, stream: RowStream[T]) -> RowStream[T]:
        """``stream`` has a reader of its own; it ends with the store."""
        self._streams.add(stream)
        return stream

    def close(self, timeout: float) -> None:
        """Close every connection, waiting ``timeout`` seconds for the write under way.

        Those that others still use then are closed when they let go of them: transactions and snapshots that are open go on.
        """
        self.checkpoints.stop()
        for stream in self._streams.copy():  # the copy is made in one step, and others may add
            stream._cut()
        self.readers.close()
        self.writer.close(timeout)
        end = time.monotonic() + min(timeout, LONGEST_REST)
        while not self.finished() and self.readers.gone and self.writer.closed and time.monotonic() < end:
            time.sleep(0.001)  # a checkpoint that waited for the turn is told that there is nothing to do

    def finished(self) -> bool:
        """After `close`: True when nothing is open any more. Analyses and clock serve the units still open, and go last."""
        self.writer.close_rest()
        if not (self.readers.gone and self.writer.gone):
            return False
        if not self._finished:
            self._finished = True
            self.checkpoints.stop()
            self.writer.gate.close()
            self.statements.close()
            self.clock.close()
            guard.unwatch(self.identity)
        return True

    def quieten(self, timeout: float) -> bool:
        """Close everything, if within ``timeout`` seconds nobody is using it; else leave all as it was, and False."""
        deadline = time.monotonic() + timeout
        try:
            self.writer.gate.enter("fork", timeout)
        except (LockTimeoutError, ReentryError):
            return False
        while not self.readers.close_if_quiet():
            if time.monotonic() > deadline:
                self.writer.gate.leave()
                return False
            time.sleep(0.001)
        self.writer.close_in_turn()
        while not self.finished():  # who waited for the turn is told to look for the next store
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def abandon(self) -> None:
        """In a forked child: never touch these connections again, not even by garbage collection."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))
        self.writer.gate.abandon()

    def _connect(self) -> Connection:
        self._same_file()
        try:
            return Connection(self.path, self.settings, self.functions, flags=self._flags(), opened=self._same_file)
        except apsw.Error as error:
            raise translate(error, self.path) from error

    def _same_file(self) -> None:
        """Raise Retired where the path leads elsewhere: a connection there would find the old file's log, and apply it."""
        if guard.identity_of(self.path) != self.identity:
            raise Retired

    def _connect_to_write(self) -> Connection:
        if not self.writable:
            raise NotWritableError(
                f"{self.path} is open for reading alone",
                hint="Mend the permissions of the file and its folder, then open it again.",
            )
        connection = self._connect()
        self.checkpoints.follow(connection.raw)
        return connection

    def _doubt(self, sql: str) -> None:
        self.statements.doubt(sql)

    def _in_doubt(self, connection: Connection) -> bool:
        return self.statements.in_doubt(connection)

    def _close_writer(self) -> None:
        self.writer.close(0.0)
        self.writer.gate.close()

    def _flags(self, *, create: bool = False) -> int:
        if not self.writable:
            return apsw.SQLITE_OPEN_READONLY
        return apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)


def _wants_wal(connection: apsw.Connection) -> bool:
    """Whether reading fails because there is no place for the WAL's index."""
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
    except (apsw.ReadOnlyError, apsw.CantOpenError):
        return True
    return False


def _look_at(path: str, settings: Settings) -> bool:
    """Whether the file may be written; raises where it cannot be opened, before anything is touched. Never opens it (law 8)."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise OpenError(f"The folder of {path} does not exist", hint=f"Create it: mkdir -p {folder}")
    if os.path.isdir(path):
        raise NotADatabaseError(f"{path} is a folder", hint="Name a file in it.")
    exists = os.path.exists(path)
    writable = os.access(folder, os.W_OK) and (not exists or os.access(path, os.W_OK))
    if exists and not os.path.isfile(path):
        raise NotADatabaseError(f"{path} is not a regular file", hint="Name another path.")
    if exists and not os.access(path, os.R_OK):
        raise OpenError(f"{path} cannot be read by this process", hint="Mend its permissions.")
    if not writable and (settings.coherence == "stamps" or not exists):
        raise NotWritableError(
            f"{path if exists else folder} cannot be written by this process",
            hint='Mend its permissions, or open the file with coherence="clock" to read alone.',
        )
    return writable
