"""Which kept answer a call gets: by its arguments and their types, and by the tags of the function (law 1)."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

SOME = (1, True, 1.0)


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (v)")
    return db


def _told(*args):
    return [(type(one).__name__, one) for one in args]


BLOCKING: dict[int, Any] = {
    1: lambda db: lambda a: (db.scalar("SELECT count(*) FROM t"), _told(a))[1],
    2: lambda db: lambda a, b: (db.scalar("SELECT count(*) FROM t"), _told(a, b))[1],
    3: lambda db: lambda a, b, c: (db.scalar("SELECT count(*) FROM t"), _told(a, b, c))[1],
    4: lambda db: lambda a, b, c, d: (db.scalar("SELECT count(*) FROM t"), _told(a, b, c, d))[1],
}


def _coroutine(db, arity) -> Any:
    async def one(a):
        return BLOCKING[1](db)(a)

    async def two(a, b):
        return BLOCKING[2](db)(a, b)

    async def three(a, b, c):
        return BLOCKING[3](db)(a, b, c)

    async def four(a, b, c, d):
        return BLOCKING[4](db)(a, b, c, d)

    return (one, two, three, four)[arity - 1]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("arity", "place"), [(n, i) for n in range(1, 5) for i in range(n)])
@pytest.mark.parametrize("face", ["blocking", "coroutine"])
def test_equal_arguments_of_other_types(db, face, arity, place, named):
    """Whichever came first, in each place, and by name."""
    function = db.cached(BLOCKING[arity](db) if face == "blocking" else _coroutine(db, arity))

    async def ask():
        for value in itertools.chain(*itertools.permutations(SOME)):
            args: list[Any] = [1] * arity
            args[place] = value
            by_name = dict(zip("abcd", args, strict=False)) if named else {}
            found = function(**by_name) if named else function(*args)
            assert _told(*args) == (found if face == "blocking" else await found)

    asyncio.run(ask())
    assert function.cache_info().misses == 3


def test_a_tag_that_another_process_invalidates(db, neighbour):
    """The next call here is new."""
    out = [1]
    function = db.cached(tags="tag")(lambda: out[0])
    assert [function(), function()] == [1, 1]
    out[0] = 2
    assert function() == 1
    neighbour.call("invalidate", "tag")
    assert function() == 2


def test_positional_only_and_the_same_name(db):
    """What is given by name is another argument than the one that has no name."""

    @db.cached
    def f(a, /, **more):
        return db.scalar("SELECT count(*) FROM t"), a, more

    @db.cached
    def g(a, /, *, b):
        return db.scalar("SELECT count(*) FROM t"), a, b

    for _ in range(2):
        assert f(1, a=2) == (0, 1, {"a": 2})
        assert f(1, a=3) == (0, 1, {"a": 3})
        assert f(1) == (0, 1, {})
        assert [g(1, b=2), g(2, b=1)] == [(0, 1, 2), (0, 2, 1)]
    assert (f.cache_info().misses, g.cache_info().misses) == (3, 2)


def test_a_tag_invalidated_in_a_savepoint_that_is_rolled_back(db):
    """Though the transaction around it is committed, what has the tag stays as it was: functions and plain values."""
    out = [1]
    function = db.cached(tags="tag")(lambda: out[0])
    assert function() == 1
    db.cache.set("k", "kept", tags="tag")
    out[0] = 2
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ZeroDivisionError), db.transaction():  # noqa: PT012 - the block is what is tested
            db.invalidate("tag")
            1 / 0  # noqa: B018
    assert db.scalar("SELECT count(*) FROM t") == 1
    hits = function.cache_info().hits
    assert (function(), db.cache.get("k")) == (1, "kept")
    assert function.cache_info().hits == hits + 1
    with db.transaction(), db.transaction():
        db.invalidate("tag")
    assert (function(), db.cache.get("k")) == (2, None)


def test_a_kept_answer_is_none_for_a_call_that_does_not_fit(db):
    """What is given by a name that it does not take is refused, as by the function itself."""

    @db.cached
    def f(a=0, /):
        return db.scalar("SELECT count(*) FROM t"), a

    @db.cached
    def g(a, /, *, b):
        return db.scalar("SELECT count(*) FROM t"), a, b

    assert [f(), f(1), g(1, b=2)] == [(0, 0), (0, 1), (0, 1, 2)]
    for call in (lambda: f(a=1), lambda: g(1, b=2, c=3), lambda: g(1, b=2, a=3)):
        with pytest.raises(TypeError):
            call()
