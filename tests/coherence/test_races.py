"""The races that caches lose, each as one fixed interleaving: ours, and the usual cache that the same interleaving catches.

A reader is stopped in the middle of its statement by ``pause``, a SQL function; the test moves the other side on in the meantime.
"""

# ruff: noqa: PT012 - the block that raises is the transaction itself
from __future__ import annotations

import contextvars
import os
import signal
import threading

import pytest

import coeval
from coherence import naive
from coherence.asking import Pause, Started, cached, keep, plain, truth

READ = "SELECT pause(v) FROM t ORDER BY id"
WRITE = "UPDATE t SET v = v + 10"
OLD, NEW, NEWER = ((1,), (2,)), ((11,), (12,)), ((21,), (22,))


@pytest.fixture
def pause() -> Pause:
    """Stops a statement in the middle of its rows."""
    return Pause()


@pytest.fixture
def db(db, pause) -> coeval.Database:
    """Two rows, and ``pause`` known to SQL."""
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 1), (2, 2)")
    db.create_function("pause", pause, 1, deterministic=True)
    assert db.explain(READ).cacheable
    return db


# -- 1, 2: a write during a load -----------------------------------------------------------------------------------------


def test_a_load_that_a_write_overtakes_is_not_kept_as_new(db, pause, foreign):
    """Race 1: A reads old rows, B commits, A stores. The next read has B's."""
    load = pause.stop(lambda: cached(db, READ))
    foreign.execute(WRITE)
    pause.go()
    assert OLD == load.result()  # it began before the commit
    assert NEW == cached(db, READ)
    assert NEW == cached(db, READ)


def test_the_same_load_is_caught_in_a_cache_that_deletes_after_commit(db, pause):
    """Race 1 in cache-aside: what A stores after B's deletion stays."""
    cache = naive.DeleteAfterCommit(db)
    load = pause.stop(lambda: cache.query(READ))
    cache.write(WRITE)
    pause.go()
    load.result()
    assert OLD == cache.query(READ) != truth(db, READ)


def test_the_same_load_by_a_writer_of_this_process(db, pause):
    """Race 1 with our own writer: it waits for no reader, and what it overtook is worth nothing."""
    load = pause.stop(lambda: cached(db, READ))
    db.execute(WRITE)
    pause.go()
    assert OLD == load.result()
    assert NEW == cached(db, READ)


def test_the_same_load_is_caught_in_a_cache_that_stamps_after_the_query(db, pause):
    """Race 2: the old rows get the new version, and are stale for ever."""
    cache = naive.StampAfterQuery(db)
    load = pause.stop(lambda: cache.query(READ))
    cache.write(WRITE)
    pause.go()
    load.result()
    assert OLD == cache.query(READ) != truth(db, READ)


def test_a_slow_load_never_replaces_a_newer_result_with_a_wrong_proof(db, pause, foreign):
    """Races 1 and 2 with a second reader that stores first: the slow one may take its place, and is then worth nothing."""
    load = pause.stop(lambda: cached(db, READ))
    foreign.execute(WRITE)
    assert NEW == cached(db, READ)
    pause.go()
    assert OLD == load.result()
    for _ in range(3):
        assert NEW == cached(db, READ)


# -- 3: between an invalidation and its write -----------------------------------------------------------------------------


def test_a_read_between_the_write_and_its_commit_is_not_kept_beyond_it(db, foreign):
    """Race 3: a read while the write is under way keeps the old rows, for as long as they are true."""
    foreign.execute("BEGIN IMMEDIATE")
    assert OLD == keep(db, READ)
    foreign.execute(WRITE)
    assert OLD == keep(db, READ)
    foreign.execute("COMMIT")
    assert NEW == cached(db, READ)


def test_the_same_read_is_caught_in_a_cache_that_deletes_before_the_write(db):
    """Race 3: the read between deletion and write fills the old rows."""
    cache = naive.DeleteBeforeWrite(db, between=lambda: cache.query(READ))
    cache.write(WRITE)
    assert OLD == cache.query(READ) != truth(db, READ)


# -- 4: an old snapshot fills --------------------------------------------------------------------------------------------


def test_an_old_snapshot_fills_nothing_for_the_present(db, foreign):
    """Race 4: a snapshot opened before the commit reads after it: its rows are served to nobody else."""
    with db.snapshot() as snap:
        foreign.execute(WRITE)
        assert OLD == plain(snap.query(READ))
        outside = contextvars.Context()
        assert NEW == outside.run(cached, db, READ)
        assert OLD == plain(snap.query(READ))
        assert NEW == outside.run(cached, db, READ)
    assert NEW == cached(db, READ)


def test_the_same_snapshot_is_caught_in_a_cache_that_deletes_after_commit(db):
    """Race 4 in cache-aside: the old snapshot's rows are stored after the deletion."""
    cache = naive.DeleteAfterCommit(db)
    with db.snapshot() as snap:
        contextvars.Context().run(cache.write, WRITE)
        cache.entries[READ] = plain(snap.iterate(READ))  # what a read inside the snapshot does
    assert OLD == cache.query(READ) != truth(db, READ)


