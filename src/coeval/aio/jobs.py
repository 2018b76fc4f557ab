"""Where loops and threads meet: a call in a worker, awaited; and futures of the gate and of batches, awaited.

Whoever awaits may be cancelled at any moment, and a loop may be closed while threads still work for it. What must hold here:

* A cancelled read is interrupted on the connection that it uses, as long as it uses it, and never later: the next borrower is not hit.
* What a call has made for somebody who is gone (a turn, a transaction, a snapshot) is undone by the thread that made it.
* Results for a closed loop are dropped.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

import apsw

from ..sqlite.connection import Connection
from ..sqlite.readers import Readers
from ..unit import current
from ..workers import Pool

T = TypeVar("T")

#: Seconds after which a statement that went on is interrupted again: it may not have begun the first time.
AGAIN = 0.005


class DroppedError(Exception):
    """Nobody waits for this call any more."""


class Job:
    """One call in a worker: the connection that it uses at this moment, and whether anybody waits for it."""

    __slots__ = ("_connection", "_lock", "_since", "begun", "dropped", "outcome", "seconds")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._since = 0.0
        self.begun = False
        self.dropped = False
        self.outcome: tuple[Any, BaseException | None] | None = None
        self.seconds = 0.0  #: of processor time that its statements have used

    def begin(self) -> bool:
        """False where nobody waits any more; else it has begun."""
        with self._lock:
            self.begun = not self.dropped
            return self.begun

    def hold(self, connection: Connection) -> None:
        """From now on an interruption interrupts ``connection``. Raises DroppedError where it came before."""
        with self._lock:
            if self.dropped:
                raise DroppedError
            self._connection = connection
        connection.gentle = True
        self._since = time.thread_time()

    def let_go(self) -> None:
        """From now on the connection, if there is one, is another's."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.gentle = False
            self.seconds += time.thread_time() - self._since

    def finish(self, outcome: tuple[Any, BaseException | None]) -> bool:
        """The call has ended; True where somebody waits for ``outcome``, which is kept only then."""
        with self._lock:
            if not self.dropped:
                self.outcome = outcome
            return not self.dropped

    def drop(self) -> bool:
        """Nobody waits any more: interrupt what runs. True where something ran, and may go on."""
        with self._lock:
            self.dropped = True
            if self._connection is None:
                return False
            with suppress(apsw.Error):
                self._connection.raw.interrupt()
            return True


class Held:
    """The readers of a store, for one job: what it borrows can be interrupted."""

    __slots__ = ("_job", "_readers")

    def __init__(self, readers: Readers, job: Job) -> None:
        self._readers = readers
        self._job = job

    def take(self) -> Connection:
        return self._noted(self._readers.take())

    def hold(self) -> Connection:
        return self._noted(self._readers.hold())

    def give_back(self, connection: Connection) -> None:
        self._job.let_go()
        self._readers.give_back(connection)

    def give_back_doubtful(self, connection: Connection) -> None:
        self._job.let_go()
        self._readers.give_back_doubtful(connection)

    def let_go(self, connection: Connection) -> None:
        self._job.let_go()
        self._readers.let_go(connection)

    def discard(self, connection: Connection) -> None:
        self._job.let_go()
        self._readers.discard(connection)

    def _noted(self, connection: Connection) -> Connection:
        try:
            self._job.hold(connection)
        except DroppedError:
            if connection.held:
                self._readers.let_go(connection)
            else:
                self._readers.give_back(connection)
            raise
        return connection


