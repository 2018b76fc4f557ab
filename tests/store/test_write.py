"""`db.write`: reads on a snapshot, its turn at the first write, serialisable, and run again where what it had read was changed."""

# ruff: noqa: ARG005, PT012 - functions take what they are given; a block that is to fail has several statements

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import threading
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coeval
from coeval import errors
from coeval.unit import current
from store.behind import Caller, eventually, gate_of, held

from interrupting import Interrupt


def _keyed(call, key, tx):
    return call(tx, key)


@pytest.fixture
def db(path):
    with coeval.open(path, timeout=10, readers=4) as db:
        db.script("""
            CREATE TABLE a(id INTEGER PRIMARY KEY, n); INSERT INTO a VALUES (1, 0);
            CREATE TABLE b(id INTEGER PRIMARY KEY, n); INSERT INTO b VALUES (1, 0);
        """)
        yield db
        assert gate_of(db).idle
        all_readers_are_there(db)


def all_readers_are_there(db):
    """As many snapshots as there are readers can be open at once."""
    snapshots = [db.snapshot() for _ in range(db.settings.readers)]
    contexts = [contextvars.Context() for _ in snapshots]
    for context, snapshot in zip(contexts, snapshots, strict=True):
        context.run(snapshot.__enter__)
    for context, snapshot in zip(contexts, snapshots, strict=True):
        context.run(snapshot.__exit__, None, None, None)


def of(db, table):
    return db.scalar(f"SELECT n FROM {table} WHERE id = 1")


def elsewhere(work):
    """Run it in another thread to its end, and give what it returns."""
    found = Caller(work).ended()
    if isinstance(found, BaseException):
        raise found
    return found


class Function:
    """Reads with ``read``, lets another thread ``meanwhile`` once, then writes; notes how often it ran and what it saw."""

    def __init__(self, read, meanwhile, write=lambda tx, seen: tx.execute("UPDATE b SET n = ?", seen), times=1):
        self.read, self.meanwhile, self.write, self.times = read, meanwhile, write, times
        self.seen = []

    def __call__(self, tx):
        self.seen.append(self.read(tx))
        if len(self.seen) <= self.times:
            elsewhere(self.meanwhile)
        self.write(tx, self.seen[-1])
        return self.seen[-1]


READS = {
    "query": lambda tx: tx.query("SELECT n FROM a")[0]["n"],
    "one": lambda tx: tx.one("SELECT n FROM a")["n"],
    "first": lambda tx: tx.first("SELECT n FROM a")["n"],
    "scalar": lambda tx: tx.scalar("SELECT n FROM a"),
    "iterate": lambda tx: next(iter(tx.iterate("SELECT n FROM a")))["n"],
    "execute": lambda tx: tx.execute("SELECT n FROM a").rows[0]["n"],
    "a join": lambda tx: tx.scalar("SELECT a.n FROM b JOIN a USING (id)"),
    "a subquery": lambda tx: tx.scalar("SELECT (SELECT max(n) FROM a) FROM b"),
    "an expression that is not cached": lambda tx: tx.scalar("SELECT n + random() * 0 FROM a"),
    "a count of nothing": lambda tx: tx.scalar("SELECT n FROM a WHERE (SELECT count(*) FROM a WHERE n < 0) = 0"),
}


@pytest.mark.parametrize("read", READS)
def test_what_it_read_was_changed(db, read):
    """Another commits to a table that it has read: it runs again, and sees the new value; nothing of the first run stays."""
    function = Function(READS[read], lambda: db.execute("UPDATE a SET n = n + 1"))
    assert 1 == db.write(function)
    assert [0, 1] == function.seen
    assert 1 == of(db, "b")


@pytest.mark.parametrize("read", READS)
def test_what_another_program_changed(db, read, foreign):
    """The same where a program with another SQLite does it."""
    function = Function(READS[read], lambda: foreign.execute("UPDATE a SET n = n + 1"))
    assert 1 == db.write(function)
    assert [0, 1] == function.seen


