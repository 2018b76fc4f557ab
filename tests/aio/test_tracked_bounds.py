"""What a coroutine function depends on through those that it awaits (laws 1 and 2)."""

from __future__ import annotations

import asyncio
import types

import pytest

import coeval
from coeval import cached as cached_module
from coeval import call as call_module


@pytest.fixture
def db(path):
    """Two tables."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v); CREATE TABLE u (v)")
        yield db


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_lives_no_longer_than_what_it_computed(db, monkeypatch, depth):
    """The inner one has a time and was not kept yet when the outer one awaited it."""
    out, now = [1], [1000.0]
    for module in (cached_module, call_module):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: now[0]))

    @db.cached(ttl=60)
    async def inner():
        return out[0]

    def around(inner):
        @db.cached
        async def outer():
            await db.aio.scalar("SELECT count(*) FROM t")
            return await inner()

        return outer

    async def ask():
        function = inner
        for _ in range(depth):
            function = around(function)
        found = [await function()]
        out[0] = 2
        for seconds in (59, 2):
            now[0] += seconds
            found.append(await function())
        return found

    assert asyncio.run(ask()) == [1, 1, 2]


@pytest.mark.parametrize("negative", [True, LookupError])
def test_what_a_call_that_raised_has_read(db, negative):
    """The outer one made something of the error, and depends on what the inner one had read."""

    @db.cached(negative=negative)
    async def inner():
        if not await db.aio.scalar("SELECT count(*) FROM t"):
            raise LookupError("no row")
        return "there"

    @db.cached
    async def outer():
        await db.aio.scalar("SELECT count(*) FROM u")
        try:
            return await inner()
        except LookupError:
            return "none"

    async def ask():
        found = [await outer(), await outer()]
        await db.aio.execute("INSERT INTO t VALUES (1)")
        return [*found, await outer()]

    assert asyncio.run(ask()) == ["none", "none", "there"]
    assert outer.cache_info().hits == 1
