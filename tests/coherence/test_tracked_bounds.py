"""How long the answer of a function is given: its time, that of what it calls, and the bound of an old value (laws 1 and 2)."""

from __future__ import annotations

import types

import pytest

from coeval import cached as cached_module
from coeval import call as call_module
from coeval.blocking import run
from coeval.cache.tracked import renew


class Clock:
    """What the calls take for time.monotonic()."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (cached_module, call_module):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (v); CREATE TABLE u (v)")
    return db


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_lives_no_longer_than_what_it_computed(db, clock, depth):
    """The inner one has a time and was not kept yet when the outer one called it."""
    out = [1]

    def around(inner):
        return db.cached(lambda: (inner(), db.scalar("SELECT count(*) FROM t"))[0])

    function = db.cached(ttl=60)(lambda: out[0])
    for _ in range(depth):
        function = around(function)
    assert function() == 1
    out[0] = 2
    clock.now += 59
    assert function() == 1
    clock.now += 2
    assert function() == 2


@pytest.mark.parametrize("negative", [True, LookupError])
def test_what_a_call_that_raised_has_read(db, negative):
    """The outer one made something of the error, and depends on what the inner one had read."""

    @db.cached(negative=negative)
    def inner():
        if not db.scalar("SELECT count(*) FROM t"):
            raise LookupError("no row")
        return "there"

    @db.cached
    def outer():
        db.scalar("SELECT count(*) FROM u")
        try:
            return inner()
        except LookupError:
            return "none"

    assert [outer(), outer()] == ["none", "none"]
    assert outer.cache_info().hits == 1
    db.execute("INSERT INTO t VALUES (1)")
    assert outer() == "there"


def test_an_old_value_has_its_bound(db, clock, monkeypatch):
    """Counted from when it was last known to be valid, while the new one is never made beside the caller."""
    monkeypatch.setattr(cached_module._Call, "later", lambda _: None)
    function = db.cached(stale_while_revalidate=30)(lambda: db.scalar("SELECT count(*) FROM t"))
    assert function() == 0
    clock.now += 29
    db.execute("INSERT INTO t VALUES (1)")
    assert function() == 0
    clock.now += 2
    assert function() == 1


def test_giving_an_old_value_does_not_renew_its_bound(db, clock, monkeypatch):
    """However often it is given, and though making the new one fails each time."""
    tried, failing = [], []

    def later(call):
        tried.append(1)
        failing.append(1)
        context, again = call.beside(cached_module._Call)
        context.run(run, renew(again))
        failing.clear()

    monkeypatch.setattr(cached_module._Call, "later", later)

    @db.cached(stale_while_revalidate=30)
    def function():
        if failing:
            raise ValueError("not now")
        return db.scalar("SELECT count(*) FROM t")

    assert function() == 0
    db.execute("INSERT INTO t VALUES (1)")
    found = []
    for _ in range(3):
        clock.now += 10
        found.append(function())
    assert found == [0, 0, 1]
    assert len(tried) == 2