@pytest.mark.parametrize("how", ["hit", "revalidated", "by the database", "nested", "in a snapshot"])
def test_cached_reads_count(db, how):
    """A result from memory was read as much as one from SQLite, however it was asked for."""
    sql = "SELECT n FROM a"
    reads = {
        "hit": lambda tx: tx.scalar(sql),
        "revalidated": lambda tx: tx.scalar(sql),
        "by the database": lambda tx: db.scalar(sql),
        "nested": lambda tx: db.scalar(sql),
    }

    def in_a_snapshot(tx):
        with db.snapshot() as snap:
            return snap.scalar(sql)

    for _ in range(3):
        assert 0 == db.scalar(sql)
    if how == "revalidated":
        db.execute("UPDATE b SET n = 0")
    hits = db.stats().hits + db.stats().revalidated
    function = Function(reads.get(how, in_a_snapshot), lambda: db.execute("UPDATE a SET n = n + 1"))
    assert 1 == db.write(function)
    assert [0, 1] == function.seen
    assert db.stats().hits + db.stats().revalidated > hits


def test_what_it_did_not_read_was_changed(db):
    """Commits to other tables, and rollbacks in the one it has read, are nothing to it: it runs once."""

    def meanwhile():
        db.execute("UPDATE b SET n = 7")
        with pytest.raises(ZeroDivisionError), db.transaction() as tx:
            tx.execute("UPDATE a SET n = 7")
            raise ZeroDivisionError
        db.execute("UPDATE a SET n = 8 WHERE id = 99")  # changes no row

    function = Function(READS["query"], meanwhile)
    assert 0 == db.write(function)
    assert [0] == function.seen
    assert (0, 0) == (of(db, "a"), of(db, "b"))


def test_reads_see_one_moment(db):
    """Before its first write nothing that others commit shows, in whatever way it reads."""
    seen = []

    def function(tx):
        for n in range(3):
            seen.append(tuple(read(tx) for read in READS.values()))
            elsewhere(lambda: db.execute("UPDATE a SET n = n + 1"))
            elsewhere(lambda: db.execute("UPDATE b SET n = n + 1"))
            assert 1 + n == elsewhere(lambda: of(db, "a"))
        return of(db, "b")

    assert 0 == db.write(function)
    assert [(0,) * len(READS)] * 3 == seen


def test_its_moment_is_the_beginning(db):
    """A commit between the beginning and its first read is not seen, and makes it run again."""
    runs: list[Any] = []

    def function(tx):
        if not runs:
            elsewhere(lambda: db.execute("UPDATE a SET n = 5"))
        runs.append(tx.scalar("SELECT n FROM a"))
        tx.execute("UPDATE b SET n = ?", runs[-1])

    db.write(function)
    assert [0, 5] == runs
    assert 5 == of(db, "b")


def test_a_function_that_only_writes(db):
    """Nothing was read, so that nothing can be in its way: it runs once, whatever others did."""
    function = Function(
        lambda tx: None,
        lambda: db.execute("UPDATE a SET n = n + 1"),
        lambda tx, _: tx.execute("UPDATE a SET n = n + 10"),
    )
    db.write(function)
    assert [None] == function.seen
    assert 11 == of(db, "a")


def test_a_function_that_only_reads(db):
    """It takes no turn, cannot fail, and returns what it read, even where that is not true any more."""
    turns = gate_of(db).counts.turns
    with held(db):
        assert 0 == db.write(lambda tx: tx.scalar("SELECT n FROM a"))
    assert 1 == gate_of(db).counts.turns - turns
    function = Function(READS["query"], lambda: db.execute("UPDATE a SET n = 1"), lambda tx, _: None)
    assert 0 == db.write(function)
    assert [0] == function.seen


def test_nothing_is_held_while_it_reads(db, foreign):
    """Others write and commit meanwhile, here and in another program."""
    both = threading.Barrier(2, timeout=20)

    def function(tx):
        before = tx.scalar("SELECT n FROM b")
        both.wait()
        both.wait()
        tx.execute("INSERT INTO a(n) VALUES (?)", before)

    caller = Caller(lambda: db.write(function, retry=0))
    both.wait()
    with db.transaction() as tx:
        tx.execute("UPDATE a SET n = 1")
    db.execute("UPDATE a SET n = 2")
    foreign.execute("UPDATE a SET n = 3")
    both.wait()
    assert None is caller.ended()
    assert [3, 0] == [row["n"] for row in db.query("SELECT n FROM a ORDER BY id")]


