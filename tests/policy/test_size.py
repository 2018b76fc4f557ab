"""Estimated sizes: near enough to what Python really allocates, and quick for large results."""

from __future__ import annotations

import gc
import random
import tracemalloc

import pytest

import coeval
from coeval.cache.size import ENTRY, SAMPLE, key_size, result_size
from coeval.rows import row_type

RANDOM = random.Random(5)
KIND = row_type(("a", "b", "c"))


@pytest.fixture(scope="module", autouse=True)
def _others_frozen():
    """The collector looks at what these tests make alone; all else of the process takes it half a second, each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def traced(make):
    """What `make` returns, and the bytes that it allocated and that are still in use."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        found = make()
        gc.collect()
        return found, tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


SHAPES = {
    "integers": lambda i: (i + 10**6, i * 7 + 10**6, i * 11 + 10**6),
    "floats": lambda i: (i / 7, i / 11, i / 13),
    "text": lambda i: (i + 10**6, f"name {i}", f"{i}" * 10),
    "long text": lambda i: (i + 10**6, f"{i}" * 200, None),
    "wide characters": lambda i: (f"\U0001f984{i}" * 5, f"ü{i}" * 10, None),
    "blobs": lambda i: (i + 10**6, f"{i}".encode() * 30, b""),
    "growing": lambda i: (i + 10**6, "x" * (i // 10) + str(i), None),
    "mixed": lambda i: (i + 10**6, "x" * RANDOM.randrange(200) + str(i), i / 7 if i % 3 else None),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 10, SAMPLE, SAMPLE + 1, 100, 5_000])
def test_within_a_factor_of_two(shape, count):
    """Sampled or whole, the estimate is between half and twice the truth; small ones may be off by an entry's fixed part."""
    rows, truth = traced(lambda: tuple(map(KIND, (SHAPES[shape](i) for i in range(count)))))
    estimate = result_size(rows)
    assert truth / 2 - ENTRY <= estimate <= truth * 2 + ENTRY


def test_a_result_from_the_store(path):
    """The same for rows that SQLite made."""
    with coeval.open(path, cache=None) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, name, x REAL)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"name {i}" * 3, i / 7) for i in range(1000, 9000)])
        db.query("SELECT * FROM t LIMIT 1")
        rows, truth = traced(lambda: db.query("SELECT * FROM t"))
        assert truth / 2 <= result_size(rows) <= truth * 2


def test_what_the_tier_counts_is_near_the_truth(path):
    """A thousand small entries of one statement: counted bytes and allocated bytes agree within a factor of two."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, name)")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"name {i}") for i in range(3000)])
        for i in range(2000, 2100):
            db.query("SELECT * FROM t WHERE id = ?", i)
        counted = db.stats().bytes
        _, truth = traced(lambda: [db.query("SELECT * FROM t WHERE id = ?", i) for i in range(1000, 2000)] and None)
        counted = db.stats().bytes - counted
        assert truth / 2 <= counted <= truth * 2


def test_long_statements_are_counted(path):
    """Where each entry has a text of its own, as with values written into the SQL, the text takes memory too."""
    with coeval.open(path) as db:
        db.query("SELECT 1")
        counted = db.stats().bytes
        texts = [f"SELECT 1 WHERE '{i}{'x' * 20_000}' <> ''" for i in range(100)]
        held = sum(map(len, texts))
        for text in texts:
            db.query(text)
        assert 100 == db.stats().entries - 1
        assert held / 2 <= db.stats().bytes - counted


def test_an_estimate_is_cheap():
    """Of a large result only a few rows are looked at."""

    class Row(tuple):
        __slots__ = ()
        looked = 0

        def __iter__(self):
            Row.looked += 1
            return super().__iter__()

    result_size(tuple(Row((i, i)) for i in range(100_000)))
    assert Row.looked <= SAMPLE


@pytest.mark.parametrize("parameters", [(), (1, "text", None), {"a": "x" * 1000}])
def test_keys_are_counted(parameters):
    """The text of the statement and the values, by place and by name."""
    values = list(parameters.values() if isinstance(parameters, dict) else parameters)
    text = "SELECT 1" * 100
    held = len(text) + sum(len(value) for value in values if isinstance(value, str))
    assert held <= key_size(text, parameters) <= held + 500


def test_nothing_takes_something():
    """An empty result has a size too."""
    assert 0 < result_size(())
