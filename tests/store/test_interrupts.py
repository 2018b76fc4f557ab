"""Ctrl-C, and whatever else a signal handler raises, at any moment: no stale read, no held turn, no lost reader (laws 1 and 7)."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import coeval

from interrupting import interrupted_at


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("kind", ["revalidated", "missed", "uncached", "first"])
def test_a_read_interrupted_at_each_step(path, start_foreign, kind):
    """The next read, on whatever connection, sees the commit that came meanwhile, and all readers are there."""
    other = start_foreign()
    with coeval.open(path, readers=2, timeout=2) as db:
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES (0); CREATE TABLE u(x)")
        sql = "SELECT x FROM t" if kind != "uncached" else "SELECT x, random() * 0 FROM t"
        read = {"first": lambda: db.first(sql)}.get(kind, lambda: db.query(sql))
        number, going = 0, True
        while going and number < 400:
            number += 1
            read()
            other.execute("INSERT INTO u VALUES (1)" if kind == "revalidated" else "UPDATE t SET x = x + 1")
            going = interrupted_at(number, read)
            other.execute("UPDATE t SET x = x + 1")
            expected = other.execute("SELECT x FROM t")[0][0]
            for _ in range(3):
                assert expected == db.query("SELECT x FROM t")[0][0], number
                assert expected == db.query(sql)[0][0], number
        assert number > 10


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wait_for_another_programs_lock(path, foreign):
    """SQLite waits inside BEGIN IMMEDIATE; the handler raises when it has just got the lock, which must not stay taken."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
    program = """
        import signal, sys, coeval
        def stop(number, frame):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, stop)
        db = coeval.open(sys.argv[1], timeout=20)
        print("waiting", flush=True)
        sys.stdin.readline()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            db.execute("INSERT INTO t VALUES (1)")
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        db.execute("INSERT INTO t VALUES (2)")
        print("written", flush=True)
        sys.stdin.readline()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        assert "waiting\n" == child.stdout.readline()
        foreign.execute("BEGIN IMMEDIATE")
        child.stdin.write("go\n")
        child.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.6)  # the signal has come, and SQLite goes on waiting
        foreign.execute("COMMIT")
        assert "interrupted\n" == child.stdout.readline()
        assert "written\n" == child.stdout.readline()
        foreign.execute("INSERT INTO t VALUES (3)")  # and nobody else is locked out
        child.stdin.write("end\n")
        child.stdin.close()
        assert 0 == child.wait(30)
    assert [(2,), (3,)] == foreign.execute("SELECT x FROM t ORDER BY x")