def test_tries_run_out(db):
    """After the last one SerializationError comes out, names the table, says the cure; nothing was written."""
    for retry in (0, 1, 3):
        function = Function(READS["query"], lambda: db.execute("UPDATE a SET n = n + 1"), times=99)
        with pytest.raises(errors.SerializationError, match=r"(?m)table a$") as caught:
            db.write(function, retry=retry)
        assert retry + 1 == len(function.seen)
        assert "transaction" in caught.value.hint
        assert 0 == of(db, "b")
        assert gate_of(db).idle
    assert errors.StoreError in type(caught.value).__mro__


def test_the_error_names_all_tables_that_changed(db):
    """Both, by their own names."""

    def meanwhile():
        db.execute("UPDATE a SET n = n + 1")
        db.execute("UPDATE b SET n = n + 1")

    function = Function(lambda tx: tx.scalar("SELECT a.n FROM a, b"), meanwhile)
    with pytest.raises(errors.SerializationError, match=r"table (a, b|b, a)"):
        db.write(function, retry=0)


def _swallow(tx, _):
    with pytest.raises(errors.SerializationError):
        tx.execute("UPDATE b SET n = 99")


def _swallow_and_go_on(tx, _):
    for _ in range(3):
        with pytest.raises(errors.SerializationError):
            tx.execute("UPDATE b SET n = 99")
    with pytest.raises(errors.SerializationError):
        tx.query("SELECT n FROM a")
    with pytest.raises(errors.SerializationError):
        tx.scalar("SELECT n FROM b")


def _swallow_in_a_block(tx, _):
    with pytest.raises(errors.SerializationError):
        tx.script("UPDATE b SET n = 99")


@pytest.mark.parametrize("write", [_swallow, _swallow_and_go_on, _swallow_in_a_block])
def test_a_function_that_swallows_the_error(db, write):
    """It cannot commit, nor read on as if nothing had happened; the error comes out at its end."""
    function = Function(READS["query"], lambda: db.execute("UPDATE a SET n = n + 1"), write)
    with pytest.raises(errors.SerializationError):
        db.write(function, retry=0)
    assert 0 == of(db, "b")


def test_a_swallowed_error_runs_it_again(db):
    """With tries left it runs again, and commits."""

    def write(tx, seen):
        try:
            tx.execute("UPDATE b SET n = ?", seen + 10)
        except errors.SerializationError:
            return

    function = Function(READS["query"], lambda: db.execute("UPDATE a SET n = n + 1"), write)
    assert 1 == db.write(function)
    assert 11 == of(db, "b")


def test_anothers_error_is_not_taken_for_its_own(db, tmp_path):
    """A SerializationError that the function makes itself, or brings from another database, runs nothing again."""
    runs: list[Any] = []

    def function(tx):
        runs.append(tx.scalar("SELECT n FROM a"))
        raise errors.SerializationError("mine")

    with pytest.raises(errors.SerializationError, match="mine"):
        db.write(function)
    assert 1 == len(runs)


@pytest.mark.parametrize("problem", [ZeroDivisionError, KeyboardInterrupt, Interrupt, GeneratorExit])
@pytest.mark.parametrize("when", ["before it reads", "before it writes", "afterwards"])
def test_what_it_raises_comes_out(db, problem, when):
    """And nothing was written; it does not run again; the turn and the reader are free."""
    runs: list[Any] = []

    def function(tx):
        runs.append(1)
        if when == "before it reads":
            raise problem
        tx.scalar("SELECT n FROM a")
        if when == "before it writes":
            raise problem
        tx.execute("UPDATE b SET n = 9")
        raise problem

    for _ in range(8):  # twice as often as there are readers
        with pytest.raises(problem):
            db.write(function)
    assert 8 == len(runs)
    assert 0 == of(db, "b")
    assert gate_of(db).idle


def test_a_counter_in_threads(db, scaled):
    """Two threads read and then write one counter: the sum is exact, and nobody hears of a locked file."""
    each = scaled(2_000, 200)
    barrier = threading.Barrier(2)

    def count():
        barrier.wait()
        for _ in range(each):
            db.write(lambda tx: tx.execute("UPDATE a SET n = ?", tx.scalar("SELECT n FROM a") + 1), retry=10_000)

    assert [None, None] == [caller.ended() for caller in [Caller(count), Caller(count)]]
    assert 2 * each == of(db, "a")


