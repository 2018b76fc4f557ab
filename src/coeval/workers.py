"""Worker threads: they run what must not stop an event loop, and keep no process alive.

`concurrent.futures` joins its threads when the interpreter ends, so that one slow statement would hold the exit up. These are daemon
threads, started when there is work and nobody idle, ended after some idle seconds and by `close`. The one that became idle
last works first. A forked child begins with none.

Ring: shell.
"""

from __future__ import annotations

import logging
import os
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

#: Threads for what is neither a read nor part of a unit.
CHORES = 8

#: Seconds after which a call that still runs holds no other up.
LONG = 0.25

#: Calls that may wait for a thread (law 10).
LONGEST_QUEUE = 100_000


class Pool:
    """A bounded number of threads for calls that never raise."""

    def __init__(self, most: int, at_once: int | None = None) -> None:
        """At the most ``most`` threads.

        ``at_once``: so many calls run at the same time, apart from those that have run for longer than LONG.
        """
        self._most = most
        self._at_once = at_once or most
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque()
        self._begun: dict[threading.Thread, float] = {}  # when each call that runs began
        self._idle: list[threading.Lock] = []  # what idle threads sleep on; the last one slept last
        self._watched = False  # a thread sleeps until the oldest call has run for LONG
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def run(self, call: Call) -> None:
        """Have ``call`` run in a worker, soon. Returns at once; raises PoolTimeoutError where too many calls wait already."""
        if self._process != os.getpid():
            self._start_anew()
        with self._lock:
            self._closed = False  # whoever asks after `close` is still at work
            if len(self._calls) >= LONGEST_QUEUE:
                raise PoolTimeoutError(
                    f"{LONGEST_QUEUE} calls are waiting for a worker thread already",
                    hint="Shed load before this point, or raise `readers`.",
                )
            self._calls.append(call)
            thread = self._rouse()
        if thread is not None and not self._start(thread):
            with self._lock, suppress(ValueError):
                self._calls.remove(call)
                raise RuntimeError("No thread can be started, and none is there to run this call")

    def close(self) -> None:
        """Have every thread end when the calls given so far have run. Does not wait; `join` does."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            self._wake_all()

    def join(self, timeout: float) -> bool:
        """Wait for every thread's end, ``timeout`` seconds at the most; the calling thread does not wait for itself."""
        end = time.monotonic() + timeout
        if self._process != os.getpid():
            return True
        while others := [one for one in list(self._threads) if one is not threading.current_thread() and _lives(one)]:
            left = end - time.monotonic()
            if left <= 0:
                return False
            if others[0].ident is None:  # about to be started
                time.sleep(min(left, 0.001))
            else:
                others[0].join(left)
        return True

    @property
    def count(self) -> int:
        """Threads alive now."""
        return len(self._threads)

    def _rouse(self) -> threading.Thread | None:
        """Have one more thread look at the calls, where that is of use; a new one is for the caller to start, without the lock."""
        if self._watched and self._full_for(time.monotonic()) > 0:
            return None
        if self._idle:
            self._idle.pop().release()
        elif len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name="coeval-worker", daemon=True)
            self._threads.add(thread)
            return thread
        return None  # each looks when its call has ended

    def _start(self, thread: threading.Thread) -> bool:
        """False where the system has no thread left, and there is no other to do its work."""
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._threads.discard(thread)
                return any(one.ident is not None for one in self._threads)
        return True

    def _wake_all(self) -> None:
        while self._idle:
            self._idle.pop().release()

    def _full_for(self, now: float) -> float:
        """Seconds until one more call may run, though none of those that run ends before; 0 where it may run now."""
        counting = [begun for begun in self._begun.values() if now - begun < LONG]
        return 0.0 if len(counting) < self._at_once else min(counting) + LONG - now

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except BaseException:
                log.exception("A worker's call failed")
            call = None  # an idle thread holds on to nothing

    def _next(self) -> Call | None:
        """The next call, after waiting for it; None where this thread has to end, and is forgotten."""
        me = threading.current_thread()
        with self._lock:
            self._begun.pop(me, None)
        slept = True
        while True:
            with self._lock:
                now = time.monotonic()
                full = self._full_for(now)
                if self._calls and full <= 0:
                    self._begun[me] = now
                    call = self._calls.popleft()
                    thread = self._rouse() if self._calls else None
                    break
                if not self._calls and (self._closed or not slept):
                    self._threads.discard(me)
                    if self._closed:  # those that slept while the last calls ran
                        self._wake_all()
                    return None
                watching = bool(self._calls) and not self._watched
                self._watched = self._watched or watching
                sleep = threading.Lock()
                sleep.acquire()
                self._idle.append(sleep)
            slept = sleep.acquire(timeout=full if watching else IDLE)
            with self._lock:
                self._watched = self._watched and not watching
                if sleep in self._idle:
                    self._idle.remove(sleep)
                slept = slept or watching
        if thread is not None:
            self._start(thread)
        return call


class Workers:
    """The pools of one engine. They are apart so that none waits for what only a later call in the same queue could free."""

    def __init__(self, readers: int) -> None:
        """``readers``: connections for reading at the most."""
        #: calls that take a reader: a processor is left to the event loop, where there are several
        self.reads = Pool(readers, at_once=max(1, processors() - 1))
        #: calls of those that have a reader or the turn already, which wait for SQLite alone
        self.held = Pool(readers + 2)
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


def _lives(thread: threading.Thread) -> bool:
    return thread.ident is None or thread.is_alive()  # about to be started, or not at its end


def processors() -> int:
    """How many processors this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def alone(call: Call, name: str) -> None:
    """Run ``call``, which never raises, in a thread of its own: for opening and closing, which have no workers yet or any more."""
    threading.Thread(target=call, name=name, daemon=True).start()