async def in_worker(
    pool: Pool,
    call: Callable[[Job], T],
    undo: Callable[[T], object] | None = None,
    unbegun: Callable[[], object] | None = None,
) -> T:
    """What ``call(job)`` gives or raises, run by a thread of ``pool`` in the caller's context, outside the caller's units.

    Cancelled before it has begun, it is dropped; later, the statement that it runs on a connection held by ``job`` is
    interrupted. The caller leaves at once; what ``call`` still returns is given to ``undo``, in a worker. ``unbegun`` is called
    where it is dropped.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    job = Job()
    context = copy_context()
    context.run(current.set, None)

    def run() -> None:
        if not job.begin():
            return
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = context.run(call, job), None
        except BaseException as error:  # for the caller to see, whatever it is
            outcome = None, error
        try:
            if job.finish(outcome):
                try:
                    loop.call_soon_threadsafe(_settle, waiter, outcome)
                    return
                except RuntimeError:  # the loop is closed
                    pass
            if undo is not None and outcome[1] is None:
                undo(outcome[0])
        finally:
            del outcome  # an error holds this frame, which would hold the error, and what the call had in its hands

    try:
        pool.run(run)
        value, error = await waiter
    except BaseException:
        if job.drop():
            _drop_again(loop, job)
        elif not job.begun:
            if unbegun is not None:
                unbegun()
        elif undo is not None and job.outcome is not None and job.outcome[1] is None:
            made = job.outcome[0]
            pool.run(lambda: undo(made))
        raise
    if error is not None:
        try:
            raise error
        finally:
            del error
    return value  # type: ignore[no-any-return]


def _settle(waiter: asyncio.Future[Any], outcome: object) -> None:
    if not waiter.done():
        waiter.set_result(outcome)


def _drop_again(loop: asyncio.AbstractEventLoop, job: Job) -> None:
    def again() -> None:
        if job.drop():
            _drop_again(loop, job)

    with suppress(RuntimeError):  # closed
        loop.call_later(AGAIN, again)


async def surely(pool: Pool, call: Callable[[], T]) -> T:
    """What ``call`` gives or raises, run by a thread of ``pool`` whatever becomes of the caller; nothing interrupts it."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    future.set_running_or_notify_cancel()
    pool.run(run)
    return await settled(future)


async def settled(
    future: Future[T],
    timeout: float | None = None,  # noqa: ASYNC109 - its end has a meaning of its own
    late: Callable[[], Exception] = TimeoutError,
    undo: Callable[[T], object] | None = None,
) -> T:
    """The result of ``future``, which another thread settles. After ``timeout`` seconds, if it has not begun, ``late()`` is raised.

    Cancelled before it has begun it is dropped; later it goes on, and ``undo`` is called with its result, in the thread that gives it.
    """
    if future.done():
        return future.result()
    loop = asyncio.get_running_loop()
    ear = _Ear(loop, undo)
    future.add_done_callback(ear.tell)
    timer = None if timeout is None else loop.call_later(timeout, ear.wake)
    try:
        await ear.listen()
        if not future.done():
            if future.cancel():
                raise late()
            await ear.listen()
        return future.result()
    except BaseException as error:
        own = future.done() and not future.cancelled() and future.exception() is error
        if not own and not future.cancel():
            future.add_done_callback(ear.undo)
        raise
    finally:
        if timer is not None:
            timer.cancel()


class _Ear:
    """What a future of another thread tells a task. It lets go of the task when it has told: the future may live on, the task may not."""

    def __init__(self, loop: asyncio.AbstractEventLoop, undo: Callable[[Any], object] | None) -> None:
        self._loop = loop
        self._undo = undo
        self._lock = threading.Lock()
        self._told = False
        self._waiter: asyncio.Future[None] | None = None

    async def listen(self) -> None:
        """Wait until it is told, or woken."""
        with self._lock:
            if self._told:
                return
            waiter = self._waiter = self._loop.create_future()
        await waiter

    def wake(self) -> None:
        """On the loop: go on."""
        with self._lock:
            waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def tell(self, future: Future[Any]) -> None:
        """In any thread: ``future`` is settled. Where the loop is closed, nobody hears of it any more."""
        with self._lock:
            self._told = True
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            try:
                self._loop.call_soon_threadsafe(_settle, waiter, None)
            except RuntimeError:
                self.undo(future)

    def undo(self, future: Future[Any]) -> None:
        """Nobody wants what ``future`` gives; said once or twice."""
        with self._lock:
            undo, self._undo = self._undo, None
        if undo is not None and not future.cancelled() and future.exception() is None:
            undo(future.result())