def test_a_counter_with_another_program(db, start_foreign, scaled):
    """The same beside a program that knows nothing of it: no BUSY_SNAPSHOT, no lost step."""
    each = scaled(500, 60)
    other = start_foreign()
    caller = Caller(
        lambda: [
            db.write(lambda tx: tx.execute("UPDATE a SET n = ?", tx.scalar("SELECT n FROM a") + 1), retry=10_000)
            for _ in range(each)
        ]
    )
    for _ in range(each):
        other.execute("UPDATE a SET n = n + 1")
    assert each == len(caller.ended())
    assert 2 * each == of(db, "a")


def test_write_skew_is_prevented(db):
    """Each reads both rows and writes one of them, so that the sum would go below zero: one of them runs again."""
    db.script("DELETE FROM a; INSERT INTO a VALUES (1, 50), (2, 50)")
    for _ in range(20):
        db.execute("UPDATE a SET n = 50")
        both = threading.Barrier(2, timeout=20)
        runs: list[Any] = []

        def take(tx, key, both=both, runs=runs):
            total = tx.scalar("SELECT sum(n) FROM a")
            first = len(runs) < 2
            runs.append(key)
            if first:
                both.wait()
            if total >= 100:
                tx.execute("UPDATE a SET n = n - 100 WHERE id = ?", key)

        callers = [Caller(partial(db.write, partial(_keyed, take, key))) for key in (1, 2)]
        assert [None, None] == [caller.ended() for caller in callers]
        assert 0 == db.scalar("SELECT sum(n) FROM a")
        assert 3 == len(runs)


@given(
    programs=st.lists(
        st.lists(st.tuples(st.sampled_from("rw"), st.integers(0, 2)), min_size=1, max_size=4), min_size=2, max_size=3
    )
)
def test_any_functions_are_serialisable(tables, programs):
    """Functions that read and write single-row tables, interleaved by force: the outcome is that of some order of theirs."""
    db = tables
    db.script("UPDATE t0 SET n = 0; UPDATE t1 SET n = 0; UPDATE t2 SET n = 0")
    barrier = threading.Barrier(len(programs), timeout=20)

    def run(number):
        ran: list[Any] = []

        def function(tx):
            local = number + 1
            for place, (step, table) in enumerate(programs[number]):
                if step == "r":
                    local = local * 3 + tx.scalar(f"SELECT n FROM t{table}")
                else:
                    tx.execute(f"UPDATE t{table} SET n = n * 2 + ?", local)
                if place == 0 and not ran and step == "r":
                    ran.append(1)
                    barrier.wait()
            if not ran:
                ran.append(1)

        if programs[number][0][0] == "w":
            barrier.wait()
        db.write(function, retry=100)

    callers = [Caller(partial(run, n)) for n in range(len(programs))]
    for caller in callers:
        assert None is caller.ended()
    found = tuple(db.scalar(f"SELECT n FROM t{n}") for n in range(3))
    assert found in {_in_order(programs, order) for order in _orders(range(len(programs)))}


def _orders(numbers):
    return itertools.permutations(numbers)


def _in_order(programs, order):
    tables = [0, 0, 0]
    for number in order:
        local = number + 1
        for step, table in programs[number]:
            if step == "r":
                local = local * 3 + tables[table]
            else:
                tables[table] = tables[table] * 2 + local
    return tuple(tables)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    with coeval.open(tmp_path_factory.mktemp("tables") / "app.db", durability="normal") as db:
        for n in range(3):
            db.script(f"CREATE TABLE t{n}(n); INSERT INTO t{n} VALUES (0)")
        yield db


