"""The queue among processes: a lock on a file of ours beside the database, in order of arrival (law 7; hole 15).

The file is ``<database>-gate``. A lock on it (`flock`) is the right to write; SQLite's own lock still decides, so whoever knows nothing of
this file can only delay others. What must hold here:

* The kernel frees the lock of a process that dies. A forked child closes its copy of the descriptor, so that it never holds what its
  parent held.
* Nobody overtakes: those who wait hold a second, shared lock (`fcntl`, on the same file), and who has just had the turn, or comes new,
  looks at that first. Linux wakes waiters of a lock in order; who passed the turn on steps back until the next one has it, because the
  lock is free until that one runs.
* Alone it costs two system calls, and none while turns follow each other closely: the lock is kept then, until somebody waits or a few
  milliseconds pass without a turn. Who finds it kept by a process that does not run goes past it after a moment, and SQLite's lock
  decides; nobody makes a checkpoint meanwhile. The second lock is looked at only for a while after somebody had to wait.
* The holder writes down who it is. That is for error messages, and nothing rests on it.

Where flock is missing there is no queue, and SQLite's lock alone decides. The second lock is used on Linux only: elsewhere the two
kinds of locks are one, and waiters may be overtaken.

Ring: shell.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from .failures import shorten

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

#: What the file's name adds to the database's.
SUFFIX = "-gate"

SIZE = 4096
LARGEST = (1 << 63) - 1
TEXT, MOST_TEXT = 128, 1024  #: where the holder's statement lies, and how much of it

#: The 64-bit words of the file: who has held the lock how often, who holds it, since when, how long the text is, when somebody waited.
#: And whether the lock is kept, and since when somebody has gone past it.
TIMES, HOLDER, SINCE, LENGTH, WAITED, KEPT, PASSED = 1, 2, 3, 4, 5, 6, 7

#: Stands for a process that cannot be named.
ELSEWHERE = -1

#: Seconds after which a lock that is still kept is gone past, and between two looks; and those in which what was kept just before is seen.
PATIENT, GLANCE, VISIBLE = 0.02, 0.001, 0.0003

#: Nanoseconds after which whoever has gone past a lock has come to an end, or was killed in it.
LONG_PAST = 60_000_000_000

#: Nanoseconds after which nobody waits any more, if nobody said so again.
FORGET = 1_000_000_000

#: Nanoseconds within which the next turn has to come for the lock to be kept meanwhile.
SOON = 2_000_000

#: Nanoseconds after the last turn for which a longer one may be followed by short ones again.
BUSY = 50_000_000

#: Seconds that who passed the turn on sleeps at a time until the next one has it, and how often at the most.
STEP, STEPS = 30e-6, 400

#: How often the lock may be found free after the next one has had it.
GAPS = 3

#: After so many steps it is looked whether the next one is a stopped process; if so, it is not waited for, for so many nanoseconds.
LOOK, DEAF = 20, 100_000_000

_FLOCK = "hhqqi4x"  #: struct flock of 64-bit Linux


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, as it wrote itself down: a process of ours."""

    pid: int
    age: float  #: seconds
    what: str


