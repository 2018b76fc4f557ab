"""The races that caches lose, for statements and for functions: one fixed interleaving each. Ours survives it, the usual cache does not.

The last of each test says what was got and what was true then: equal for ours, and different for the usual one, which shows that the
interleaving can be seen. The numbers are those of the list of races.
"""

# ruff: noqa: PT012 - the block that raises is the transaction itself
from __future__ import annotations

import contextvars
import itertools
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import coeval
from coeval.cache import tracked
from coherence import naive_calls as naive
from coherence.asking import Pause, Started, plain, truth

READ = "SELECT id, pause(v) FROM t WHERE v >= ? ORDER BY id"
WRITE = "UPDATE t SET v = v + 10"


class Subject:
    """A cache under trial: ``call(least)`` gives the rows of at least that value."""

    def __init__(self, db: coeval.Database, kind: type[naive.Calls] | str, pause: Pause) -> None:
        self.db = db
        self.pause = pause
        self.usual: Any = None
        self._call: Callable[[int], Any]
        if kind == "query":
            self._call = self.rows
        elif kind == "function":
            self._call = db.cached(key=lambda least: least)(self.rows)
        else:
            assert isinstance(kind, type)
            self.usual = kind(db)
            self._call = self.usual.cached(lambda least: plain(db.iterate(READ, least)))

    def rows(self, least: int) -> tuple[Any, ...]:
        """What the function reads."""
        return plain(self.db.query(READ, least))

    def call(self, least: int = 0) -> tuple[Any, ...]:
        """Through the cache."""
        return self._call(least)

    def write(self, sql: str = WRITE) -> None:
        """As a program that uses this cache writes."""
        if self.usual is None:
            self.db.execute(sql)
        else:
            self.usual.write(sql)

    def apart(self, sql: str = WRITE) -> None:
        """The same in a context that belongs to no transaction or snapshot."""
        contextvars.Context().run(self.write, sql)

    def judge(self, got: Any, true: Any) -> None:
        """Ours gives what is true; the usual one does not, or this test would prove nothing."""
        assert (got == true) == (self.usual is None), f"{got} for {true}"

    def now(self, least: int = 0) -> None:
        """The next call is judged."""
        self.judge(self.call(least), truth(self.db, READ, least))


@pytest.fixture
def subject(db, request) -> Subject:
    """Of the kind that the test names."""
    db.script("""
        CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 1), (2, 2);
        CREATE TABLE u (v); CREATE TRIGGER u_t AFTER INSERT ON u BEGIN UPDATE t SET v = v + NEW.v; END;
        CREATE VIEW w AS SELECT v FROM u; CREATE TRIGGER w_u INSTEAD OF INSERT ON w BEGIN INSERT INTO u VALUES (NEW.v); END;
    """)
    pause = Pause()
    db.create_function("pause", pause, 1, deterministic=True)
    return Subject(db, request.param, pause)


def survived(*usual: type[naive.Calls]) -> Any:
    """By statements and by functions, and by none of ``usual``."""
    return pytest.mark.parametrize(
        "subject", ["query", "function", *usual], indirect=True, ids=lambda kind: getattr(kind, "__name__", kind)
    )


@survived(naive.DeletedAfterCommit, naive.StampedAfter)
def test_a_write_during_a_load(subject):
    """Races 1 and 2: A reads old rows, B commits and invalidates, A stores."""
    load = subject.pause.stop(subject.call)
    subject.write()
    subject.pause.go()
    load.result()
    subject.now()


@survived(naive.DeletedBeforeWrite)
def test_a_read_between_invalidation_and_write(subject):
    """Race 3: it keeps the old rows, and the write follows."""
    subject.call()
    if subject.usual is None:
        with subject.db.transaction() as tx:
            Started(subject.call).result()
            tx.execute(WRITE)
            Started(subject.call).result()
    else:
        subject.usual.between = subject.call
        subject.write()
    subject.now()


@survived(naive.DeletedAfterCommit)
def test_an_old_snapshot_fills(subject):
    """Race 4: a snapshot of before the commit is read after it."""
    with subject.db.snapshot() as snap:
        snap.query("SELECT 1 FROM t")
        subject.apart()
        assert ((1, 1), (2, 2)) == subject.call()
    subject.now()