# -- what has no stamps, and what changes the schema ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM f WHERE f MATCH 'word'",
        "SELECT count(*) FROM sqlite_schema",
        "SELECT max(rowid) FROM plain",
    ],
)
def test_reads_without_stamps(db, sql):
    """Virtual and system tables and implicit rowids: any commit at all makes it run again, none does not."""
    db.script(
        "CREATE VIRTUAL TABLE f USING fts5(w); INSERT INTO f VALUES ('word'); CREATE TABLE plain(x); INSERT INTO plain VALUES (1)"
    )
    quiet = Function(lambda tx: tx.scalar(sql), lambda: None)
    db.write(quiet, retry=0)
    assert 1 == len(quiet.seen)
    busy = Function(lambda tx: tx.scalar(sql), lambda: db.execute("INSERT INTO f VALUES ('word')"))
    db.write(busy)
    assert 2 == len(busy.seen)
    with pytest.raises(errors.SerializationError, match="no stamp"):
        db.write(Function(lambda tx: tx.scalar(sql), lambda: db.execute("UPDATE b SET n = n + 1")), retry=0)


@pytest.mark.parametrize("who", ["here", "another program"])
@pytest.mark.parametrize(
    "ddl",
    [
        "ALTER TABLE a ADD COLUMN m DEFAULT 5",
        "CREATE TABLE c(x)",
        "DROP TRIGGER IF EXISTS none",
        "CREATE INDEX i ON a(n)",
    ],
)
def test_a_schema_that_changes_meanwhile(db, foreign, who, ddl):
    """It runs again, or goes on where nothing was changed; it never ends in another error, nor in a loop."""
    change = (lambda: db.execute(ddl)) if who == "here" else (lambda: foreign.execute(ddl))
    function = Function(READS["query"], change)
    assert 0 == db.write(function)
    assert len(function.seen) <= 2
    assert 0 == of(db, "b")
    function = Function(READS["query"], lambda: db.execute("UPDATE a SET n = n + 1"))
    assert 1 == db.write(function)


def test_a_table_that_is_dropped_or_replaced_meanwhile(db, foreign):
    """What it read is another table by now: it runs again on the new one, or fails because there is none."""
    function = Function(
        READS["query"],
        lambda: foreign.script("DROP TABLE a; CREATE TABLE a(id INTEGER PRIMARY KEY, n); INSERT INTO a VALUES (1, 77)"),
    )
    assert 77 == db.write(function)
    function = Function(READS["query"], lambda: foreign.execute("DROP TABLE a"))
    with pytest.raises(errors.SQLError, match="no such table: a"):
        db.write(function)
    assert 77 == of(db, "b")


def test_it_changes_the_schema_itself(db):
    """After reading, it makes a table, fills it and reads it, in one transaction; the table is tracked afterwards."""

    def function(tx):
        n = tx.scalar("SELECT n FROM a")
        tx.execute("CREATE TABLE made(n)")
        tx.execute("INSERT INTO made VALUES (?)", n + 1)
        return tx.scalar("SELECT n FROM made")

    assert 1 == db.write(function)
    assert "stamps" == db.explain("SELECT n FROM made").validity


def test_without_stamps_of_ours(path, foreign):
    """coherence="clock": there are none, so that any commit makes it run again, and none does not."""
    foreign.script(
        "PRAGMA journal_mode=WAL;"
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n); INSERT INTO a VALUES (1, 0);"
        "CREATE TABLE b(id INTEGER PRIMARY KEY, n); INSERT INTO b VALUES (1, 0)"
    )
    with coeval.open(path, coherence="clock") as db:
        function = Function(READS["query"], lambda: None)
        db.write(function, retry=0)
        function = Function(READS["query"], lambda: foreign.execute("UPDATE a SET n = n + 1"))
        assert 1 == db.write(function)
        assert [0, 1] == function.seen


@pytest.mark.parametrize("cache", [None, "memory"])
def test_with_and_without_a_cache(path, cache):
    """The checks rest on stamps, not on entries."""
    with coeval.open(path, cache=cache) as db:
        db.script(
            "CREATE TABLE a(id INTEGER PRIMARY KEY, n); INSERT INTO a VALUES (1, 0); CREATE TABLE b AS SELECT * FROM a"
        )
        function = Function(READS["query"], lambda: db.execute("UPDATE a SET n = n + 1"))
        assert 1 == db.write(function)


# -- everything else inside it ------------------------------------------------------------------------------------------------


