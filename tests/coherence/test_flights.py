"""Who waits for whom, when several call one cached function at a time (hole 5): the shared computation, and what ends waiting."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import count
from typing import Any

import pytest

from coeval.cache import tracked
from coherence.asking import Started
from waiting import wait_until

SUM = "SELECT sum(v) FROM t"


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Nobody goes on because waiting took too long: `Started.result` gives up long before."""
    monkeypatch.setattr(tracked, "PATIENCE", 1000.0)


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2)")
    return db


def boarding(db):
    """How many wait for a flight, or to depart behind one."""
    return sum(flight.before is not None for flight in db._engine.flights._last.values())


@pytest.mark.parametrize("many", [2, 3])
def test_those_that_call_each_other_in_a_ring_do_not_wait_for_ever(db, many):
    """Each leads the flight that another needs, with the same keys: one of them computes for itself."""
    all_lead, inside = threading.Barrier(many), threading.local()
    functions: list[Any] = []

    def ring(number):
        def function():
            if getattr(inside, "deep", False):
                return db.scalar(SUM)
            inside.deep = True
            all_lead.wait(10)
            return db.scalar(SUM) + functions[(number + 1) % many]()

        function.__qualname__ = f"ring_{number}"
        return db.cached(function)

    functions += [ring(number) for number in range(many)]
    started = [Started(one) for one in functions]
    assert all(one.result() >= 6 for one in started), "all come to their end, whoever shares with whom"


def test_a_leader_whose_thread_ends_wakes_its_passengers(db):
    """By SystemExit, in the middle: one of them computes, and the others get that."""
    runs, leads, go = count(), threading.Event(), threading.Event()

    @db.cached
    def total():
        if next(runs) == 0:
            leads.set()
            assert go.wait(30)
            raise SystemExit
        return db.scalar(SUM)

    first = Started(total)
    assert leads.wait(30)
    others = [Started(total) for _ in range(5)]
    wait_until(lambda: boarding(db) == 1)
    go.set()
    assert [3] * 5 == [one.result() for one in others]
    with pytest.raises(SystemExit):
        first.result()
    assert next(runs) <= 3, "the one that has ended, the one behind it, and who came too late for that"


def test_under_steady_writes_a_caller_waits_for_two_computations_at_the_most(db):
    """Waves of callers, and a commit in each computation: no wave takes more than two, and what each gets is as new as its call."""
    runs: Counter[str] = Counter()
    inside: list[int] = []
    go, arrived = threading.Semaphore(0), threading.Semaphore(0)

    @db.cached
    def total():
        runs["total"] += 1
        inside.append(db.scalar(SUM))
        arrived.release()
        assert go.acquire(timeout=30)
        return inside[-1]

    def wave(of):
        known = db.scalar(SUM)
        return known, [Started(total) for _ in range(of)]

    waves = []
    leader = Started(total)
    assert arrived.acquire(timeout=30)  # one is under way, and knows nothing of what follows
    for number in range(3, 8):
        db.execute("INSERT INTO t VALUES (?, ?)", number, number)
        waves.append(wave(4))
        wait_until(lambda: boarding(db) == 1)
        go.release()
        assert arrived.acquire(timeout=30)  # the next has departed: it is for all of this wave
    go.release()
    leader.result()
    for known, callers in waves:
        assert all(one.result() >= known for one in callers), "older than what was committed before the call"
    assert runs["total"] <= 1 + 2 * len(waves) < 1 + 4 * len(waves)


def test_in_a_transaction_before_and_after_its_own_write(db, foreign):
    """Its own view each time, whatever is kept and whoever has committed; and after the rollback nothing of it is anybody's."""

    @db.cached
    def total():
        return db.scalar(SUM)

    assert 3 == total() == total()
    foreign.execute("INSERT INTO t VALUES (3, 3)")
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:  # noqa: PT012 - the block is what is tested
        assert 6 == total() == tx.scalar(SUM)
        tx.execute("INSERT INTO t VALUES (4, 4)")
        assert 10 == total()
        with pytest.raises(LookupError), db.transaction() as inner:  # noqa: PT012 - likewise
            inner.execute("INSERT INTO t VALUES (5, 5)")
            assert 15 == total()
            raise LookupError
        assert 10 == total() == tx.scalar(SUM)
        assert 6 == Started(total).result(), "another thread is not in it"
        raise ZeroDivisionError
    assert 6 == total() == db.scalar(SUM)


def test_two_functions_in_one_snapshot(db, foreign):
    """One kept, and newer than the snapshot, and one that is computed in it: both are of its moment."""

    @db.cached
    def kept():
        return db.scalar(SUM)

    @db.cached
    def cold():
        return db.scalar("SELECT count(*) FROM t")

    with db.snapshot() as snap:
        assert 3 == snap.scalar(SUM)  # it begins
        foreign.execute("INSERT INTO t VALUES (3, 3)")
        assert 6 == Started(kept).result()
        assert (3, 2) == (kept(), cold()), "of one moment"
        hits = kept.cache_info().hits
        assert 6 == Started(kept).result()
        assert hits + 1 == kept.cache_info().hits, "what was computed for an old moment took no newer one's place"
    assert (6, 3) == (kept(), cold())
