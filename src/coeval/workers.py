"""Worker threads: they run what must not stop an event loop, and keep no process alive.

`concurrent.futures` joins its threads when the interpreter ends, so that one slow statement would hold the exit up. These are daemon
threads, started when there is work and nobody idle, ended after some idle seconds and by `close`. The one that became idle
last works first. A forked child begins with none.

Ring: shell.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from .errors import PoolTimeoutError

log = logging.getLogger("coeval")

Call = Callable[[], object]

#: Seconds that a thread waits for work before it ends.
IDLE = 5.0

#: The priority of threads that read, as of nice(1).
NICENESS = 10

#: Threads for what is neither a read nor part of a unit.
CHORES = 8

#: Calls that may wait for a thread (law 10).
LONGEST_QUEUE = 100_000


class _Sleeper:
    """An idle thread: it is given its next call, or None to end, before it is woken."""

    __slots__ = ("call", "woken")

    def __init__(self) -> None:
        self.call: Call | None = None
        self.woken = threading.Lock()
        self.woken.acquire()


class Pool:
    """A bounded number of threads for calls that never raise."""

    def __init__(self, most: int, *, aside: bool = False) -> None:
        """At the most ``most`` threads. ``aside``: where processors are scarce they come after the event loop's."""
        self._most = most
        self._aside = aside
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque()
        self._idle: list[_Sleeper] = []
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def run(self, call: Call) -> None:
        """Have ``call`` run in a worker, soon. Returns at once; raises PoolTimeoutError where too many calls wait already."""
        if self._process != os.getpid():
            self._start_anew()
        thread = None
        with self._lock:
            self._closed = False  # whoever asks after `close` is still at work
            if self._idle:
                sleeper = self._idle.pop()
                sleeper.call = call
                sleeper.woken.release()
                return
            if len(self._calls) >= LONGEST_QUEUE:
                raise PoolTimeoutError(
                    f"{LONGEST_QUEUE} calls are waiting for a worker thread already",
                    hint="Shed load before this point, or raise `readers`.",
                )
            self._calls.append(call)
            if len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name="coeval-worker", daemon=True)
                self._threads.add(thread)
        if thread is not None:
            thread.start()

    def close(self) -> None:
        """Have every thread end when the calls given so far have run. Does not wait; `join` does."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for sleeper in idle:
            sleeper.woken.release()

    def join(self, timeout: float) -> bool:
        """Wait for every thread's end, ``timeout`` seconds at the most; the calling thread does not wait for itself."""
        end = time.monotonic() + timeout
        for thread in list(self._threads):
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in list(self._threads) if thread is not threading.current_thread())

    @property
    def count(self) -> int:
        """Threads alive now."""
        return len(self._threads)

    def _work(self) -> None:
        if self._aside:
            _step_aside()
        while (call := self._next()) is not None:
            try:
                call()
            except BaseException:
                log.exception("A worker's call failed")
            call = None  # an idle thread holds on to nothing

    def _next(self) -> Call | None:
        """The next call, after waiting for it; None where this thread has to end, and is forgotten."""
        with self._lock:
            if self._calls:
                return self._calls.popleft()
            if self._closed:
                self._threads.discard(threading.current_thread())
                return None
            sleeper = _Sleeper()
            self._idle.append(sleeper)
        if not sleeper.woken.acquire(timeout=IDLE):
            with self._lock:
                if sleeper in self._idle:
                    self._idle.remove(sleeper)
                # else it was given a call, or is to end, at this very moment
        if sleeper.call is None:
            with self._lock:
                if self._calls:  # given while it was ending
                    return self._calls.popleft()
                self._threads.discard(threading.current_thread())
        return sleeper.call


class Workers:
    """The pools of one engine. They are apart so that none waits for what only a later call in the same queue could free."""

    def __init__(self, readers: int) -> None:
        """``readers``: connections for reading at the most."""
        self.reads = Pool(readers, aside=True)  #: calls that take a reader
        self.held = Pool(
            readers + 2
        )  #: calls of those that have a reader or the turn already, which wait for SQLite alone
        self.chores = Pool(CHORES)  #: everything else, which may wait for its turn
        self.spent = 0.0  #: seconds that event loops have used for reads since they last went round

    def close(self) -> None:
        """Have the threads end when what was begun has ended."""
        for pool in self._pools:
            pool.close()

    def join(self, timeout: float) -> bool:
        """Wait for their end; False where some are left after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        ended = [pool.join(max(0.0, end - time.monotonic())) for pool in self._pools]
        return all(ended)

    @property
    def count(self) -> int:
        """Threads alive now."""
        return sum(pool.count for pool in self._pools)

    @property
    def _pools(self) -> tuple[Pool, ...]:
        return self.reads, self.held, self.chores


def _step_aside() -> None:
    """Lower the calling thread's priority, where threads have one: a loop beside slow queries wakes up sooner then."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def alone(call: Call, name: str) -> None:
    """Run ``call``, which never raises, in a thread of its own: for opening and closing, which have no workers yet or any more."""
    threading.Thread(target=call, name=name, daemon=True).start()
