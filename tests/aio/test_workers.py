"""Worker threads: bounded, on demand, gone when idle."""

from __future__ import annotations

import os
import threading
import time
from functools import partial

import pytest

from coeval import errors, workers
from coeval.workers import Pool, Workers, processors
from waiting import wait_until


def _sign(names: set[int], done: threading.Event) -> None:
    names.add(threading.get_ident())
    done.set()


def _begin(begun: threading.Event, go: threading.Event) -> None:
    begun.set()
    go.wait(10)


def test_threads_start_on_demand_and_no_more_than_allowed():
    """One for one call at a time; as many as there are calls at once; never more than the most."""
    pool = Pool(3)
    names: set[int] = set()
    for _ in range(20):
        done = threading.Event()
        pool.run(partial(_sign, names, done))
        assert done.wait(10)
        wait_until(lambda: len(pool._idle) == 1)
    assert len(names) == 1
    barrier = threading.Barrier(4)
    for _ in range(3):
        pool.run(lambda: barrier.wait(10))
    after = threading.Event()
    pool.run(after.set)
    assert pool.count == 3
    assert not after.is_set()
    barrier.wait(10)
    assert after.wait(10)
    pool.close()
    assert pool.join(10)
    wait_until(lambda: pool.count == 0)


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch):
    """After their time; the next call starts another."""
    monkeypatch.setattr(workers, "IDLE", 0.02)
    pool = Pool(2)
    pool.run(lambda: None)
    wait_until(lambda: pool.count == 0)
    done = threading.Event()
    pool.run(done.set)
    assert done.wait(10)


def test_calls_given_while_threads_end_run(monkeypatch: pytest.MonkeyPatch):
    """Whatever the moment: none is forgotten."""
    monkeypatch.setattr(workers, "IDLE", 0.0002)
    pool = Pool(2)
    ran = threading.Semaphore(0)
    for number in range(2000):
        pool.run(ran.release)
        if number % 3 == 0:
            threading.Event().wait(0.0002)
    for _ in range(2000):
        assert ran.acquire(timeout=10)


def test_closing_runs_what_was_given():
    """Then the threads end; a call given afterwards runs as well."""
    pool = Pool(1)
    ran: list[int] = []
    for number in range(50):
        pool.run(lambda number=number: ran.append(number))  # type: ignore[misc]
    pool.close()
    wait_until(lambda: pool.count == 0)
    assert ran == list(range(50))
    pool.run(lambda: ran.append(50))
    wait_until(lambda: len(ran) == 51)
    pool.close()


def test_a_call_that_raises_costs_no_thread(caplog: pytest.LogCaptureFixture):
    """It is logged."""
    pool = Pool(1)
    pool.run(lambda: 1 // 0)
    done = threading.Event()
    pool.run(done.set)
    assert done.wait(10)
    assert "A worker's call failed" in caplog.text
    pool.close()


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """And says so."""
    monkeypatch.setattr(workers, "LONGEST_QUEUE", 2)
    pool = Pool(1)
    go = threading.Event()
    begun = threading.Event()
    pool.run(partial(_begin, begun, go))
    assert begun.wait(10)
    pool.run(lambda: None)
    pool.run(lambda: None)
    with pytest.raises(errors.PoolTimeoutError, match="readers"):
        pool.run(lambda: None)
    go.set()
    pool.close()


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch):
    """The call is refused where nobody could run it, and never runs; where a thread is there, that runs it."""
    pool = Pool(2)
    ran: list[int] = []
    with monkeypatch.context() as none_left:

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        none_left.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="none is there"):
            pool.run(lambda: ran.append(1))
    begun, go = threading.Event(), threading.Event()
    pool.run(partial(_begin, begun, go))
    assert begun.wait(10)
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", refuse)
        pool.run(lambda: ran.append(2))
    go.set()
    wait_until(lambda: ran == [2])
    assert pool.count == 1


def _gated(pool: Pool, number: int) -> tuple[list[int], list[threading.Event]]:
    """``number`` calls in ``pool``: those that have begun, and what ends each."""
    begun: list[int] = []
    ends = [threading.Event() for _ in range(number)]

    def call(i: int) -> None:
        begun.append(i)
        ends[i].wait(10)

    for i in range(number):
        pool.run(partial(call, i))
    return begun, ends


def _end(pool: Pool, ends: list[threading.Event]) -> None:
    """Have every call end, and the pool's threads after them."""
    for end in ends:
        end.set()
    pool.close()
    assert pool.join(10)


def _so_many(begun: list[int], number: int) -> bool:
    return len(begun) == number