@survived(naive.PutBack)
def test_time_does_not_go_backwards_when_a_block_ends(subject):
    """Race 5, hole 25: what was valid before the block, and still is inside a snapshot, is not valid again after it."""
    subject.call()
    block: AbstractContextManager[Any] = subject.db.snapshot() if subject.usual is None else subject.usual.block()
    with block:
        subject.call()
        subject.apart()
        if subject.usual is None:
            assert contextvars.Context().run(subject.call) != subject.call() == ((1, 1), (2, 2))
    subject.now()


@survived(naive.DeletedAfterCommit)
def test_what_was_never_committed(subject):
    """Race 6: read in a transaction that is rolled back."""
    with pytest.raises(ZeroDivisionError), subject.db.transaction() as tx:
        tx.execute(WRITE)
        assert ((1, 11), (2, 12)) == subject.call()
        raise ZeroDivisionError
    subject.now()


@survived(naive.DeletedAfterCommit)
def test_own_writes_are_seen(subject):
    """Race 7: inside the transaction that wrote, what was kept before is not put over it."""
    subject.call()
    with subject.db.transaction() as tx:
        tx.execute(WRITE)
        subject.judge(subject.call(), ((1, 11), (2, 12)))
    if subject.usual is None:
        subject.now()


@survived(naive.TaggedByRows)
@pytest.mark.parametrize(
    "write", ["INSERT INTO t VALUES (3, 6)", "UPDATE t SET v = 6 WHERE id = 1"], ids=["new", "moved in"]
)
def test_rows_that_come(subject, write):
    """Race 8: an empty list, and rows that come into its condition."""
    assert () == subject.call(5)
    if subject.usual is not None:
        subject.usual.touched = (1, 3)
    subject.write(write)
    subject.now(5)


@survived(naive.TaggedByConditions)
def test_a_row_that_moves_twice(subject):
    """Race 9: two writers move it, and the second has read where it was before the first."""
    subject.db.execute("DELETE FROM t WHERE id = 2")
    for value, old in ((2, 1), (3, 1)):  # both have read that it is 1
        for least in (1, 2, 3):
            subject.call(least)
        if subject.usual is not None:
            subject.usual.old, subject.usual.new = old, value
        subject.write(f"UPDATE t SET v = {value}")
    subject.db.execute("UPDATE t SET v = 1")
    if subject.usual is not None:
        subject.usual.old, subject.usual.new = 3, 1
    subject.now(2)


@survived(naive.WordsOfTheStatement)
@pytest.mark.parametrize(
    "write",
    [
        "INSERT INTO u VALUES (10)",
        "INSERT INTO w SELECT 10",
        'UPDATE "t" SET v = v + 1',
        "UPDATE main.t SET v = v + 1",
        "DELETE FROM [t]",
        "REPLACE INTO `t` VALUES (1, 99)",
        "WITH x AS (SELECT 7 AS n) UPDATE T SET v = (SELECT n FROM x)",
    ],
    ids=["trigger", "view", "quoted", "qualified", "brackets", "replace", "capital"],
)
def test_writes_that_do_not_name_the_table(subject, write):
    """Race 10: who looks for words in the statement does not find them."""
    subject.call()
    subject.write(write)
    subject.now()


@survived(naive.Calls, naive.ForATime, naive.DeletedAfterCommit, naive.WordsOfTheStatement)
def test_another_program_writes_and_dies(subject, foreign):
    """Races 10, 12 and 14: killed between its commit and whatever it would have told."""
    subject.call()
    foreign.execute(WRITE)
    os.kill(foreign.pid, signal.SIGKILL)
    subject.now()


@survived(naive.Calls, naive.ForATime, naive.DeletedAfterCommit)
def test_a_memory_tier_in_another_process(subject, neighbour):
    """Race 14: each process keeps what it has read, and writes in its turn."""
    for _ in range(3):
        subject.call()
        neighbour.execute(WRITE)
        subject.now()


@survived(naive.MissingIsFresh)
def test_stamps_that_are_missing(subject, foreign):
    """Race 13: nothing is fresh because nothing is known of it."""
    subject.call()
    subject.write()
    if subject.usual is None:
        foreign.execute("DELETE FROM _coeval_stamps")
    else:
        subject.usual.version = None
    subject.now()


