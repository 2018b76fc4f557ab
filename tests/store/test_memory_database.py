""":memory: is a private temporary file: everything works, nobody else sees it, and it is gone at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import coeval


def test_everything_works():
    """Cached reads, transactions, snapshots and threads, as on any file."""
    with coeval.open(":memory:") as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 1)")
        assert [((1, 1),)] * 3 == [db.query("SELECT * FROM t") for _ in range(3)]
        assert 2 == db.stats().hits
        with db.transaction() as tx:
            tx.execute("UPDATE t SET x = 2")
        assert 2 == db.scalar("SELECT x FROM t")
        found = []
        thread = threading.Thread(target=lambda: found.append(db.scalar("SELECT x FROM t")))
        thread.start()
        thread.join()
        assert [2] == found
        with db.snapshot() as snap:
            assert 2 == snap.scalar("SELECT x FROM t")
        assert "wal" == db.scalar("PRAGMA journal_mode")
        db.vacuum()
        assert 2 == db.scalar("SELECT x FROM t")


def test_each_is_its_own():
    """Two of them share nothing."""
    with coeval.open(":memory:") as one, coeval.open(":memory:") as two:
        one.script("CREATE TABLE t(x)")
        assert () == two.query("SELECT name FROM sqlite_schema WHERE name = 't'")
        assert one.path != two.path


def test_nobody_else_can_read_it():
    """Its folder is for this user alone."""
    with coeval.open(":memory:") as db:
        assert 0 == os.stat(os.path.dirname(db.path)).st_mode & 0o077


def test_it_is_gone_when_it_is_closed():
    """The file and its folder."""
    with coeval.open(":memory:") as db:
        db.script("CREATE TABLE t(x)")
        folder = os.path.dirname(db.path)
        assert os.path.isdir(folder)
    assert not os.path.exists(folder)


def test_it_is_gone_when_the_program_ends():
    """A program that never closes it leaves nothing behind either, and ends quietly."""
    text = """
import coeval
db = coeval.open(":memory:")
db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
db.query("SELECT * FROM t")
print(db.path)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, check=True)
    assert "" == done.stderr
    assert not os.path.exists(os.path.dirname(done.stdout.strip()))


def test_settings_apply():
    """They are given like those of a file."""
    with coeval.open(":memory:", cache=None, page_size=8192) as db:
        assert 8192 == db.scalar("PRAGMA page_size")
        assert None is db.settings.cache
