"""The quick paths ask one variable whether anything is around a call; it is never wrong, and is not left set for long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from coeval.around import busy

SUM, COUNT = "SELECT sum(v) FROM t", "SELECT count(*) FROM u"


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (v); CREATE TABLE u (v)")
    for sql in (SUM, COUNT):
        assert db.query(sql) is db.query(sql), "each is a hit"
    return db


def test_a_hit_after_another_thread_s_in_a_tracked_call_is_told(db):
    """Each thread of the call is in it from its first read to its last."""

    @db.cached
    def count():
        db.query(SUM)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(db.query, COUNT).result()
            found = pool.submit(lambda: db.query(COUNT)[0][0]).result()
        return found, db.query(COUNT)[0][0]

    assert (0, 0) == count() == count()
    db.execute("INSERT INTO u VALUES (1)")
    assert (1, 1) == count()


def test_what_follows_an_inner_block_is_in_the_outer_one(db, open_db, tmp_path):
    """Blocks of two databases, which end in any order."""
    other = open_db(tmp_path / "other.db")
    with db.transaction() as tx:
        tx.execute("INSERT INTO u VALUES (1)")
        with other.snapshot():
            assert 1 == db.query(COUNT)[0][0]
        other.query("SELECT 1")
        assert 1 == db.query(COUNT)[0][0]
    assert busy.get()
    assert 1 == db.query(COUNT)[0][0]
    assert not busy.get(), "the next call is quick again"


def test_a_write_after_a_block_is_quick_again(db):
    """It shares a batch, as before."""
    with db.snapshot():
        pass
    db.execute("INSERT INTO u VALUES (1)")
    assert not busy.get()