@survived(naive.ComparedByClocks)
def test_clocks_that_disagree(subject, monkeypatch):
    """Race 13: the reader's is ahead of the writer's, and stands still or goes backwards."""
    if subject.usual is None:
        times = itertools.count(1000.0, -1.0)
        monkeypatch.setattr("time.time", lambda: next(times))
    subject.call()
    subject.write()
    subject.now()


@pytest.mark.parametrize("usual", [None, naive.TagSets], ids=["function", "TagSets"])
def test_tags_lose_nobody(db, usual):
    """Race 11: two get the same tag at the same time; both hear of it."""
    pause, value = Pause(), [1]

    def first():
        return pause(value[0])

    def second():
        return value[0]

    cache = usual(db) if usual else None
    cached: Any = cache.cached if cache else db.cached(tags=["both"])
    one, other = cached(first), cached(second)
    load = pause.stop(one)
    assert 1 == other() == other()
    pause.go()
    assert 1 == load.result() == one()
    value[0] = 2
    if cache:
        cache.invalidate()
    else:
        db.invalidate("both")
    assert 2 == one()
    assert (2 if cache is None else 1) == other()


def test_a_tag_that_was_not_invalidated_after_all(db):
    """Race 11: a rollback takes the invalidation back, and what was kept is still there; inside, it was not believed."""
    value = [1]
    tagged = db.cached(tags=["a"])(lambda: value[0])
    assert 1 == tagged()
    value[0] = 2
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.invalidate("a")
        assert 2 == tagged()
        raise ZeroDivisionError
    assert 1 == tagged()


@pytest.mark.parametrize("usual", [None, naive.LockThatEnds], ids=["function", "LockThatEnds"])
def test_a_slow_creator(db, usual, monkeypatch):
    """Race 15: who has waited long enough computes for itself; nobody gets an error because another is slow."""
    monkeypatch.setattr(tracked, "PATIENCE", 0.05)
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    pause = Pause()

    def slow():
        return pause(db.scalar("SELECT v FROM t"))

    call = usual(db).cached(slow) if usual else db.cached(slow)
    load = pause.stop(call)
    if usual:
        with pytest.raises(TimeoutError):
            call()
    else:
        assert 1 == call() == Started(call).result()
    pause.go()
    assert 1 == load.result() == call()


@survived(naive.JoinAnyFlight)
def test_nobody_joins_an_older_load(subject):
    """Hole 5: B's call begins after a commit that A's load, still under way, cannot have seen."""
    load = subject.pause.stop(subject.call)
    subject.apart()
    late = Started(subject.call)
    if subject.usual is not None:
        assert subject.usual.joined.wait(30)
    subject.pause.go()
    load.result()
    subject.judge(late.result(), truth(subject.db, READ, 0))


@pytest.mark.parametrize("usual", [None, naive.Calls], ids=["function", "Calls"])
def test_keys_that_are_equal_and_not_the_same(db, usual):
    """Race 17: 1, True and 1.0 are equal as keys of a dict; their answers are not."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")

    def kind(value):
        return type(value).__name__, db.scalar("SELECT v FROM t")

    call: Any = usual(db).cached(kind) if usual else db.cached(kind)
    found = [call(value)[0] for value in (1, True, 1.0, 1)]
    assert (["int", "bool", "float", "int"] == found) == (usual is None)


@pytest.mark.parametrize("usual", [None, naive.KeysOfText], ids=["function", "KeysOfText"])
def test_one_key_is_invalidated_and_no_other(db, usual):
    """Race 17: 1 is the beginning of 11, and of nothing else."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    runs = []

    def of(number):
        runs.append(number)
        return db.scalar("SELECT v FROM t") + number

    cache = usual(db) if usual else None
    call: Any = cache.cached(of) if cache else db.cached(of)
    for number in (1, 11, 2):
        call(number)
    if cache:
        cache.delete("of:1")
    else:
        call.invalidate(1)
    for number in (1, 11, 2):
        call(number)
    assert ([1, 11, 2, 1] == runs) == (cache is None)


def test_what_says_how_and_not_what_is_no_part_of_a_key(db):
    """Race 17: a new session for each request, and the key is the same; by name, by type, and a Database by itself."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")

    class Session:
        pass

    @db.cached(leave_out=[Session])
    def page(session, number, database: coeval.Database):
        return session is not None and database.scalar("SELECT v + ? FROM t", number)

    for _ in range(4):
        assert 3 == page(Session(), 2, db)
    assert (3, 1) == (page.cache_info().hits, page.cache_info().misses)
