"""Worker threads: bounded, on demand, gone when idle."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial

import pytest

from coeval import errors, workers
from coeval.workers import Pool, Workers
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


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")
def test_threads_that_read_come_after_the_loop():
    """They, and nobody else, have a lower priority."""
    crew = Workers(2)
    seen: dict[str, int] = {}

    def look(name: str) -> None:
        seen[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    for name in ("reads", "held", "chores"):
        getattr(crew, name).run(lambda name=name: look(name))
    wait_until(lambda: len(seen) == 3)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert seen == {"reads": min(19, workers.NICENESS), "held": own, "chores": own}
    crew.close()


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
