"""`invalidate` of a function: what may depend on more than the database is computed anew in every process, and what used it (law 2)."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

import coeval
from coeval import errors
from coeval.coherence.scopes import function_scope

STAMP = "SELECT stamp FROM _coeval_stamps WHERE id = ?"


@pytest.fixture
def outside():
    """What is not in the database."""
    return [1]


@pytest.fixture
def db(db):
    """A table."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    return db


@pytest.mark.parametrize("options", [{"ttl": 60}, {"tags": "tag"}])
def test_what_used_it_is_computed_anew(db, outside, options):
    """All calls of the function, and the calls around them."""
    inner = db.cached(**options)(lambda n: (n, outside[0]))
    outer = db.cached(lambda: inner(1))
    assert [(1, 1), (2, 1), (1, 1)] == [inner(1), inner(2), outer()]
    outside[0] = 2
    assert [(1, 1), (2, 1), (1, 1)] == [inner(1), inner(2), outer()]
    inner.invalidate(1)
    assert [(1, 2), (2, 2), (1, 2)] == [inner(1), inner(2), outer()]
    outside[0] = 3
    asyncio.run(_invalidate_awaited(db, inner))
    assert [(1, 2), (1, 2)] == [inner(1), outer()]  # another function


async def _invalidate_awaited(db, function):
    other = db.cached(ttl=60)(_nothing)
    assert await other() == "nothing"
    await other.invalidate()
    assert await other.peek() is None


async def _nothing():
    return "nothing"


def test_in_every_process(db, neighbour, outside):
    """Another process that gives the function a new stamp, as `invalidate` there does."""
    function = db.cached(ttl=60)(lambda: outside[0])
    assert [1, 1] == [function(), function()]
    scope = function_scope(function._tracked.name)
    before = db.scalar(STAMP, scope)
    function.invalidate()
    assert before != db.scalar(STAMP, scope)
    assert 1 == function()
    outside[0] = 2
    assert 1 == function()
    neighbour.call("_restamp", "invalidate", [scope])
    assert 2 == function()


def test_with_the_transaction_around_it(db, outside):
    """From its commit on, and not at all where it is rolled back; it is made there first, where no tag was before."""
    function = db.cached(ttl=60)(lambda: outside[0])
    with db.transaction():
        function.invalidate()
    assert 1 == function()
    outside[0] = 2
    other = db.cached(ttl=60)(lambda: (function(),))
    assert (1,) == other()
    with pytest.raises(ZeroDivisionError), db.transaction():  # noqa: PT012 - the block is what is tested
        function.invalidate()
        1 / 0  # noqa: B018
    assert (1,) == other()
    with db.transaction():
        function.invalidate()
    assert (2,) == other()


def test_one_under_way_is_not_kept(db, outside):
    """Though it is stored after the call."""
    inside, go = threading.Event(), threading.Event()

    @db.cached(ttl=60)
    def function():
        value = outside[0]
        inside.set()
        assert go.wait(10)
        return value

    thread = threading.Thread(target=function)
    thread.start()
    assert inside.wait(10)
    outside[0] = 2
    function.invalidate()
    go.set()
    thread.join()
    assert 2 == function()


def test_one_that_depends_on_the_database_alone_writes_nothing(db):
    """Its answers are never older than that; what is kept is forgotten here."""
    runs: list[int] = []

    @db.cached
    def function():
        runs.append(1)
        return db.scalar("SELECT v FROM t")

    function()
    before = db.stats().writes
    function.invalidate()
    assert before == db.stats().writes
    assert None is function.peek()
    function()
    assert 2 == len(runs)
    assert 0 == db.scalar("SELECT count(*) FROM _coeval_stamps WHERE id <= 4096")


def test_not_inside_a_cached_function(db):
    """It writes."""
    inner = db.cached(ttl=60)(lambda: 1)
    with pytest.raises(errors.TrackedWriteError):
        db.cached(lambda: [inner.invalidate()])()


def test_where_the_file_may_not_be_changed(path, db, outside):
    """By the clock alone: in this process; and a function without ttl is not kept for that."""
    db.close()
    with coeval.open(path, coherence="clock") as db:  # noqa: PLR1704 - the same file
        function = db.cached(ttl=60)(lambda: outside[0])
        outer = db.cached(lambda: (function(),))
        assert [1, 1, (1,)] == [function(), function(), outer()]
        outside[0] = 2
        assert [1, (1,)] == [function(), outer()]
        function.invalidate()
        assert [2, (2,)] == [function(), outer()]
        runs: list[int] = []
        nothing = db.cached(lambda: runs.append(1))
        nothing()
        nothing()
        assert 2 == len(runs)
        with pytest.raises(errors.ConfigError, match="tags"):
            db.cached(tags="a")(lambda: 1)()


def test_where_somebody_else_writes_for_long(path, db, start_foreign, outside, caplog):
    """The first call cannot make the stamps: it is answered, and not kept until they can be made (law 4)."""
    db.close()
    with coeval.open(path, timeout=0.05) as db:  # noqa: PLR1704 - the same file
        function = db.cached(ttl=60)(lambda: list(outside))
        foreign = start_foreign()
        foreign.execute("BEGIN IMMEDIATE")
        with caplog.at_level(logging.WARNING, "coeval"):
            assert [[1], [1]] == [function(), function()]
        assert (0, 2) == function.cache_info()[:2]
        assert any("or a tag, has no stamp yet" in record.getMessage() for record in caplog.records)
        foreign.execute("ROLLBACK")
        assert [[1], [1]] == [function(), function()]
        assert (1, 3) == function.cache_info()[:2]