def test_so_many_at_once_and_no_more():
    """Though there are threads for more: the next begins when one ends, in order."""
    pool = Pool(8, at_once=2)
    begun, ends = _gated(pool, 5)
    wait_until(lambda: len(begun) == 2)
    time.sleep(0.05)
    assert sorted(begun) == [0, 1]
    for i in range(3):
        ends[i].set()
        wait_until(partial(_so_many, begun, 3 + i))
        assert begun[-1] == 2 + i
    _end(pool, ends)


def test_a_long_call_holds_nobody_up(monkeypatch: pytest.MonkeyPatch):
    """When it has run for LONG, the next begins beside it, and after that call the others, one at a time."""
    monkeypatch.setattr(workers, "LONG", 0.1)
    pool = Pool(8, at_once=1)
    ages: list[float] = []
    begun, ends = _gated(pool, 1)
    wait_until(lambda: len(begun) == 1)
    pool.run(lambda: ages.append(time.monotonic() - min(pool._begun.values())))
    more, more_ends = _gated(pool, 2)
    wait_until(lambda: more == [0])
    assert ages[0] >= 0.1
    assert not ends[0].is_set()
    more_ends[0].set()
    wait_until(lambda: more == [0, 1])
    _end(pool, [*ends, *more_ends])


def test_all_may_be_long(monkeypatch: pytest.MonkeyPatch):
    """As many as there are threads run then; the others wait for one of them to end."""
    monkeypatch.setattr(workers, "LONG", 0.01)
    pool = Pool(3, at_once=1)
    begun, ends = _gated(pool, 5)
    wait_until(lambda: len(begun) == 3)
    time.sleep(0.05)
    assert begun == [0, 1, 2]
    ends[1].set()
    wait_until(lambda: begun == [0, 1, 2, 3])
    _end(pool, ends)
    assert sorted(begun) == [0, 1, 2, 3, 4]


def test_a_processor_is_left_to_the_loop():
    """Reads take all but one, where there are several; nothing else is limited."""
    crew = Workers(4)
    assert crew.reads._at_once == max(1, processors() - 1)
    assert crew.held._at_once == crew.held._most
    assert crew.chores._at_once == crew.chores._most


def test_closing_a_pool_that_is_full_with_calls_waiting(monkeypatch: pytest.MonkeyPatch):
    """Idle threads do not sleep on beside the last calls: all have ended when those have."""
    monkeypatch.setattr(workers, "IDLE", 60.0)
    pool = Pool(4, at_once=4)
    begun, ends = _gated(pool, 4)  # four threads
    wait_until(lambda: len(begun) == 4)
    for end in ends:
        end.set()
    wait_until(lambda: len(pool._idle) == 4)
    pool._at_once = 1
    begun, ends = _gated(pool, 3)
    wait_until(lambda: len(begun) == 1)
    pool.close()
    for end in ends:
        end.set()
    assert pool.join(10)
    assert len(begun) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    """They are not there; its own are waited for."""
    pool = Pool(2)
    begun, ends = _gated(pool, 1)
    wait_until(lambda: len(begun) == 1)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            none = pool.join(10)
            ran: list[int] = []
            pool.run(lambda: ran.append(1))
            pool.close()
            status = 0 if none and pool.join(10) and ran == [1] else 2
        finally:
            os._exit(status)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _end(pool, ends)


def test_every_call_runs_once_however_they_come(monkeypatch: pytest.MonkeyPatch):
    """From several threads at once, with calls of all lengths about the limit, and threads that end in between."""
    monkeypatch.setattr(workers, "LONG", 0.002)
    monkeypatch.setattr(workers, "IDLE", 0.003)
    pool = Pool(4, at_once=1)
    ran: list[int] = []

    def call(i: int) -> None:
        time.sleep((0, 0.0005, 0.002, 0.004)[i % 4] if i % 7 == 0 else 0)
        ran.append(i)

    def give(first: int) -> None:
        for i in range(first, first + 300):
            pool.run(partial(call, i))
            if i % 50 == 0:
                time.sleep(0.005)

    threads = [threading.Thread(target=give, args=(1000 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(ran) == 900)
    assert len(set(ran)) == 900
    wait_until(lambda: pool.count == 0)


def test_no_thread_keeps_the_process():
    """All are daemons."""
    crew = Workers(2)
    seen: list[bool] = []
    for pool in (crew.reads, crew.held, crew.chores):
        pool.run(lambda: seen.append(threading.current_thread().daemon))
    wait_until(lambda: len(seen) == 3)
    assert all(seen)
    crew.close()
    assert crew.join(10)
