"""The auditor: a share of hits is computed again in the background and compared (setting `audit`); the differences must stay 0.

What must hold here:

* A hit costs no more than a count. While an audit is due, `find` finds nothing for the faces' fast paths, and the next hit on a slower
  path is the one that is taken. With ``audit=0`` there is no auditor, and the fast paths are what they were.
* What waits is bounded in number and bytes (law 10); what finds no room is dropped, and counted.
* One worker at a time, only while there is something to do; coroutine functions by a task of their caller's loop. Nothing
  is ever raised into a caller. Before a fork and at the end its snapshots are ended.

Ring: shell.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .blocking import run
from .cache.audit import gap
from .cache.auditing import Difference, SkippedError, audit_call, audit_statement
from .cache.entry import Entry
from .cache.key import asked
from .tiers.memory import LARGEST

if TYPE_CHECKING:
    from .cache.key import Key
    from .engine import Engine
    from .sqlite.connection import Connection
    from .sqlite.readers import Readers

log = logging.getLogger("coeval")

#: Hits that wait for their audit, at the most.
MOST = 1000

#: Seconds that a fork, or the end, waits for a statement that was interrupted.
PATIENCE = 1.0

#: Characters of a value that the log shows.
SHOWN = 500


class Sample(NamedTuple):
    """A hit to be audited."""

    entry: Any
    state: object  #: what `Auditor.state` was
    call: Any = None  #: what makes the call again; None: it is a statement
    context: Context | None = None  #: of the caller, outside of units and tracked calls


class Backlog:
    """Hits that wait, in order. For one thread at a time."""

    def __init__(self, most: int, bytes_: int) -> None:
        """Room for ``most``, which keep ``bytes_`` of entries alive; or for one, however large."""
        self._most = most
        self._room = bytes_
        self._waiting: deque[Sample] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, sample: Sample) -> bool:
        """False where there is no room."""
        size = sample.entry.size
        if self._waiting and (len(self._waiting) >= self._most or size > self._room):
            return False
        self._waiting.append(sample)
        self._room -= size
        return True

    def next(self) -> Sample | None:
        """The next, if there is one."""
        if not self._waiting:
            return None
        sample = self._waiting.popleft()
        self._room += sample.entry.size
        return sample


class Line(Protocol):
    """The audits of one event loop."""

    loop: Any

    def take(self, sample: Sample) -> None:
        """Audit it, soon, or drop it. On the loop."""

    def stop(self) -> None:
        """Drop what waits, and end what runs; from any thread."""


class Auditor:
    """The audits of one engine. Safe from any thread."""

    def __init__(self, engine: Engine, share: float, chance: Callable[[], float] = random.random) -> None:
        """Audit ``share`` of the hits, more than 0."""
        self._engine = engine
        self._share = share
        self._chance = chance
        self._get: Callable[[Key], Entry | None] = engine.tier.find
        self._left = gap(share, chance())  # hits before the next audit; an update that is lost does no harm
        self.audited = 0  #: compared
        self.differences = 0  #: of them, found to be wrong
        self.skipped = 0  #: of which nothing could be said
        self.dropped = 0  #: that found no room, or the end
        self._said: set[tuple[str, str]] = set()  # of what the reasons are in the log, MOST of them at the most
        self._closed = False
        self._start_anew()

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._backlog = self.backlog()
        self._working = False
        self._paused = False
        self._pins: dict[Connection, Readers] = {}
        self._lines: dict[int, Line] = {}  # of event loops with audits now, by id

    def backlog(self) -> Backlog:
        """An empty one."""
        return Backlog(MOST, self._engine.tier.limit // LARGEST)

    # -- hits -----------------------------------------------------------------------------------------------------------

    def find(self, key: Key) -> Entry | None:
        """For fast paths: as the tier's, and each hit is counted; nothing while an audit is due."""
        entry = self._get(key)
        if entry is None or self._left <= 0:
            return None
        self._left -= 1
        return entry

    def due(self) -> bool:
        """Whether the hit that is being made on a slower path is to be audited."""
        if self._left > 0:
            self._left -= 1
            return False
        self._left = gap(self._share, self._chance())
        return True

    def hit(self, entry: Entry) -> None:
        """The rows of a statement are given to a caller."""
        if self.due():
            self.take(Sample(entry, self.state))

    @property
    def state(self) -> object:
        """Of what is no data, and results depend on all the same: as long as it stays equal they may be compared."""
        return self._engine.tier.epoch, self._engine.functions.given

    def take(self, sample: Sample) -> None:
        """Audit it, soon, in a worker; or drop it."""
        with self._lock:
            if self._closed or not self._backlog.add(sample):
                self.dropped += 1
                return
        self._rouse()

    def _rouse(self) -> None:
        with self._lock:
            if self._working or self._paused or self._closed or not self._backlog:
                return
            self._working = True
        try:
            self._engine.workers.chores.run(self._work)
        except BaseException as error:
            self._working = False
            if not isinstance(error, Exception):
                raise
            log.debug("No worker for audits now: %s", error)  # what waits has the next hit's chance

    # -- audits ---------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (sample := self._next()) is not None:
            try:
                found = self._audit(sample)
            except BaseException as error:  # whatever a function raises
                self.skip(sample, error)
            else:
                self.conclude(sample, found)

    def _next(self) -> Sample | None:
        with self._lock:
            sample = None if self._paused or self._closed else self._backlog.next()
            self._working = sample is not None
            return sample

    def _audit(self, sample: Sample) -> Difference | None:
        if sample.context is not None:
            return sample.context.run(run, audit_call(sample.entry, sample.call))
        from .pinned import Pinned

        with Pinned(self._engine) as moment:
            return run(audit_statement(sample.entry, moment))

    def skip(self, sample: Sample, why: BaseException) -> None:
        """Nothing can be said of it. Why goes to the log, once for each statement or function."""
        name = asked(sample.entry.key)[0] if sample.call is None else sample.call.name
        said = name, str(why) if isinstance(why, SkippedError) else _shown(why)
        with self._lock:
            self.skipped += 1
            new = said not in self._said and len(self._said) < MOST
            if new:
                self._said.add(said)
        if new:
            log.debug("Not audited: %s: %s", *said)

    def drop(self, count: int) -> None:
        """So many are not looked at."""
        with self._lock:
            self.dropped += count

    def conclude(self, sample: Sample, found: Difference | None) -> None:
        """It was compared. A difference is told, and its entry is served no longer."""
        if found is not None and sample.state != self.state:
            self.skip(sample, SkippedError("everything was forgotten meanwhile"))
            return
        if found is not None:
            self._engine.tier.drop(sample.entry)
            log.error(
                "%s: a kept result of %s with %s is wrong; it depends on %s. Kept: %s. Computed: %s. It is no longer served. "
                "Please report this; if it is a cached function, first see whether it depends on anything but its arguments and the data",
                self._engine.path,
                " ".join(found.statement.split()),
                *map(_shown, (found.parameters, found.read_set, found.kept, found.computed)),
            )
            self._engine.events.tell("audit_difference", **found._asdict())
        with self._lock:
            self.audited += 1
            self.differences += found is not None

    # -- event loops ----------------------------------------------------------------------------------------------------

    def line(self, loop: object, make: Callable[[], Line]) -> Line | None:
        """The audits of ``loop``, or ``make()``; None after `close`."""
        with self._lock:
            if self._closed:
                return None
            line = self._lines.get(id(loop))
            if line is None or line.loop is not loop:  # another loop that was thrown away had the number
                line = self._lines[id(loop)] = make()
            return line

    def leave(self, line: Line) -> None:
        """Its work is done."""
        with self._lock:
            if self._lines.get(id(line.loop)) is line:
                del self._lines[id(line.loop)]

    # -- its snapshots --------------------------------------------------------------------------------------------------

    def pin(self, connection: Connection, readers: Readers) -> bool:
        """A snapshot is being opened on ``connection``; False where it must not be."""
        with self._lock:
            if self._paused or self._closed:
                return False
            self._pins[connection] = readers
            return True

    def unpin(self, connection: Connection) -> None:
        """It is gone."""
        with self._lock:
            self._pins.pop(connection, None)

    def _end_pins(self) -> None:
        with self._lock:
            pins = list(self._pins.items())
        for connection, readers in pins:
            readers.end(connection, 0.0)
        end = time.monotonic() + PATIENCE
        left = [connection for connection, _ in pins if connection.ended is not None]
        while left and time.monotonic() < end:  # an interrupt that comes before its statement's first step is lost
            left = [connection for connection in left if not connection.end()]
            time.sleep(0.001)
        for connection, readers in pins:
            if connection.ended is not None:
                readers.discard(connection)

    # -- forks, and the end ---------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Use no connection until the fork is done."""
        with self._lock:
            self._paused = True
        self._end_pins()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with self._lock:
            self._paused = False
        self._rouse()

    def after_fork_in_child(self) -> None:
        """What waits is the parent's."""
        self._start_anew()

    def close(self) -> None:
        """Drop what waits, and end the snapshot of what runs; what a function does else is not waited for."""
        with self._lock:
            self._closed = True
            self.dropped += len(self._backlog)
            self._backlog = self.backlog()
            lines = list(self._lines.values())
        self._end_pins()
        for line in lines:
            with suppress(RuntimeError):  # its loop is closed
                line.stop()


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # somebody's own __repr__
        text = f"(a {type(value).__name__} without a readable form)"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
