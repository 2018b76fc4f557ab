"""The gate: whose turn it is to write, first come, first served, among the threads, tasks and processes of a machine (law 7).

In this process a queue of places; among processes the queue file. The turn passes straight to the next place here only while no other
process waits; else the file's lock is let go and asked for again, behind the others. What must hold here:

* State changes under the lock, and nobody waits in it; each waiter has a future of its own.
* A place is a turn, which its caller gets, or a member: a statement that whoever has the turn may run for its caller (`batch`). Members are
  taken out of order, turns never: of all that wait longer, a turn is overtaken by members alone, and by one batch of them at the most.
* Only the gate's own thread waits for the file's lock, so that callers can give up. It leads where no thread of a caller can.

Ring: shell.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic
from typing import Any

from ..errors import LockTimeoutError, ReentryError
from .attendant import Attendant
from .failures import shorten
from .place import LEAD, GateCounts, Member, Place, Turn, cure_for, tell, would_stop
from .queue_file import QueueFile

LONGEST_QUEUE = 10_000  #: waiters at the most (law 10)
WATCH = 0.005  #: seconds between two looks at a lock that is kept


class Gate:
    """A fair queue of those that want to write to one file."""

    def __init__(self, file: Callable[[], QueueFile | None] = lambda: None, foreigner: Callable[[], str] = str) -> None:
        """``file`` opens the queue among processes, with the first turn. ``foreigner`` names the program that has SQLite's lock."""
        self._lock = threading.Lock()
        self._open_file: Callable[[], QueueFile | None] | None = file
        self._file: QueueFile | None = None
        self._foreigner = foreigner
        #: makes a batch from a member on that no thread waits for, having the turn; never raises
        self.lead: Callable[[Member], None] | None = None
        self._waiting: deque[Place] = deque()
        self._holder: Place | None = None
        self._coming = False  # the gate's thread waits for the file's lock, or leads
        self._thread = Attendant("coeval-gate", self._attend)
        self._watching = False  # the gate's thread sees to it that a lock that is kept is let go
        self._led: Member | None = None  # for the gate's thread to lead
        self.counts = GateCounts()

    # -- for threads --------------------------------------------------------------------------------------------------

    def enter(self, what: str, timeout: float) -> Turn:
        """`take` a turn for ``what``."""
        turn = Turn(what)
        try:
            self.take(turn, timeout)
        except BaseException:
            self.drop(turn)
            raise
        return turn

    def has(self, place: Place) -> bool:
        """Whether it is the turn of ``place`` now: an exception may hit whoever asked for it at any moment."""
        return self._holder is place

    def drop(self, place: Place) -> None:
        """Whoever asked for ``place`` was interrupted: it is given up, and its turn passed on if it had come. Twice does no harm."""
        with self._lock:
            if place.future is not None and place.future.cancel():
                with suppress(ValueError):
                    self._waiting.remove(place)
            elif isinstance(place, Member):
                place.leads = False  # it has begun; if it is put back, the gate's thread makes it
        if self._holder is place:
            self.leave()

    def take(self, turn: Turn, timeout: float, *, first: bool = False) -> None:
        """Wait for ``turn``, at the most ``timeout`` seconds.

        Raises LockTimeoutError naming the holder; the place in the queue is given up then. Raises ReentryError where a task of
        the caller's own event loop has the turn, or a call that this one is made from: waiting would stop what has to end it.
        An interrupt may leave it with the turn, which `has` tells.
        """
        if not self._enter(turn, first=first):
            self._wait(turn, timeout)

    def try_enter(self, what: str) -> Turn | None:
        """The turn, if nobody has or wants it; else None at once."""
        turn = Turn(what)
        try:
            return turn if self.at_once(turn) else None
        except BaseException:
            self.drop(turn)
            raise

    def at_once(self, place: Place) -> bool:
        """Whether ``place`` has the turn now, because nobody had or wanted it; else nothing has happened."""
        with self._lock:
            return self._at_once(place)

    def join(self, member: Member, timeout: float) -> Any:
        """Wait until ``member`` was made by another's batch, and give its result or raise its error; or LEAD: then it has the turn.

        Raises as `take`, where it was not begun; one that has begun is waited for to its end.
        """
        return LEAD if self._enter(member) else self._wait(member, timeout)

    # -- for those who must not wait ------------------------------------------------------------------------------------

    def ask(self, what: str) -> Future[Turn]:
        """A turn, by a future that is told in any thread. Cancelling it gives the place up; once granted, `leave` ends it.

        Raises LockTimeoutError where the queue is full.
        """
        turn, future = Turn(what), Future[Turn]()
        turn.future = future
        if self._enter(turn):
            with self._lock:  # in one step for `_grant_again`
                future.set_running_or_notify_cancel()
                future.set_result(turn)
        return future

    def submit(self, member: Member) -> Future[Any]:
        """A member's result, by a future. Cancelling drops one that has not begun. The gate's thread leads where nobody else does."""
        future = member.future = Future[Any]()
        member.loop, member.ident = None, 0  # the gate's thread will make it, and nobody stands still for it
        if self._enter(member):
            future.set_running_or_notify_cancel()
            self._let_lead(member)
        return future

    def late(self, what: str, timeout: float) -> LockTimeoutError:
        """The error for one who has waited for ``timeout`` seconds in vain, naming the holder."""
        with self._lock:
            said, cure = self._described(), cure_for(self._holder)
            self.counts.wait(timeout)
        if foreigner := self._foreigner():
            said += f", and SQLite's own lock is held by {foreigner}"
        return LockTimeoutError(
            f"The turn to write did not come in {timeout:g} s for {shorten(what, 80)}, {said}",
            hint=cure,
        )

    # -- for whoever has the turn ---------------------------------------------------------------------------------------

    def mates(self, members: int, rows: int, into: list[Member]) -> list[Member]:
        """Waiting members to make together with one's own, in their order, at the most so many, and of so many rows.

        They are added to ``into`` one by one, and stay in the queue until all are, so that none is lost to an interrupt.
        """
        taken: list[Member] = []
        if not self._waiting:
            return taken
        with self._lock:
            stay: deque[Place] = deque()
            for place in self._waiting:
                if not isinstance(place, Member) or len(taken) >= members or (rows <= 0 and taken):
                    stay.append(place)
                elif place.begin():
                    into.append(place)
                    taken.append(place)
                    rows -= place.rows
            self._waiting = stay
            for member in taken:
                self._count_wait(member)
        return taken

    def put_back(self, members: list[Member]) -> None:
        """Members that were taken and not made are the first to come, in their order. Twice does no harm while one has the turn."""
        with self._lock:
            waiting = set(self._waiting)
            for member in reversed(members):
                if member not in waiting:
                    member.handed = False
                    self._waiting.appendleft(member)

    def leave(self) -> None:
        """Pass the turn to the one who has waited longest. Whoever is interrupted in this may do it again, if it still `has` it."""
        try:
            place = self._pass_on()
            if place is not None:
                self._grant(place)
        except BaseException:
            self._grant_again()
            raise

    @property
    def queue(self) -> int:
        """How many wait now, in this process."""
        return len(self._waiting)

    @property
    def passed(self) -> bool:
        """Whether another process may have the turn at the same time (`QueueFile.passed`)."""
        return self._file is not None and self._file.passed

    @property
    def idle(self) -> bool:
        """True when nobody has or wants the turn."""
        return self._holder is None and not self._waiting and not self._coming

    def close(self) -> None:
        """Nobody asks any more: end the thread, and let go of the queue file."""
        with self._lock:
            file, self._file = self._file, None
        self._thread.end()
        if file is not None:
            file.close()

    def stay_here(self) -> None:
        """Nothing will be written any more."""
        self._open_file = None

    def abandon(self) -> None:
        """In a forked child."""
        if self._file is not None:
            self._file.abandon()

    def _enter(self, place: Place, *, first: bool = False) -> bool:
        """Whether ``place`` has the turn at once; else it stands in the queue."""
        with self._lock:
            if self._at_once(place):
                return True
            holder = self._holder
            if holder is not None or self._waiting or self._coming:
                self._refuse(place, holder)
            if place.future is None:
                place.future = Future()
            if first:
                self._waiting.appendleft(place)
            else:
                self._waiting.append(place)
            if holder is None and not self._coming:
                self._send_for_file()
        return False

    def _at_once(self, place: Place) -> bool:
        """Under the lock: whether ``place`` has the turn now, because nobody has or wants it."""
        if self._holder is not None or self._waiting or self._coming:
            return False
        self._holder = place  # before the file's lock, so that it is known whose that is, if an interrupt comes
        file = self._file
        if file.try_take(place.what) if file is not None else self._open(place):
            self.counts.turns += 1
            return True
        self._holder = None
        return False

    def _refuse(self, place: Place, holder: Place | None) -> None:
        if holder is not None and (reason := would_stop(place, holder)) is not None:
            raise ReentryError(f"The turn to write is {self._described()}{reason.what}", hint=reason.cure)
        if len(self._waiting) >= LONGEST_QUEUE:
            self._waiting = deque(one for one in self._waiting if one.future is None or not one.future.cancelled())
        if len(self._waiting) >= LONGEST_QUEUE:
            raise LockTimeoutError(
                f"{LONGEST_QUEUE} writes are waiting already, {self._described()}",
                hint="Write in larger transactions, or shed load before this point.",
            )

    def _open(self, place: Place) -> bool:
        if self._open_file is not None:
            self._file, self._open_file = self._open_file(), None
        return self._file is None or self._file.try_take(place.what)

    def _wait(self, place: Place, timeout: float) -> Any:
        future = place.future
        assert future is not None
        try:
            return future.result(max(0.0, timeout - (monotonic() - place.asked)))
        except BaseException as error:  # a time-out, the waiting thread was interrupted, or the member's own error
            if future.done() and not future.cancelled() and future.exception() is error:
                raise
            with self._lock:
                given_up = future.cancel()
                if given_up or self._holder is place:
                    with suppress(ValueError):
                        self._waiting.remove(place)
            late = isinstance(error, TimeoutError)
            if late and given_up:
                raise self.late(place.what, timeout) from None
            if self._holder is place:  # granted just now, though it may not have been told
                if late:
                    return LEAD
                self.leave()
            elif late:  # it has begun
                return future.result()
            raise

    def _pass_on(self) -> Place | None:
        """The place that has the turn from now on, for `_grant`; None where nobody has it yet."""
        with self._lock:
            holder = self._holder
            held = 0.0 if holder is None else monotonic() - holder.since
            file, place = self._file, None
            if not self._waiting:
                if file is not None and file.leave(held) and not self._watching:
                    self._thread.wake()
                self._holder = None
            elif file is not None and file.others_wait():
                self._coming = True  # this and the next line are one step for an interrupt
                self._holder = None
                file.let_go()
                self._thread.wake()
            else:
                place = self._next()
            self.counts.held += held
            self.counts.longest_hold = max(self.counts.longest_hold, held)
            return place

    def _next(self) -> Place | None:
        """The place that has the turn from now on; its future cannot be cancelled any more. None where all have given up."""
        while self._waiting:
            place = self._waiting[0]
            if place.begin():
                self._holder = place
                self._waiting.popleft()
                self._count_wait(place)
                self.counts.turns += 1
                if self._file is not None:
                    self._file.note(place.what)
                return place
            self._waiting.popleft()
        if self._file is not None:
            self._file.let_go()
        self._holder = None
        return None

    def _count_wait(self, place: Place) -> None:
        place.since = monotonic()
        self.counts.wait(place.since - place.asked)

    def _grant(self, place: Place) -> None:
        """Tell ``place`` that it has the turn. Twice does no harm."""
        assert place.future is not None
        if isinstance(place, Member) and not place.leads:
            self._let_lead(place)
        else:
            tell(place.future, LEAD if isinstance(place, Member) else place)

    def _grant_again(self) -> None:
        """An interrupt came while the turn was passed on: whoever has it by now hears of it, perhaps for the second time."""
        with self._lock:
            if self._coming:
                self._thread.wake()
            place = self._holder
            if place is None or (future := place.future) is None or not (future.running() or future.done()):
                return
            with suppress(ValueError):
                self._waiting.remove(place)
        self._grant(place)

    # -- the gate's thread ----------------------------------------------------------------------------------------------

    def _send_for_file(self) -> None:
        """Under the lock: have the gate's thread wait for the file's lock."""
        self._coming = True
        self._thread.wake()

    def _let_lead(self, member: Member) -> None:
        """``member`` has the turn, and no thread. Twice does no harm."""
        with self._lock:
            if not member.handed:
                self._led = member
                self._thread.wake()

    def _attend(self) -> float | None:
        with self._lock:
            member, self._led = self._led, None
            if member is not None:
                member.handed = True
            coming = self._coming
        if coming:
            self._come()
        if member is not None and self.lead is not None:
            member.ident = threading.get_ident()
            self.lead(member)
        with self._lock:
            self._watching = self._file is not None and self._file.look(busy=self._holder is not None)
            return WATCH if self._watching else None

    def _come(self) -> None:
        """Get the file's lock, and give the turn to whoever has waited longest here."""
        if self._file is not None:
            self._file.take()
        with self._lock:
            self._coming = False
            place = self._next()
        if place is not None:
            self._grant(place)

    def _described(self) -> str:
        if self._holder is not None:
            return self._holder.described(os.getpid())
        return "though nobody holds it" if self._file is None else self._file.described()
