"""Checkpoints: the write-ahead log is moved into the file beside the callers, never by one of them (law 10).

What must hold here: a checkpoint is made with the turn (`gate`), so that among processes of ours none meets a commit; and it never waits
for a lock of SQLite's, so that whoever wants to write waits for the copying alone.

A commit that leaves many pages in the log wakes the housekeeper (`follow`), and so does time (`look`). Then a thread of this file's own
carries the plans out (`checkpoint_policy`) and ends when nothing is due, so that a slow disk holds up no other file.

Ring: shell.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import apsw

from ..errors import Error
from ..housekeeper import housekeeper
from .checkpoint_policy import Plan, Step, Tried, Wal, plan, slow_at, wake_at
from .lock_owner import process_name
from .optimizing import Optimizing
from .pins import Pin, Pins
from .readers import Retired
from .sizes import size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import Connection
    from .store import Store

log = logging.getLogger("coeval")

#: Seconds that RESTART and TRUNCATE wait, having the turn, for readers that are about to leave (less where that failed); between looks.
DRAIN, STEP = 0.02, 0.0003

#: Seconds that a commit waits, after it was made, for our thread to come to the processor: the first of them, each next one
#: so much more, at the most so many times as long; and how many commits in a row do.
SLOW, SLOWEST, LONGEST_SLOWED = 0.001, 20, 50

#: Seconds that a snapshot of ours may always last.
GRACE = 1.0

#: Seconds after which a reader that is still in the way is reported again.
AGAIN = 60.0

#: Seconds that the thread stays when nothing is due.
LINGER = 10.0

#: More pages than a log ever has.
_NEVER = 1 << 62

_MODES = {
    Step.PASSIVE: apsw.SQLITE_CHECKPOINT_PASSIVE,
    Step.RESTART: apsw.SQLITE_CHECKPOINT_RESTART,
    Step.TRUNCATE: apsw.SQLITE_CHECKPOINT_TRUNCATE,
}


class Checkpoints:
    """Those of one store."""

    def __init__(self, store: Store, tell: Callable[..., None]) -> None:
        """Of ``store``, which has its clock, readers and writer. ``tell`` takes events."""
        settings = store.settings
        self._store = store
        self._tell = tell
        self._limit = settings.wal_limit
        self._automatic = store.writable and settings.checkpoint == "auto"
        self._at = _NEVER  # pages in the log with which a commit wakes us
        self._slow_at = _NEVER  # and with which it waits a little, and how often it has
        self._slowed = 0
        self._pages = 0  # in the log after our last commit
        self._moved = 0  # of them, after our last checkpoint
        self._mark: object = None  # the commit clock when last looked at, and the time since which it shows that
        self._since = time.monotonic()
        self._times = 0  # attempts since the last that was complete, and when the last was
        self._last = 0.0
        self._pins = Pins(store.path, store.readers)
        self._told: dict[object, float] = {}
        self._optimizing = Optimizing(store, tell)
        self._lock = threading.Lock()
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False

    # -- for others ---------------------------------------------------------------------------------------------------

    def follow(self, connection: apsw.Connection) -> None:
        """Be told of the commits on ``connection``."""
        if self._automatic:
            self._rearm()
            connection.set_wal_hook(self._committed)

    def look(self) -> None:
        """Start what is due by size or by age. Quick; the housekeeper's."""
        if not self._automatic or self._ended:
            return
        try:
            mark = self._store.clock.raw()
            now = time.monotonic()
            if mark != self._mark:
                self._mark, self._since = mark, now
            if self._plan(now).step is not Step.NONE or self._optimizing.due(now):
                self._start()
            elif self._thread is None:
                self._times = 0
                self._rearm()
        except ValueError:  # the clock is closed
            return

    def wal(self) -> Wal:
        """What the log holds now. Raises ValueError once the store is closed."""
        size = size_of(f"{self._store.path}-wal")
        frames = self._store.clock.frames()
        if frames is not None:
            return Wal(
                frames.pages, min(frames.moved, frames.pages), size, frames.page or self._store.settings.page_size
            )
        return Wal(self._pages if size else 0, self._moved, size, self._store.settings.page_size)

    def make(self, connection: Connection, step: Step, *, drain: float = DRAIN) -> bool:
        """Checkpoint on ``connection``, which has the turn; True when all was moved, and for RESTART and TRUNCATE nobody reads in it.

        Whoever calls tells of it, when the turn has passed on.
        """
        if self._store.writer.gate.passed:
            return False
        raw = connection.raw
        raw.set_busy_timeout(0)
        end: float | None = None
        try:
            while True:
                try:
                    pages, moved = raw.wal_checkpoint("main", _MODES[step])
                except apsw.BusyError:
                    now = time.monotonic()
                    end = now + drain if end is None else end  # the first try moved what could be moved
                    if step is Step.PASSIVE or now >= end:
                        return False
                    time.sleep(STEP)
                else:
                    self._pages, self._moved = max(pages, 0), max(moved, 0)
                    return pages == moved
        finally:
            raw.set_busy_timeout(int(self._store.settings.timeout * 1000))

    def stop(self) -> None:
        """Nothing is due any more; an attempt under way comes to its end."""
        self._ended = True
        self._due.set()

    # -- a commit -----------------------------------------------------------------------------------------------------

    def _committed(self, _connection: object, _name: str, pages: int) -> int:
        if pages < self._pages:  # the log has started over
            self._moved = 0
        self._pages = pages
        if pages >= self._at:
            self._crossed(pages)
        return 0

    def _crossed(self, pages: int) -> None:
        self._due.set()
        if self._thread is None:
            housekeeper.wake()
        self._at = self._slow_at
        if pages >= self._slow_at:
            self._slowed += 1
            if self._slowed > LONGEST_SLOWED:
                self._at = _NEVER
            else:  # whether or not it has asked for its turn: it may be kept from the processor on its way into the queue
                time.sleep(SLOW * min(self._slowed, SLOWEST))

    # -- the thread -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            self._due.set()
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._run, name="coeval-checkpoints", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            wait = LINGER
            try:
                wait = self._turn()
            except (Retired, ValueError):  # the store is being closed
                self._ended = True
            except (apsw.Error, Error) as error:
                self._tell_failure(error)
            woken = not self._ended and self._due.wait(wait)
            with self._lock:
                if self._ended or (not woken and wait == LINGER and not self._due.is_set()):
                    self._thread = None
                    with suppress(ValueError):
                        self._rearm()
                    return
                self._due.clear()

    def _turn(self) -> float:
        """Do what is due, and return the seconds until something may be due again."""
        now = time.monotonic()
        due = self._plan(now)
        if due.step is Step.NONE:
            self._times = 0
            self._rearm()
            if self._optimizing.due(now):
                self._optimizing.run()
            return LINGER
        if due.wait > 0:
            return due.wait
        moved = self.wal().moved
        complete = self._attempt(due.step)
        if complete:
            self._times = 0
            self._pins.forget()
            self._told.clear()
        elif due.step is not Step.PASSIVE or self.wal().moved <= moved:  # else readers come and go
            self._times += 1
            self._last = time.monotonic()
            if due.step is Step.TRUNCATE and self.wal().bytes > self._limit:
                self._look_for_pins()
        self._rearm(fresh=complete and due.step is not Step.PASSIVE)
        return max(self._plan(time.monotonic()).wait, STEP)

    def _attempt(self, step: Step) -> bool:
        writer = self._store.writer
        connection = writer.alone("checkpoint", first=True)
        try:
            if self._plan(time.monotonic(), again=True).step is Step.NONE:  # another process was quicker
                return True
            complete = self.make(connection, step, drain=DRAIN / (1 + self._times))
        finally:
            writer.rollback()
        if complete:
            self._tell("checkpoint")
        return complete

    def _plan(self, now: float, *, again: bool = False) -> Plan:
        tried = Tried() if again else Tried(self._times, now - self._last)
        return plan(self.wal(), self._limit, now - self._since, tried)

    def _rearm(self, *, fresh: bool = False) -> None:
        """Have the commit tell that reaches the next bound. While a reader is in the way it is time that tells."""
        wal = self.wal()
        self._slowed = 0
        self._slow_at = slow_at(wal, self._limit)
        self._at = _NEVER if self._times else wake_at(wal, self._limit, fresh=fresh)

    # -- readers in the way -----------------------------------------------------------------------------------------------

    def _look_for_pins(self) -> None:
        pages = self.wal().pages
        for pin in self._pins.look():
            if pin.pid == os.getpid() and pin.age < GRACE:
                continue
            ended = self._pins.end(pin, GRACE)
            now = time.monotonic()
            name = pin.pid if not pin.own else id(pin.connection)
            if ended or now - self._told.get(name, -AGAIN) >= AGAIN:
                self._told[name] = now
                self._report(pin, pages, ended)

    def _report(self, pin: Pin, pages: int, ended: bool) -> None:
        if pin.own:
            who = f"a snapshot of this process ({pin.pid}), open for {pin.age:.1f} s with {pin.statement or 'no statement yet'}"
        else:
            name = process_name(pin.pid)
            who = f"process {pin.pid}{f' ({name})' if name else ''}, which reads in it, for {pin.age:.1f} s at least"
            if pin.pid == os.getpid():
                who = f"this process ({pin.pid}) itself, for {pin.age:.1f} s at least: a cursor or transaction of coeval.dbapi"
        log.warning(
            "%s: the WAL has %d pages, more than `wal_limit` allows, and cannot shrink because of %s%s",
            *(self._store.path, pages, who, "; it was ended" if ended else ""),
        )
        self._tell("pinned", pid=pin.pid, age=pin.age, statement=pin.statement, pages=pages, ended=ended)

    def _tell_failure(self, error: Exception) -> None:
        self._times += 1
        self._last = now = time.monotonic()
        if now - self._told.get("failure", -AGAIN) >= AGAIN:
            self._told["failure"] = now
            log.warning("%s: a checkpoint failed, and is tried again: %s", self._store.path, error)