FIRST_WRITES = {
    "tx.execute": lambda db, tx: tx.execute("UPDATE b SET n = 9"),
    "tx.executemany": lambda db, tx: tx.executemany("UPDATE b SET n = ?", [(8,), (9,)]),
    "tx.script": lambda db, tx: tx.script("UPDATE b SET n = 8; UPDATE b SET n = 9"),
    "db.execute": lambda db, tx: db.execute("UPDATE b SET n = 9"),
    "db.executemany": lambda db, tx: db.executemany("UPDATE b SET n = ?", [(9,)]),
    "db.script": lambda db, tx: db.script("UPDATE b SET n = 9"),
    "db.transaction": lambda db, tx: _in_a_block(db),
    "db.write": lambda db, tx: db.write(lambda inner: inner.execute("UPDATE b SET n = 9")),
    "returning": lambda db, tx: tx.execute("UPDATE b SET n = 9 RETURNING n"),
    "db.load": lambda db, tx: db.load("b", [(1, 9)], upsert="id"),
}


def _in_a_block(db):
    with db.transaction() as inner:
        inner.execute("UPDATE b SET n = 9")


@pytest.mark.parametrize("how", FIRST_WRITES)
def test_every_way_to_write_is_checked(db, how):
    """Whatever the first write is, it joins, is checked against what was read, and is undone with the rest."""
    function = Function(
        READS["query"], lambda: db.execute("UPDATE a SET n = n + 1"), lambda tx, _: FIRST_WRITES[how](db, tx)
    )
    assert 1 == db.write(function)
    assert [0, 1] == function.seen
    assert 9 == of(db, "b")

    def fails(tx):
        tx.scalar("SELECT n FROM a")
        tx.execute("UPDATE b SET n = 1")
        FIRST_WRITES[how](db, tx)
        assert 9 == tx.scalar("SELECT n FROM b") == db.scalar("SELECT n FROM b")
        raise ZeroDivisionError

    db.execute("UPDATE b SET n = 5")
    with pytest.raises(ZeroDivisionError):
        db.write(fails)
    assert 5 == of(db, "b")


def test_inside_a_transaction_it_is_a_savepoint(db):
    """It joins, sees what was written, and is undone alone; the transaction goes on."""
    with db.transaction() as tx:
        tx.execute("UPDATE a SET n = 1")
        assert 1 == db.write(lambda inner: inner.scalar("SELECT n FROM a"))

        def fails(inner):
            inner.execute("UPDATE a SET n = 2")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            db.write(fails)
        assert 1 == tx.scalar("SELECT n FROM a")
    assert 1 == of(db, "a")


def test_inside_a_snapshot_it_is_on_its_own(db):
    """A snapshot only reads: the function sees what is true now, and commits."""
    with db.snapshot() as snap:
        assert 0 == snap.scalar("SELECT n FROM a")
        elsewhere(lambda: db.execute("UPDATE a SET n = 4"))
        assert 4 == db.write(
            lambda tx: tx.execute("UPDATE b SET n = ?", tx.scalar("SELECT n FROM a")) and tx.scalar("SELECT n FROM b")
        )
        assert 0 == snap.scalar("SELECT n FROM b")
    assert 4 == of(db, "b")


def test_iterators_across_the_first_write(db):
    """One that is open goes on with the rows of its moment; its rows were read, and are compared."""
    db.executemany("INSERT INTO a(n) VALUES (?)", [(n,) for n in range(1, 50)])

    def function(tx):
        rows = tx.iterate("SELECT n FROM a ORDER BY id")
        seen = [next(rows)["n"]]
        tx.execute("DELETE FROM a")
        seen += [row["n"] for row in rows]
        assert 0 == tx.scalar("SELECT count(*) FROM a")
        return seen, rows

    seen, rows = db.write(function)
    assert list(range(50)) == seen
    with pytest.raises((errors.ClosedError, StopIteration)):
        next(rows)
    assert 0 == db.scalar("SELECT count(*) FROM a")


def test_an_iterator_that_outlives_it(db):
    """It ends with its function, before or after a first write, and its reader is given back."""
    for writes in (False, True, False, True, True, True):
        kept: list[Any] = []

        def function(tx, kept=kept, writes=writes):
            rows = tx.iterate("SELECT n FROM a UNION ALL SELECT n FROM a")
            next(rows)
            kept.append(rows)
            if writes:
                tx.execute("UPDATE b SET n = n + 1")

        db.write(function)
        with pytest.raises(errors.ClosedError):
            next(kept[0])
    assert 4 == of(db, "b")


