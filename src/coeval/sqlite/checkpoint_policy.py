"""When the write-ahead log is moved into the file, and how thoroughly; decided from its size, its age and the last attempt.

In normal work PASSIVE, which waits for nobody, keeps the log under 1,000 pages: each time all of it has been moved and nobody reads in it,
the next commit starts it over. Readers that always overlap keep commits from starting over, so RESTART waits a few milliseconds for them.
Past the limit TRUNCATE does, and gives the room back. Upholds law 10.

Ring: policy.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

#: Pages from which the log is moved, those from which overlapping readers are waited for, and those of a log that is normal.
AT, OVERLAPPING, NORMAL = 600, 800, 1000

#: Seconds without a commit after which even a short log is moved.
QUIET = 3.0

#: Seconds between attempts where a reader is in the way: at first, at the most, and at the most where nobody writes either.
PAUSE, LONGEST_PAUSE, QUIET_PAUSE = 0.005, 1.0, 30.0

FRAME = 24  #: bytes that the log keeps with each page


class Step(enum.Enum):
    """What to do."""

    NONE = "nothing"
    PASSIVE = "move what can be moved now"
    RESTART = "move all, so that the log starts over"
    TRUNCATE = "move all, and shorten the log's file to nothing"


@dataclass(frozen=True, slots=True)
class Wal:
    """The write-ahead log."""

    pages: int  #: that it holds
    moved: int  #: of them, copied into the file already
    size: int  #: bytes of its own file, which stays as long as it once was
    page: int  #: bytes of a page

    @property
    def bytes(self) -> int:
        """Of the pages that it holds, or of its file where that is longer."""
        return max(self.size, self.pages * (self.page + FRAME))


@dataclass(frozen=True, slots=True)
class Tried:
    """Attempts since the last that was complete."""

    times: int = 0
    ago: float = 0.0  #: seconds since the last


@dataclass(frozen=True, slots=True)
class Plan:
    """The step, and the seconds to wait before it."""

    step: Step
    wait: float = 0.0


def plan(wal: Wal, limit: int, quiet: float, tried: Tried) -> Plan:
    """What is due. ``limit``: bytes; ``quiet``: seconds since the last commit of anybody."""
    step = _step(wal, limit, quiet)
    if step is Step.NONE or not tried.times:
        return Plan(step)
    growing = step is Step.TRUNCATE or quiet < QUIET
    pause = min(PAUSE * 2.0 ** min(tried.times - 1, 30), LONGEST_PAUSE if growing else QUIET_PAUSE)
    return Plan(step, max(0.0, pause - tried.ago))


def wake_at(wal: Wal, limit: int, *, fresh: bool = True) -> int:
    """Pages in the log with which a commit wakes whoever moves them. ``fresh``: the next commit starts the log over."""
    first = _first(wal, limit)
    return first if fresh else max(first, min(wal.pages + first // 4, OVERLAPPING))


def slow_at(wal: Wal, limit: int) -> int:
    """Pages in the log with which commits let whoever moves them come to the processor before they go on."""
    return _first(wal, limit) * 3 // 2


def _step(wal: Wal, limit: int, quiet: float) -> Step:
    if wal.bytes > limit:
        return Step.TRUNCATE
    first, left = _first(wal, limit), wal.pages - wal.moved
    if left >= max(1, first // 4):  # else each commit after the first bound would move its few pages
        if wal.pages >= OVERLAPPING:
            return Step.RESTART
        if wal.pages >= first:
            return Step.PASSIVE
    if left > 0 and quiet >= QUIET:
        return Step.PASSIVE
    if quiet >= QUIET and wal.size > NORMAL * (wal.page + FRAME):
        return Step.TRUNCATE
    return Step.NONE


def _first(wal: Wal, limit: int) -> int:
    return max(1, min(AT, limit // (2 * (wal.page + FRAME))))
