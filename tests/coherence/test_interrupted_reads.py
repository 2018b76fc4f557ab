"""An interrupt at any moment of a read leaves no snapshot behind that a later read would be made in (law 1)."""

from __future__ import annotations

from contextlib import closing

import apsw
import pytest

import coeval
from coeval.cache import tracked
from coeval.witnessing import witness

from interrupting import interrupted_at

COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v); CREATE TABLE u (v)")
        yield db


def ways(db):
    """Reads of `COUNT`, by name."""
    function = db.cached(lambda _: db.scalar(COUNT))
    tagged = db.cached(tags="tag")(lambda _: db.scalar(COUNT))

    return {
        "query": lambda: db.query(COUNT)[0][0],
        "one": lambda: db.one(COUNT)[0],
        "function": lambda: function(1),
        "tagged": lambda: tagged(1),
    }


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # coroutines that were not begun
@pytest.mark.parametrize("way", ["query", "one", "function", "tagged"])
@pytest.mark.parametrize("before", ["a new schema", "a commit elsewhere", "a commit"])
def test_an_interrupt_at_any_moment(db, path, way, before, monkeypatch, scaled):
    """The next reads see every commit, and none finds a transaction open."""
    monkeypatch.setattr(tracked, "PATIENCE", 0.01)  # with a leader that was interrupted before it had begun
    read = ways(db)[way]
    written, number = 0, 1 - (stride := scaled(1, 7 if before == "a new schema" else 5))
    with closing(apsw.Connection(str(path))) as other:
        other.set_busy_timeout(10_000)
        longer = True
        while longer:
            number += stride
            read()
            if before == "a new schema":
                other.execute("DROP TABLE IF EXISTS new; CREATE TABLE new (v)")
            elif before == "a commit elsewhere":
                other.execute("INSERT INTO u VALUES (1)")
            else:
                other.execute("INSERT INTO t VALUES (1)")
                written += 1
            longer = interrupted_at(number, read)
            assert witness.get() is None, number
            for connection in [*db._engine._store.readers.idle]:
                assert not connection.raw.in_transaction, number
            for _ in range(2):
                other.execute("INSERT INTO t VALUES (1)")
                written += 1
                assert [written] * 3 == [read() for _ in range(3)], number
    assert number > 3 * stride