def test_it_sees_its_own_writes(db):
    """After its first write reads are of the transaction, uncached, and also of what others had committed to other tables."""

    def function(tx):
        assert 0 == tx.scalar("SELECT n FROM a")
        elsewhere(lambda: db.execute("UPDATE b SET n = 7"))
        tx.execute("UPDATE a SET n = 1")
        assert 1 == tx.scalar("SELECT n FROM a") == db.scalar("SELECT n FROM a")
        assert 0 == elsewhere(lambda: of(db, "a"))
        return tx.scalar("SELECT n FROM b")

    assert 7 == db.write(function)
    assert 1 == of(db, "a")


def test_a_write_that_fails_inside(db):
    """Caught, a constraint leaves the transaction going; let out, it undoes all."""
    db.execute("CREATE UNIQUE INDEX u ON a(n)")

    def catches(tx):
        tx.scalar("SELECT n FROM a")
        tx.execute("UPDATE b SET n = 3")
        with pytest.raises(errors.ConstraintError):
            tx.execute("INSERT INTO a(n) VALUES (5), (0)")

    db.write(catches)
    assert (3, 1) == (of(db, "b"), db.scalar("SELECT count(*) FROM a"))

    def first_one_fails(tx):
        tx.scalar("SELECT n FROM a")
        with pytest.raises(errors.ConstraintError):
            tx.execute("INSERT INTO a(n) VALUES (5), (0)")
        tx.execute("UPDATE b SET n = 4")

    db.write(first_one_fails)
    assert (4, 1) == (of(db, "b"), db.scalar("SELECT count(*) FROM a"))


def test_bad_input_takes_no_turn(db):
    """A statement that cannot run, or a value that does not fit, is refused while it still reads; it may go on."""
    turns = gate_of(db).counts.turns

    def function(tx):
        for sql, params in [
            ("UPDATE nowhere SET n = 1", ()),
            ("UPDATE b SET n = ?", (1, 2)),
            ("COMMIT", ()),
            ("UPDATE b SET n = ?", (object(),)),
        ]:
            with pytest.raises(errors.UsageError):
                tx.execute(sql, *params)
            with pytest.raises(errors.UsageError):
                tx.executemany(sql, [params])
        return tx.scalar("SELECT n FROM a")

    with held(db):
        assert 0 == db.write(function)
    assert 1 == gate_of(db).counts.turns - turns


def test_its_own_thread_and_context(db):
    """The function runs where its caller is, so that thread-locals and context variables are the caller's; no unit stays behind."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("mine")
    before = current.get()

    def function(tx):
        variable.set("changed inside")
        return threading.get_ident(), asyncio.sleep

    assert threading.get_ident() == db.write(function)[0]
    assert "changed inside" == variable.get()
    assert before is current.get()


def test_threads_inside_do_not_join(db):
    """A thread that copies the context reads what is committed, cannot use the function's `tx`, and its writes are its own."""
    found = []

    def function(tx):
        tx.execute("UPDATE a SET n = 1")
        context = contextvars.copy_context()
        found.append(elsewhere(lambda: context.run(db.scalar, "SELECT n FROM a")))
        for call in (lambda: tx.scalar("SELECT n FROM a"), lambda: tx.execute("UPDATE a SET n = 5")):
            with pytest.raises(errors.ClosedError):
                elsewhere(call)

    db.write(function)
    assert [0] == found
    kept = []

    def reads(tx):
        kept.append(tx)
        with pytest.raises(errors.ClosedError):
            elsewhere(lambda: tx.scalar("SELECT n FROM a"))
        with pytest.raises(errors.ClosedError):
            elsewhere(lambda: tx.execute("UPDATE a SET n = 5"))

    db.write(reads)
    for call in (
        lambda: kept[0].scalar("SELECT n FROM a"),
        lambda: kept[0].execute("UPDATE a SET n = 5"),
        lambda: next(kept[0].iterate("SELECT n FROM a")),
    ):
        with pytest.raises(errors.ClosedError):
            call()
    assert 1 == of(db, "a")


def test_a_coroutine_function_is_refused(db):
    """It would do nothing, and commit that: said at once, with where to go; nothing is left running."""

    async def function(tx):
        tx.execute("UPDATE a SET n = 1")

    with pytest.raises(errors.UsageError) as caught:
        db.write(function)
    assert "aio" in str(caught.value)
    assert 0 == of(db, "a")


