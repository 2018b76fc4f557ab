"""One file opened several times in a process is one engine; the last close closes everything and leaves no thread."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import coeval
from coeval import errors

FD = "/proc/self/fd"


def descriptors(path):
    """What this process has open of the database, its -wal and -shm."""
    found = []
    for number in os.listdir(FD):
        try:
            found.append(os.readlink(f"{FD}/{number}"))
        except OSError:
            continue
    return [name for name in found if name.startswith(str(path))]


def test_two_opens_share_the_cache(path):
    """What one has read is a hit for the other, and what one writes the other sees."""
    with coeval.open(path) as one, coeval.open(path) as two:
        one.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        assert one.query("SELECT * FROM t") is two.query("SELECT * FROM t")
        assert one.stats() == two.stats()
        two.execute("INSERT INTO t VALUES (2)")
        assert 2 == one.scalar("SELECT count(*) FROM t")


@pytest.mark.parametrize("name", ["relative", "symlink", "url", "dots", "path object"])
def test_the_same_file_by_another_name(path, monkeypatch, name):
    """Names are resolved before they are compared."""
    monkeypatch.chdir(path.parent)
    with coeval.open(path) as one:
        one.script("CREATE TABLE t(x)")
        if name == "symlink":
            os.symlink(path, path.parent / "link.db")
        other = {
            "relative": "app.db",
            "symlink": path.parent / "link.db",
            "url": f"sqlite:///{path}",
            "dots": f"{path.parent}/../{path.parent.name}/app.db",
            "path object": path,
        }[name]
        with coeval.open(other) as two:
            assert one.path == two.path == os.path.realpath(path)
            assert one.query("SELECT 1") is two.query("SELECT 1")


def test_a_hard_link_is_refused(path):
    """A second name of the same file would have another WAL, and ruin it."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        os.link(path, path.parent / "hard.db")
        with pytest.raises(errors.OpenError):
            coeval.open(path.parent / "hard.db")
        assert 0 == db.scalar("SELECT count(*) FROM t")


def test_closes_are_counted(path):
    """The engine lives until the last of its faces is closed; closing one twice counts once."""
    one, two = coeval.open(path), coeval.open(path)
    one.script("CREATE TABLE t(x)")
    one.close()
    one.close()
    assert 0 == two.scalar("SELECT count(*) FROM t")
    two.close()
    with pytest.raises(errors.ClosedError):
        two.query("SELECT 1")
    assert [] == descriptors(path)


def test_opened_again_it_is_new(path):
    """After the last close a new engine begins, with an empty cache and other settings if wanted."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        db.query("SELECT * FROM t")
    with coeval.open(path, durability="normal", readers=2) as db:
        assert (0, 0, 0) == (db.stats().entries, db.stats().hits, db.stats().misses)
        assert "normal" == db.settings.durability


def test_what_a_second_open_does_not_mention_is_as_it_was(path, monkeypatch):
    """Settings of the first open stay in force; the environment is no conflict."""
    with coeval.open(path, durability="normal", timeout=1.5) as one:
        monkeypatch.setenv("COEVAL_TIMEOUT", "9")
        with coeval.open(path) as two, coeval.open(path, timeout=1.5) as three:
            assert one.settings == two.settings == three.settings
            assert 1.5 == two.settings.timeout


def test_a_refused_open_is_not_counted(path):
    """A conflicting open leaves the count as it was."""
    with coeval.open(path, timeout=1.0) as db:
        for _ in range(3):
            with pytest.raises(errors.ConfigError, match="timeout"):
                coeval.open(path, timeout=2.0)
        db.query("SELECT 1")
    assert [] == descriptors(path)
    with coeval.open(path, timeout=2.0) as db:
        assert 2.0 == db.settings.timeout


def test_many_threads_open_at_once(path):
    """They get one engine between them, and the last close closes it."""
    barrier = threading.Barrier(8)

    def use(number):
        barrier.wait(10)
        with coeval.open(path) as db:
            db.execute("CREATE TABLE IF NOT EXISTS t(x)")
            db.execute("INSERT INTO t VALUES (?)", number)
            barrier.wait(10)
            return id(db._engine), db.scalar("SELECT count(*) FROM t")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(use, range(8)))
    assert {8} == {count for _, count in found}
    assert 1 == len({engine for engine, _ in found})
    assert [] == descriptors(path)


def test_no_thread_is_left(path, tmp_path):
    """After the last close of the last database no thread of ours runs."""
    before = set(threading.enumerate())
    with coeval.open(path) as db, coeval.open(tmp_path / "other.db") as other:
        db.query("SELECT 1")
        other.query("SELECT 1")
    deadline = time.monotonic() + 10
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, left
        for thread in left:
            thread.join(0.1)


def test_no_descriptor_is_left(path):
    """Whatever was open when it closed, nothing stays open."""
    for _ in range(3):
        db = coeval.open(path)
        db.script("CREATE TABLE IF NOT EXISTS t(x)")
        with db.snapshot() as snap:
            snap.query("SELECT * FROM t")
        list(db.iterate("SELECT 1"))
        assert descriptors(path)
        db.close()
        assert [] == descriptors(path)
    assert ["app.db", "app.db-gate"] == sorted(name.name for name in path.parent.iterdir())


def test_an_iterator_that_outlives_the_database(path):
    """It goes on to its end or says that the database is closed; its connection goes with it."""
    db = coeval.open(path)
    rows: Any = db.iterate("SELECT 1 UNION ALL SELECT 2")
    assert (1,) == next(rows)
    db.close()
    with contextlib.suppress(errors.ClosedError):
        assert [(2,)] == list(rows)
    rows.close()
    with coeval.open(path) as again:
        assert 1 == again.scalar("SELECT 1")


def test_a_program_that_does_not_close(path):
    """It ends quietly, its writes are there, and the file is sound."""
    text = """
        import sys, coeval
        db = coeval.open(sys.argv[1])
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        db.query("SELECT * FROM t")
        rows = db.iterate("SELECT 1 UNION ALL SELECT 2")
        next(rows)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", textwrap.dedent(text), str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    with coeval.open(path) as db:
        assert (1, "ok") == (db.scalar("SELECT count(*) FROM t"), db.scalar("PRAGMA integrity_check"))


def test_closing_breaks_no_cycle_that_matters(path):
    """A database that is closed and forgotten is freed."""
    import weakref

    db = coeval.open(path)
    db.query("SELECT 1")
    engine = weakref.ref(db._engine)
    db.close()
    del db
    gc.collect()
    deadline = time.monotonic() + 5
    while engine() is not None and time.monotonic() < deadline:
        gc.collect()
        threading.Event().wait(0.05)
    assert None is engine()


def test_repr(path):
    """It names the file, and says when it is closed."""
    with coeval.open(path) as db:
        assert str(path) in repr(db)
        assert "closed" not in repr(db)
    assert "closed" in repr(db)
