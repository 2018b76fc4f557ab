"""The very next cached read after a commit sees it, whoever committed, while nearly all reads between commits are hits (law 1)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from itertools import repeat

import pytest

import coeval

SCHEMA = "CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO counter VALUES (1, 0)"
READ = "SELECT n FROM counter WHERE id = ?"
WRITE = "UPDATE counter SET n = {} WHERE id = 1"
BETWEEN = 130  #: reads after the first between two commits


class OwnThread:
    """Another connection of this process: the same database, used by another thread."""

    def __init__(self, db: coeval.Database) -> None:
        self._db = db
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while (sql := self._asked.get()) is not None:
            self._done.put(self._db.execute(sql).rowcount)

    def execute(self, sql: str) -> object:
        self._asked.put(sql)
        return self._done.get(timeout=30)

    def end(self) -> None:
        self._asked.put(None)
        self._thread.join(30)


@pytest.fixture(params=["header", "data_version"])
def counter(request, open_db) -> coeval.Database:
    """A counter at 0, with either commit clock."""
    db: coeval.Database = open_db(commit_clock=request.param, durability="normal")
    db.script(SCHEMA)
    return db


@pytest.fixture(params=["sqlite3", "shell", "coeval", "thread"])
def writer(request, counter: coeval.Database) -> Iterator[Callable[[str], object]]:
    """Each kind of writer; those of another process do not wait for the disk."""
    match request.param:
        case "sqlite3" | "shell":
            process = request.getfixturevalue("foreign" if request.param == "sqlite3" else "shell")
            process.execute("PRAGMA synchronous = OFF")
            yield process.execute
        case "coeval":
            yield request.getfixturevalue("start_neighbour")(durability="normal").execute
        case _:
            thread = OwnThread(counter)
            yield thread.execute
            thread.end()


@pytest.mark.timeout(3600)
def test_the_next_read_sees_the_commit(counter, writer, scaled):
    """After each of very many commits the next read has the new value, and 99 % of the reads between are hits."""
    query = counter.query
    before = counter.stats()
    commits = scaled(100_000, 600)
    for expected in range(1, commits + 1):
        writer(WRITE.format(expected))
        rows = query(READ, 1)
        assert expected == rows[0][0], f"stale after {expected} commits"
        for _ in repeat(None, BETWEEN):
            assert rows == query(READ, 1)
    after = counter.stats()
    reads = commits * (BETWEEN + 1)
    assert reads == (after.hits - before.hits) + (after.revalidated - before.revalidated) + (
        after.misses - before.misses
    )
    assert 0.99 * reads <= after.hits - before.hits


def test_a_commit_elsewhere_leaves_a_result_in_place(counter, foreign, scaled):
    """A commit to another table costs a comparison of stamps and no statement."""
    counter.script("CREATE TABLE other (v)")
    rows = counter.query(READ, 1)
    before = counter.stats()
    commits = scaled(20_000, 300)
    for number in range(commits):
        foreign.execute("INSERT INTO other VALUES (?)", number)
        assert rows is counter.query(READ, 1)
    after = counter.stats()
    assert commits == after.revalidated - before.revalidated
    assert before.misses == after.misses


def test_every_way_to_read_sees_it(counter, foreign):
    """query, one, first and scalar each keep their own result, and none of them is stale."""
    for expected in range(1, 20):
        foreign.execute(WRITE.format(expected))
        assert expected == counter.first(READ, 1)["n"]
        assert expected == counter.scalar(READ, 1)
        assert expected == counter.one(READ, 1)[0]
        assert expected == counter.query(READ, 1)[0]["n"]
        assert expected == counter.query(READ.replace("?", ":id"), {"id": 1})[0][0]


def test_a_negative_answer_is_not_stale_either(counter, foreign):
    """A row that was not there is there after it was inserted, and gone after it was deleted."""
    for number in range(2, 40):
        assert () == counter.query(READ, number)
        assert counter.first(READ, number) is None
        foreign.execute("INSERT INTO counter VALUES (?, 7)", number)
        assert 7 == counter.query(READ, number)[0][0]
        assert 7 == counter.scalar(READ, number)
        foreign.execute("DELETE FROM counter WHERE id = ?", number)
        assert () == counter.query(READ, number)


def test_many_threads_never_see_an_older_value(counter, foreign, scaled):
    """Readers in threads beside a foreign writer: what was announced as committed before a read began is in it."""
    announced = [0]
    stale: list[tuple[int, int]] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            known = announced[0]
            found = counter.query(READ, 1)[0][0]
            if found < known:
                stale.append((known, found))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, scaled(50_000, 100) + 1):
            foreign.execute(WRITE.format(number))
            announced[0] = number
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
    assert [] == stale