@pytest.mark.parametrize(
    "wrong", [(None,), ("UPDATE a SET n = 1",), (lambda tx: None, -1), (lambda tx: None, "3"), (lambda tx: None, None)]
)
def test_wrong_arguments(db, wrong):
    """Said before anything is run."""
    with pytest.raises(errors.ParameterError):
        db.write(*wrong)


def test_a_time_out_at_the_first_write(path):
    """It is a LockTimeoutError that names the holder, not run again by itself; the reader is given back."""
    with coeval.open(path, timeout=0.1, readers=2) as db:
        db.script("CREATE TABLE a(n); INSERT INTO a VALUES (0)")
        with held(db, name="the slow one") as leave:
            for _ in range(4):
                with pytest.raises(errors.LockTimeoutError, match="the slow one"):
                    db.write(lambda tx: tx.execute("UPDATE a SET n = ?", tx.scalar("SELECT n FROM a") + 1))
            all_readers_are_there(db)
            leave.set()
        assert 0 == db.scalar("SELECT n FROM a")


def test_more_functions_than_readers(path):
    """Each holds a reader while it reads; those that wait for one get it, and all commit."""
    with coeval.open(path, timeout=20, readers=2) as db:
        db.script("CREATE TABLE a(n); INSERT INTO a VALUES (0)")

        def add(tx):
            tx.execute("UPDATE a SET n = ?", tx.scalar("SELECT n FROM a") + 1)

        for caller in [Caller(lambda: db.write(add, retry=1000)) for _ in range(8)]:
            assert None is caller.ended()
        assert 8 == db.scalar("SELECT n FROM a")
        all_readers_are_there(db)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("where", ["outside", "while it reads", "after it wrote"])
def test_in_a_forked_child(db, where):
    """A child writes for itself, outside; inside, the function is the parent's, and the child's end is not its commit."""

    def child():
        db.write(lambda tx: tx.execute("UPDATE a SET n = ?", tx.scalar("SELECT n FROM a") + 10))

    def fork(work):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            except errors.Error:
                code = 3
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    if where == "outside":
        assert 0 == fork(child)
        assert 10 == of(db, "a")
        return

    def function(tx):
        if where == "after it wrote":
            tx.execute("UPDATE b SET n = 1")
        n = tx.scalar("SELECT n FROM a")
        assert 3 == fork(lambda: tx.execute("UPDATE a SET n = 99"))
        assert 3 == fork(lambda: tx.scalar("SELECT n FROM a"))
        assert 3 == fork(child)
        tx.execute("UPDATE a SET n = ?", n + 1)

    db.write(function)
    assert 1 == of(db, "a")


def test_a_file_that_is_replaced_meanwhile(db, path, tmp_path, start_foreign):
    """The path leads to another file at the first write: it runs again on that one, and nothing goes to the old."""
    other = start_foreign(tmp_path / "new.db")
    other.script(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n); INSERT INTO a VALUES (1, 40);"
        "CREATE TABLE b(id INTEGER PRIMARY KEY, n); INSERT INTO b VALUES (1, 0)"
    )
    other.kill()
    runs: list[Any] = []

    def function(tx):
        runs.append(tx.scalar("SELECT n FROM a"))
        if len(runs) == 1:
            os.replace(tmp_path / "new.db", path)
        tx.execute("UPDATE b SET n = ?", runs[-1])

    db.write(function)
    assert 40 == runs[-1]
    eventually(lambda: of(db, "b") == 40)


def test_a_write_from_a_function_of_sql_is_refused(db):
    """`write` called by a statement of its own thread would wait for itself."""
    found = []

    def inner():
        for call in (
            lambda: db.write(lambda tx: tx.execute("UPDATE b SET n = 1")),
            lambda: db.execute("UPDATE b SET n = 1"),
            lambda: db.transaction().__enter__(),
        ):
            try:
                call()
            except errors.Error as error:
                found.append(type(error))
        return 1

    db.create_function("inner", inner, 0)
    db.execute("UPDATE a SET n = inner()")
    assert [errors.ReentryError] * 3 == found
    assert (1, 0) == (of(db, "a"), of(db, "b"))