# -- 6: rows that never existed -------------------------------------------------------------------------------------------


def test_what_a_transaction_read_and_rolled_back_is_served_to_nobody(db):
    """Race 6: inside the transaction its own rows, afterwards the old ones, and nobody outside ever saw the new."""
    keep(db, READ)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute(WRITE)
        assert NEW == plain(tx.query(READ))
        assert NEW == cached(db, READ)  # joins the transaction
        assert OLD == Started(lambda: cached(db, READ)).result()
        raise ZeroDivisionError
    assert OLD == cached(db, READ)


def test_the_same_rollback_is_caught_in_a_cache_that_keeps_dirty_reads(db):
    """Race 6: a row that never existed is served."""
    cache = naive.CachedInTransaction(db)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute(WRITE)
        cache.query_within(tx, READ)
        raise ZeroDivisionError
    assert NEW == cache.query(READ) != truth(db, READ)


def test_a_rollback_to_a_savepoint_is_not_kept(db):
    """Race 6 inside a transaction that commits: what the inner block undid was never true for others."""
    keep(db, READ)
    with db.transaction() as tx:
        tx.execute(WRITE)
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.execute(WRITE)
            assert NEWER == cached(db, READ)
            raise ZeroDivisionError
        assert NEW == cached(db, READ)
    assert NEW == cached(db, READ)


def test_a_rolled_back_write_of_another_program_changes_nothing(db, foreign):
    """Race 6 from outside: after a ROLLBACK the old entry is still good, and it is still true."""
    rows = db.query(READ)
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute(WRITE)
    assert OLD == cached(db, READ)
    foreign.execute("ROLLBACK")
    assert rows is db.query(READ)
    assert OLD == truth(db, READ)


# -- 8, 9: rows that come and move ------------------------------------------------------------------------------------------


def test_lists_learn_of_rows_that_come_and_go(db, foreign):
    """Race 8: an inserted row, one that moves into the condition, and one that leaves it."""
    wide = "SELECT id FROM t WHERE v > ? ORDER BY id"
    assert () == keep(db, wide, 5)
    foreign.execute("INSERT INTO t VALUES (3, 6)")
    assert ((3,),) == keep(db, wide, 5)
    foreign.execute("UPDATE t SET v = 9 WHERE id = 1")
    assert ((1,), (3,)) == keep(db, wide, 5)
    foreign.execute("UPDATE t SET v = 0 WHERE id = 3")
    assert ((1,),) == cached(db, wide, 5)


def test_the_same_rows_are_caught_in_a_cache_tagged_by_the_rows_it_returned(db):
    """Race 8: the empty list never learns of the new row."""
    cache = naive.TaggedByRows(db)
    wide = "SELECT id FROM t WHERE v > 5"
    assert () == cache.query(wide)
    cache.write_rows("INSERT INTO t VALUES (3, 6)", 3)
    assert () == cache.query(wide) != truth(db, wide)


def test_a_row_that_moves_twice_leaves_no_trace(db, foreign, neighbour):
    """Race 9: 1 to 2 to 3 by two writers; all three conditions are right after each step."""
    where = "SELECT id FROM t WHERE v = ? ORDER BY id"
    db.execute("DELETE FROM t WHERE id = 2")
    for step, writer in ((2, foreign), (3, neighbour)):
        for value in (1, 2, 3):
            keep(db, where, value)
        writer.execute("UPDATE t SET v = ?", step)
        assert [value == step for value in (1, 2, 3)] == [bool(cached(db, where, value)) for value in (1, 2, 3)]


# -- 10, 12, 14: writes that nobody announces ---------------------------------------------------------------------------------


def test_another_program_s_write_is_caught_in_a_cache_with_a_time_to_live(db, foreign):
    """Races 10, 12 and 14: it serves what was, until the time is over. Ours asks the file."""
    time = [0.0]
    cache = naive.TimeToLive(db, lambda: time[0])
    assert OLD == cache.query(READ) == keep(db, READ)
    foreign.execute(WRITE)
    assert OLD == cache.query(READ) != truth(db, READ)
    assert NEW == cached(db, READ)
    time[0] = 61.0
    assert NEW == cache.query(READ)


def test_a_writer_that_is_killed_after_its_commit_has_announced_it(db, foreign, start_foreign):
    """Race 12: there is no message that could be lost between COMMIT and its sender's death."""
    keep(db, READ)
    foreign.execute(WRITE)
    os.kill(foreign.pid, signal.SIGKILL)
    assert NEW == keep(db, READ)
    start_foreign().execute(WRITE)
    assert NEWER == cached(db, READ)