class QueueFile:
    """This process's place in the queue among processes. Its methods are called by one thread at a time, but `holder`."""

    def __init__(self, path: str, like: str) -> None:
        """Open or make ``path`` with the permissions of the file ``like``. Raises OSError where that cannot be done."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            status = os.fstat(descriptor)
            if status.st_size < SIZE or status.st_blocks * 512 < SIZE:
                _make_like(descriptor, like)
                # real blocks: on a full disk writing into a hole of a map is SIGBUS
                os.pwrite(descriptor, bytes(SIZE), 0)
            self._map = mmap.mmap(descriptor, SIZE)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._words = memoryview(self._map).cast("Q")
        if self._words[WAITED] > time.monotonic_ns():  # a file from before the last start of the machine: long ago
            self._words[WAITED] = 0
        self._pid = os.getpid()
        self.kept = False  #: the lock is ours, and nobody here has the turn
        self._past = False  # this process has its turn without the lock
        self._left = 0  # time.monotonic_ns() at the end of the last turn
        self._waited = 0  # WAITED when the lock was taken
        self._said: str | None = None  # what was last written down
        self._deaf_until = 0  # time.monotonic_ns() until which waiting processes are taken for stopped ones
        self._mine = -1  # TIMES when this process last had it

    def try_take(self, what: str) -> bool:
        """The lock, if it is free and nobody waits for it; at once."""
        if self.kept:
            self._words[KEPT] = 0  # before the look: who waits first says so, and looks at this later
            if self._words[WAITED] == self._waited:
                self.kept = False
                self.note(what)
                return True
            self.let_go()
        if time.monotonic_ns() - self._words[WAITED] < FORGET and self.others_wait():
            return False
        try:
            fcntl.flock(self._descriptor, _TRY)
        except BlockingIOError:
            return False
        self._waited = self._words[WAITED]
        self.note(what)
        return True

    def take(self) -> None:
        """Wait for the lock, behind everybody who waits already. It takes as long as it takes: for a thread that has nothing else to do."""
        words = self._words
        quiet = time.monotonic_ns() - words[WAITED] > FORGET
        words[WAITED] = time.monotonic_ns()
        if quiet:
            time.sleep(VISIBLE)  # else nobody keeps it
        gaps = 0
        for step in range(STEPS):
            waiting = self.waiter()
            if not waiting:
                break
            if words[TIMES] != self._mine:
                gaps += words[HOLDER] == 0  # the one after the next is being woken
                if words[HOLDER] or gaps > GAPS:
                    break
            if step == LOOK and waiting != ELSEWHERE and _stopped(waiting):
                self._deaf_until = time.monotonic_ns() + DEAF
                break
            time.sleep(STEP)
        if words[KEPT] and not self._take_kept():
            words[PASSED] = time.monotonic_ns()
            self._past = True
            return
        self._wait(True)
        try:
            while True:
                with suppress(InterruptedError):
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                    break
        finally:
            self._wait(False)
        self._waited = words[WAITED] = time.monotonic_ns()

    def _take_kept(self) -> bool:
        """The lock that another process keeps and has no turn with. False where it does not let go: it is stopped, or its threads are."""
        end = time.monotonic() + PATIENT
        while True:
            try:
                fcntl.flock(self._descriptor, _TRY)
            except BlockingIOError:
                if not self._words[KEPT]:
                    return True  # it has a turn again: wait for that
                if time.monotonic() > end:
                    return False
                time.sleep(GLANCE)
            else:
                return True

    @property
    def passed(self) -> bool:
        """Whether somebody writes past the lock now, because it was kept by one who does not run: no time for a checkpoint."""
        since = self._words[PASSED]
        return self._past or (since != 0 and time.monotonic_ns() - since < LONG_PAST)

    def note(self, what: str) -> None:
        """Having the lock, write down who has it, from now on, and for what."""
        words = self._words
        times = words[TIMES]
        if what is not self._said or times != self._mine:  # else it is there still
            text = what[:MOST_TEXT].encode(errors="replace")[:MOST_TEXT]
            self._map[TEXT : TEXT + len(text)] = text
            words[LENGTH] = len(text)
            self._said = what
        words[SINCE] = time.monotonic_ns()
        words[HOLDER] = self._pid
        if not self._past:
            words[KEPT] = 0
        self._mine = words[TIMES] = (times + 1) & LARGEST

    def leave(self, held: float = 0.0) -> bool:
        """The turn that took so many seconds is over: let the lock go, or keep it, because the next turn is likely to be soon.

        True where it is kept: then `look` has to be called in a while. Twice does no harm.
        """
        words, now = self._words, time.monotonic_ns()
        soon, self._left = now - self._left < SOON, now
        if soon and words[WAITED] == self._waited and not self._past:
            self.kept = True
            words[KEPT] = 1
            return True
        if held > FORGET / 2e9 and self.others_wait():  # who waits said so long ago
            words[WAITED] = now
        self.let_go()
        return False

    def let_go(self) -> None:
        """Unlock; or leave, where the turn was had past the lock."""
        words = self._words
        words[HOLDER] = 0
        if self._past:
            self._past = False
            words[PASSED] = 0
            return
        self.kept = False
        words[KEPT] = 0
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def look(self, *, busy: bool) -> bool:
        """Unlock what was kept, if nothing has come of that, or somebody waits. ``busy``: somebody here has the turn.

        Whether to look again in a while.
        """
        ago = time.monotonic_ns() - self._left
        if self.kept and (ago > SOON or self._words[WAITED] != self._waited):
            self.let_go()
        return self.kept or (busy and ago < BUSY)

    def others_wait(self) -> bool:
        """Whether another process waits for the lock now."""
        return self.waiter() != 0 and time.monotonic_ns() > self._deaf_until

    def holder(self) -> Holder | None:
        """Who holds the lock, if it is a process of ours that wrote itself down; from any thread."""
        words = self._words
        pid, since, length = words[HOLDER], words[SINCE], words[LENGTH]
        if not pid:
            return None
        text = self._map[TEXT : TEXT + min(length, MOST_TEXT)].decode(errors="replace")
        return Holder(pid, max(0, time.monotonic_ns() - since) / 1e9, text)

    def described(self) -> str:
        """Who has the lock, for messages, or who of another process is to have it next."""
        other = self.holder()
        if other is not None:
            return f"held for {other.age:.1f} s by process {other.pid} with {shorten(other.what, 80)}"
        pid = self.waiter()
        return f"though nobody holds it; process {pid} is to have it next" if pid > 0 else "though nobody holds it"

    def close(self) -> None:
        """Let go of everything."""
        self._words.release()
        self._map.close()
        os.close(self._descriptor)

    def abandon(self) -> None:
        """In a forked child: close our copies, so that the lock ends with the parent; closing takes nothing from it."""
        with suppress(OSError, BufferError, ValueError):
            self.close()

    def waiter(self) -> int:
        """Another process that waits for the lock; 0: none does; ELSEWHERE: one that cannot be named."""
        if not _SECOND_LOCK:
            return int(self._recently_waited())
        answer: bytes = fcntl.fcntl(self._descriptor, fcntl.F_GETLK, _WRITE)
        if answer[:2] == _FREE:
            return 0
        # a process of another PID namespace has no number here
        return int.from_bytes(answer[24:28], sys.byteorder) or ELSEWHERE

    def _recently_waited(self) -> bool:
        return time.monotonic_ns() - self._words[WAITED] < FORGET

    def _wait(self, waiting: bool) -> None:
        if _SECOND_LOCK:
            fcntl.fcntl(self._descriptor, fcntl.F_SETLK, _READ if waiting else _UNLOCK)


def queue_beside(path: str) -> QueueFile | None:
    """The queue for the database ``path``; None where it cannot be had, and SQLite's lock alone decides."""
    if not _LOCKS:
        return None
    with suppress(OSError):
        return QueueFile(f"{path}{SUFFIX}", path)
    return None


def _stopped(pid: int) -> bool:
    """Whether a signal or a debugger has stopped the process."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] in ("T", "t")
    return False


def _make_like(descriptor: int, like: str) -> None:
    with suppress(OSError):
        status = os.stat(like)
        os.fchmod(descriptor, status.st_mode & 0o666)
        os.fchown(descriptor, status.st_uid, status.st_gid)


_LOCKS: bool = fcntl is not None
_SECOND_LOCK = sys.platform == "linux" and struct.calcsize("P") == 8
if _LOCKS:
    _READ = struct.pack(_FLOCK, fcntl.F_RDLCK, 0, 0, 1, 0)
    _WRITE = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 1, 0)
    _UNLOCK = struct.pack(_FLOCK, fcntl.F_UNLCK, 0, 0, 1, 0)
    _TRY = fcntl.LOCK_EX | fcntl.LOCK_NB
    _FREE = struct.pack("h", fcntl.F_UNLCK)
