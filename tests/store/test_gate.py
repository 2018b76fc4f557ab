"""The gate in one process: turns in order of arrival for whoever asks, in whatever way, and never a turn lost (law 7)."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coeval
from coeval import errors
from coeval.sqlite import attendant
from coeval.sqlite.gate import Gate
from coeval.sqlite.place import LEAD, Member, Turn
from coeval.sqlite.queue_file import queue_beside
from store.behind import PATIENCE, Caller, attendants, eventually, gate_of, held, learn, outcome, queue_up

from interrupting import OURS, interrupted_at


@pytest.fixture(params=["alone", "with a file"])
def gate(request, path):
    """A gate without and with the queue among processes."""
    path.touch()
    gate = Gate() if request.param == "alone" else Gate(lambda: queue_beside(str(path)))
    yield gate
    eventually(lambda: gate.idle)
    gate.close()


def known(statement):
    """A statement that was analysed."""
    assert statement is not None
    return statement


def _waiting(gate, count):
    return gate.queue == count


def test_a_wait_in_vain_is_counted(gate):
    """Whoever gives up has waited all the same, in a thread or by a future."""
    with held_by("the holder", gate):
        with pytest.raises(errors.LockTimeoutError):
            gate.enter("in vain", 0.05)
        assert 0.05 <= gate.counts.waited == gate.counts.longest_wait
        asked = gate.ask("in vain, too")
        assert asked.cancel()
        assert isinstance(gate.late("in vain, too", 0.25), errors.LockTimeoutError)
        assert 0.3 <= gate.counts.waited < 5


def test_a_free_turn_is_had_at_once(gate):
    """`enter` waits for nothing; `try_enter` and `ask` get it, too."""
    turn = gate.enter("one", 0.0)
    assert gate.has(turn)
    assert None is gate.try_enter("two")
    gate.leave()
    assert gate.idle
    two = gate.try_enter("two")
    assert two is not None
    assert gate.has(two)
    gate.leave()
    future = gate.ask("three")
    assert future.done()
    assert gate.has(future.result())
    gate.leave()
    if gate._file is None:  # else it may be there for a lock that is kept
        assert gate.idle


def test_first_come_first_served_in_every_way(gate):
    """Threads that wait and futures of those who must not are one queue; `first` goes before them."""
    order = []
    gate.enter("the holder", 1)

    def enter(name):
        gate.enter(name, PATIENCE)
        order.append(name)
        gate.leave()

    def first(name):
        gate.take(Turn(name), PATIENCE, first=True)
        order.append(name)
        gate.leave()

    def ask(name):
        def granted(future):
            order.append(future.result().what)
            gate.leave()

        gate.ask(name).add_done_callback(granted)

    callers = []
    for n in range(12):
        if n % 2:
            ask(f"{n}")
        else:
            callers.append(Caller(partial(enter, f"{n}")))
        eventually(partial(_waiting, gate, n + 1))
    callers.append(Caller(lambda: first("before all")))
    eventually(lambda: gate.queue == 13)
    assert None is gate.try_enter("not before those who wait")
    gate.leave()
    for caller in callers:
        assert None is caller.ended()
    eventually(lambda: len(order) == 13)
    assert ["before all", *(f"{n}" for n in range(12))] == order


def test_an_ask_cancelled_while_it_waits(gate):
    """Its place is given up; those behind it move up."""
    gate.enter("the holder", 1)
    futures = [gate.ask(f"{n}") for n in range(3)]
    assert futures[0].cancel()
    assert futures[1].cancel()
    gate.leave()
    assert "2" == futures[2].result(PATIENCE).what
    assert gate.has(futures[2].result())
    gate.leave()


def test_an_ask_cancelled_when_it_was_granted(gate):
    """Too late: it has the turn, and has to leave it; that passes it on."""
    gate.enter("the holder", 1)
    future, behind = gate.ask("asked"), gate.ask("behind")
    gate.leave()
    future.result(PATIENCE)
    assert not future.cancel()
    assert not behind.done()
    gate.leave()
    assert "behind" == behind.result(PATIENCE).what
    gate.leave()


def test_cancelling_at_the_very_moment_of_the_grant(gate, scaled):
    """Whoever wins, the turn is held by exactly one, or free; it is never lost."""
    for _ in range(scaled(20_000, 500)):
        gate.enter("the holder", 1)
        future = gate.ask("asked")
        barrier = threading.Barrier(2)
        cancelled: list[Any] = []

        def cancel(future=future, barrier=barrier, cancelled=cancelled):
            barrier.wait()
            cancelled.append(future.cancel())

        caller = Caller(cancel)
        barrier.wait()
        gate.leave()
        caller.ended()
        if not cancelled[0]:
            assert gate.has(future.result(PATIENCE))
            gate.leave()
        eventually(lambda: gate.idle)


def test_a_time_out_of_nothing(gate):
    """With no time to wait, a turn that is not free is refused at once, naming who has it."""
    with held_by("the holder", gate), pytest.raises(errors.LockTimeoutError, match="the holder"):
        gate.enter("impatient", 0.0)
    assert 0 == gate.queue


class held_by:  # noqa: N801 - read as a phrase
    """Another thread has the turn."""

    def __init__(self, name, gate):
        self.name, self.gate = name, gate

    def __enter__(self):
        self.leave, entered = threading.Event(), threading.Event()

        def hold():
            self.gate.enter("held", PATIENCE)
            entered.set()
            self.leave.wait(PATIENCE)
            self.gate.leave()

        self.caller = Caller(hold, name=self.name)
        entered.wait(PATIENCE)

    def __exit__(self, *_):
        self.leave.set()
        self.caller.ended()


def test_what_a_late_one_is_told(gate):
    """For those who keep their own time: the same words as `enter` would raise."""
    with held_by("the slow one", gate):
        future = gate.ask("mine")
        assert future.cancel()
        said = gate.late("INSERT INTO\n  t", 3.5)
        assert isinstance(said, errors.LockTimeoutError)
        for part in ("in 3.5 s", "for INSERT INTO t", "by the slow one", f"process {os.getpid()}", "with held"):
            assert part in said.message
    assert "nobody holds it" in gate.late("mine", 1).message


def test_its_thread_ends_by_itself(path, monkeypatch):
    """It is there while something waits for the file or has no thread of its own, and gone a while after; then it comes again."""
    monkeypatch.setattr(attendant, "PATIENCE", 0.02)
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        learn(db, "INSERT INTO t VALUES (1)")
        store = db._engine.store()
        statement = store.statements.sharable("INSERT INTO t VALUES (1)")
        for _ in range(3):
            assert 1 == store.batches.submit(known(statement), ()).result(PATIENCE).rowcount
            eventually(lambda: not attendants())
        assert 3 == db.scalar("SELECT count(*) FROM t")


def test_its_thread_ends_with_the_database(path, monkeypatch):
    """Closing does not leave it behind, however long it would stay."""
    monkeypatch.setattr(attendant, "PATIENCE", 100.0)
    eventually(lambda: not attendants())
    db = coeval.open(path)
    db.script("CREATE TABLE t(x)")
    learn(db, "INSERT INTO t VALUES (1)")
    store = db._engine.store()
    store.batches.submit(known(store.statements.sharable("INSERT INTO t VALUES (1)")), ()).result(PATIENCE)
    (thread,) = attendants()
    assert thread.daemon
    db.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_close_while_others_wait(path):
    """Futures and threads that wait when the database is closed are told: a result, or that it is closed or replaced; none hangs."""
    db = coeval.open(path, timeout=1)
    db.script("CREATE TABLE t(x)")
    sql = "INSERT INTO t VALUES (?)"
    learn(db, sql)
    store = db._engine.store()
    gate = store.writer.gate
    gate.enter("the holder", 1)
    callers = queue_up(db, [lambda: db.execute(sql, 1), lambda: db.script("INSERT INTO t VALUES (2)")])
    futures: list[Any] = [store.batches.submit(known(store.statements.sharable(sql)), (3,)), gate.ask("asked")]
    closing = Caller(db.close)
    eventually(lambda: gate.queue == 5 or not closing.is_alive())
    gate.leave()
    told = futures[1].result(PATIENCE)
    assert gate.has(told)
    with pytest.raises((errors.Error, coeval.sqlite.readers.Retired)):
        store.writer.begin_held(told)
    found = outcome(futures[0])
    assert not isinstance(found, BaseException) or type(found).__name__ == "Retired", found
    for caller in callers:
        found = caller.ended()
        assert found is None or not isinstance(found, BaseException) or isinstance(found, errors.ClosedError), found
    assert None is closing.ended()
    eventually(lambda: gate.idle)


@pytest.mark.parametrize("how", ["execute", "executemany", "script", "transaction", "write", "vacuum"])
def test_waiting_for_ones_own_loop_is_refused(path, how):
    """A task that awaits in a blocking transaction, and another that would stop the loop by waiting for it: an error at once."""
    calls = {
        "execute": lambda db: db.execute("INSERT INTO t VALUES (1)"),
        "executemany": lambda db: db.executemany("INSERT INTO t VALUES (?)", [(1,)]),
        "script": lambda db: db.script("INSERT INTO t VALUES (1)"),
        "transaction": lambda db: db.transaction().__enter__(),
        "write": lambda db: db.write(lambda tx: tx.execute("INSERT INTO t VALUES (1)")),
        "vacuum": lambda db: db.vacuum(),
    }
    with coeval.open(path, timeout=5) as db:
        db.script("CREATE TABLE t(x)")
        learn(db, "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (?)")

        async def main():
            inside, leave = asyncio.Event(), asyncio.Event()

            async def holds():
                with db.transaction():
                    inside.set()
                    await leave.wait()

            task = asyncio.create_task(holds())
            await inside.wait()
            began = time.monotonic()
            try:
                with pytest.raises(errors.ReentryError, match="event loop"):
                    calls[how](db)
            finally:
                leave.set()
                await task
            assert time.monotonic() - began < 4

        asyncio.run(main())
        assert gate_of(db).idle
        assert 1 == db.execute("INSERT INTO t VALUES (1)").rowcount


def test_another_threads_loop_may_wait(path):
    """It is not the loop that matters but whether waiting stops the holder: a loop in another thread just waits."""
    with coeval.open(path, timeout=PATIENCE) as db:
        db.script("CREATE TABLE t(x)")

        async def write():
            db.execute("INSERT INTO t VALUES (1)")

        with held(db) as leave:
            (caller,) = queue_up(db, [lambda: asyncio.run(write())])
            leave.set()
            assert None is caller.ended()


def test_waits_and_holds_are_told_apart(gate):
    """Turns, the seconds waited for them, and the seconds they lasted, each summed, and the longest of each."""
    began = time.monotonic()
    gate.enter("the holder", 1)
    future = gate.ask("asked")
    time.sleep(0.02)
    gate.leave()
    future.result(PATIENCE)
    gate.leave()
    whole = time.monotonic() - began
    counts = gate.counts
    assert 2 == counts.turns
    assert 0.015 <= counts.longest_wait <= counts.waited <= whole
    assert 0.02 <= counts.longest_hold <= counts.held <= whole + 0.01


@given(steps=st.lists(st.tuples(st.sampled_from(["ask", "cancel", "leave", "try"]), st.integers(0, 5)), max_size=40))
def test_against_a_model(steps):
    """Any order of asking, giving up and leaving: it is always the turn of the one whom a plain list says."""
    gate = Gate()
    waiting: deque[int] = deque()
    futures: dict[int, Any] = {}
    holder: int | None = None
    for number, (step, which) in enumerate(steps):
        if step == "ask":
            futures[number] = gate.ask(f"{number}")
            if holder is None:
                holder = number
            else:
                waiting.append(number)
        elif step == "cancel" and waiting:
            given_up = waiting[which % len(waiting)]
            assert futures[given_up].cancel()
            waiting.remove(given_up)
        elif step == "leave" and holder is not None:
            gate.leave()
            holder = waiting.popleft() if waiting else None
        elif step == "try":
            turn = gate.try_enter("tried")
            assert (turn is not None) == (holder is None)
            if turn is not None:
                gate.leave()
        assert (holder is None) == (gate._holder is None)
        if holder is not None:
            assert gate._holder is not None
            assert f"{holder}" == gate._holder.what
            assert futures[holder].done()
        assert len(waiting) == sum(not futures[number].done() for number in waiting)
    while holder is not None:
        gate.leave()
        holder = waiting.popleft() if waiting else None
        assert holder is None or (gate._holder is not None and f"{holder}" == gate._holder.what)
    assert gate.idle


def test_a_crowd_of_all_kinds(path, scaled):
    """Threads that enter, give up, ask and cancel, at random: at every moment one at the most has the turn, and at the end nobody."""
    path.touch()
    gate = Gate(lambda: queue_beside(str(path)))
    inside, most, done = [], [], []

    def work(number):
        for n in range(scaled(2_000, 60)):
            try:
                if (number + n) % 3:
                    gate.enter(f"{number}", 0.001 if n % 5 == 0 else PATIENCE)
                else:
                    future = gate.ask(f"{number}")
                    if n % 2 and future.cancel():
                        continue
                    future.result(PATIENCE)
            except errors.LockTimeoutError:
                continue
            inside.append(number)
            most.append(len(inside))
            done.append(number)
            inside.pop()
            gate.leave()

    for caller in [Caller(partial(work, n)) for n in range(8)]:
        assert None is caller.ended()
    assert 1 == max(most)
    eventually(lambda: gate.idle)
    assert len(done) > 100
    gate.close()


def test_a_turn_waits_for_one_batch_at_the_most(path):
    """Threads that write without end do not keep a transaction waiting: between its asking and its turn there is one batch."""
    with coeval.open(path, timeout=PATIENCE, durability="normal") as db:
        db.script("CREATE TABLE t(x)")
        sql = "INSERT INTO t VALUES (?)"
        learn(db, sql)
        store = db._engine.store()
        stop, most = threading.Event(), []

        def write():
            n = 0
            while not stop.is_set():
                n += 1
                db.execute(sql, n)

        writers = [Caller(write) for _ in range(6)]
        for _ in range(50):
            before = store.batches.counts.batches
            with db.transaction():
                most.append(store.batches.counts.batches - before)
        stop.set()
        for caller in writers:
            assert None is caller.ended()
        # One that was under way, one made of those before it in the queue, and one counted late by its own leader.
        assert max(most) <= 3


def _ours_or_futures(name: str) -> bool:
    return OURS in name or name.endswith(os.path.join("futures", "_base.py"))


def _interrupted_leaving(gate, own, number):
    """`leave` with an interrupt at its ``number``-th step, and what every caller does then; whether it was so long."""
    going = interrupted_at(number, gate.leave, _ours_or_futures)
    if going:
        if gate.has(own):
            gate.leave()
        else:
            gate.drop(own)
    return going


def _join_and_leave(gate, member):
    assert LEAD is gate.join(member, 10 * PATIENCE)
    gate.leave()


@pytest.mark.parametrize("waiting", ["a turn", "a turn by a future", "a member", "a member without a thread"])
def test_leaving_interrupted_at_each_step(gate, waiting):
    """Whoever waits has the turn afterwards, once, when the one who was interrupted has given its own up."""
    led: list[object] = []

    def lead(member):
        led.append(member)
        member.future.set_result(None)
        gate.leave()

    gate.lead = lead
    number, going = 0, True
    while going and number < 300:
        number += 1
        own = gate.enter("own", 0.0)
        statement = SimpleNamespace(sql="INSERT")
        member: Any = Member(statement, (), False, waiting == "a member")  # type: ignore[arg-type]
        caller: Any
        if waiting == "a turn":
            caller = Caller(lambda: gate.enter("next", 10 * PATIENCE) and gate.leave())
        elif waiting == "a turn by a future":
            caller = gate.ask("next")
        elif waiting == "a member":
            caller = Caller(partial(_join_and_leave, gate, member))
        else:
            caller = gate.submit(member)
        eventually(lambda: gate.queue == 1)
        going = _interrupted_leaving(gate, own, number)
        if isinstance(caller, Caller):
            assert not isinstance(caller.ended(), BaseException), f"step {number}"
        else:
            turn = caller.result(PATIENCE)
            if waiting == "a turn by a future":
                assert gate.has(turn)
                gate.leave()
        eventually(lambda: gate.idle)
    assert number > 10
    assert len(led) == (number if waiting == "a member without a thread" else 0)


class _Crowd:
    """A queue file with which others wait for the lock, or not, as they like; taking it takes as long as the test wants."""

    def __init__(self):
        self.waits: deque[bool] = deque()
        self.free = threading.Event()
        self.inside: list[int] = []

    def open(self):
        return self

    def try_take(self, what):
        return True

    def others_wait(self):
        return bool(self.waits and self.waits.popleft())

    def take(self):
        assert self.free.wait(PATIENCE)

    def let_go(self):
        pass

    def leave(self, held):
        return False

    def look(self, *, busy):
        return False

    def note(self, what):
        pass

    def close(self):
        pass


def test_leaving_to_another_process_interrupted_at_each_step():
    """The next turn here comes with the file's lock, and there is one at a time."""
    number, going = 0, True
    while going and number < 300:
        number += 1
        crowd: Any = _Crowd()
        gate = Gate(crowd.open)
        own = gate.enter("own", 0.0)
        inside: list[int] = []
        most: list[int] = []

        def through(gate=gate, inside=inside, most=most):
            gate.enter("next", PATIENCE)
            inside.append(1)
            time.sleep(0.002)
            most.append(len(inside))
            inside.pop()
            gate.leave()

        callers = [Caller(through) for _ in range(2)]
        eventually(partial(_waiting, gate, 2))
        crowd.waits.append(True)  # when it is asked again nobody waits
        going = _interrupted_leaving(gate, own, number)
        crowd.free.set()
        for caller in callers:
            assert not isinstance(caller.ended(), BaseException), f"step {number}"
        assert [1, 1] == most, f"step {number}"
        eventually(partial(getattr, gate, "idle"))
        gate.close()
    assert number > 5


def test_asking_while_another_is_interrupted(monkeypatch, gate):
    """Whoever asks and gets the turn at once is told of it once, though somebody who was interrupted tells whoever has it."""
    told = Future.set_running_or_notify_cancel

    def slowly(future):
        result = told(future)
        other = Caller(gate._grant_again)
        time.sleep(0.005)
        others.append(other)
        return result

    others: list[Caller] = []
    monkeypatch.setattr(Future, "set_running_or_notify_cancel", slowly)
    future = gate.ask("a turn")
    monkeypatch.undo()
    assert gate.has(future.result(PATIENCE))
    for other in others:
        assert None is other.ended()
    gate.leave()