def test_a_writer_that_is_killed_before_its_commit_has_written_nothing(db, start_foreign):
    """Race 12 the other way: the old entry stays true; the next writer's commit is seen at once."""
    keep(db, READ)
    writer = start_foreign()
    writer.execute("BEGIN IMMEDIATE")
    writer.execute(WRITE)
    writer.kill()
    assert OLD == cached(db, READ) == truth(db, READ)
    start_foreign().execute(WRITE)
    assert NEW == cached(db, READ)


def test_two_memory_tiers_know_of_each_other_s_writes(db, start_neighbour):
    """Race 14: two processes with a memory cache each, writing in turns: neither is ever stale."""
    plain_read = "SELECT v FROM t WHERE id = 1"
    neighbour = start_neighbour()
    for expected in range(100, 140, 2):
        neighbour.query(plain_read)
        db.execute("UPDATE t SET v = ? WHERE id = 1", expected)
        assert [[expected]] == neighbour.query(plain_read)
        assert ((expected,),) == keep(db, plain_read)
        neighbour.execute("UPDATE t SET v = ? WHERE id = 1", expected + 1)
        assert ((expected + 1,),) == cached(db, plain_read)


# -- 11, 13: stamps that are missing ---------------------------------------------------------------------------------------


def test_a_missing_stamp_matches_nothing(db, foreign):
    """Race 13: with the stamps gone nothing is served from the cache, not even when all are missing on both sides."""
    keep(db, READ)
    foreign.execute("DELETE FROM _coeval_stamps")
    for expected in (NEW, NEWER):
        db.query(READ)
        foreign.execute(WRITE)
        assert expected == cached(db, READ)
        assert expected == cached(db, READ)


def test_the_same_is_caught_in_a_cache_that_takes_a_missing_stamp_for_fresh(db):
    """Race 13: an evicted stamp keeps the old entry alive."""
    cache = naive.MissingIsFresh(db)
    cache.query(READ)
    cache.write(WRITE)
    cache.version = None
    assert OLD == cache.query(READ) != truth(db, READ)


def test_stamps_that_come_back_make_nothing_valid_again(db, path, foreign):
    """Races 11 and 13: stamps removed by another program and made anew at the next opening are other stamps."""
    keep(db, READ)
    foreign.execute("DELETE FROM _coeval_stamps")
    foreign.execute(WRITE)
    foreign.execute("CREATE TABLE other (v)")  # so that the stamps are looked at and repaired
    assert NEW == keep(db, READ)
    foreign.execute(WRITE)
    assert NEWER == cached(db, READ)


# -- hole 5: flights ---------------------------------------------------------------------------------------------------------


def test_a_late_caller_does_not_get_an_older_load_s_answer(db, pause, foreign):
    """Hole 5: B's call begins after the commit that A's load, still under way, cannot have seen."""
    load = pause.stop(lambda: cached(db, READ))
    foreign.execute(WRITE)
    late = Started(lambda: cached(db, READ)).result()
    pause.go()
    assert NEW == late
    assert OLD == load.result()


def test_the_same_late_caller_is_caught_in_a_cache_that_joins_any_flight(db, pause):
    """Hole 5: it waits for the older load, and gets an answer older than the commit it has seen."""
    cache = naive.JoinAnyFlight(db)
    load = pause.stop(lambda: cache.query(READ))
    db.execute(WRITE)
    late = Started(lambda: cache.query(READ))
    assert cache.joined.wait(30)
    pause.go()
    load.result()
    assert OLD == late.result() != truth(db, READ)


# -- who belongs to a transaction -----------------------------------------------------------------------------------------------


def test_a_thread_with_a_copied_context_does_not_join_the_transaction(db):
    """A child thread inherits the context but never the write transaction: it sees what is committed."""
    with db.transaction() as tx:
        tx.execute(WRITE)
        context = contextvars.copy_context()
        assert OLD == Started(lambda: context.run(cached, db, READ)).result()
    assert NEW == cached(db, READ)


def test_results_cleared_during_a_load_stay_cleared(db, pause):
    """A function given while a load stands in its rows: the load's result, made with the old one, is not kept."""
    db.create_function("twice", lambda v: 2 * v, 1, deterministic=True)
    sql = "SELECT twice(pause(v)) FROM t WHERE id = 1"
    load = pause.stop(lambda: cached(db, sql))
    db.create_function("twice", lambda v: 200 * v, 1, deterministic=True)
    pause.go()
    load.result()
    assert ((200,),) == cached(db, sql) == truth(db, sql)


def test_readers_at_one_barrier_all_see_the_commit(db, foreign):
    """Eight threads that start together after a commit: none has the old rows."""
    for expected in (NEW, NEWER):
        keep(db, READ)
        barrier = threading.Barrier(9)

        def read(barrier: threading.Barrier = barrier) -> object:
            barrier.wait(30)
            return cached(db, READ)

        readers = [Started(read) for _ in range(8)]
        foreign.execute(WRITE)
        barrier.wait(30)
        assert [expected] * 8 == [reader.result() for reader in readers]
