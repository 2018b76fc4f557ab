"""Connections that nobody closes: garbage is closed by a thread, which ends when all are closed, and nothing is said at exit."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import coeval
from coeval import dbapi
from coeval.dbapi import undertaker
from waiting import wait_until

NAME = "coeval-dbapi-close"


def threads():
    return [thread for thread in threading.enumerate() if thread.name == NAME]


CYCLE = """
import sys
from coeval import dbapi

class Holder:
    pass

holder = Holder()
holder.me = holder
holder.connection = dbapi.connect(sys.argv[1])
holder.connection.execute("CREATE TABLE t(a)")
holder.connection.execute("INSERT INTO t VALUES (1)")
{last}
"""


@pytest.mark.parametrize("last", ["", "sys.keep = holder", "dbapi.keep = holder; del holder", "del holder"])
def test_exit_is_silent(path, last):
    """A connection in a reference cycle at the end of a program, wherever the cycle is held: no trace back, and nothing committed."""
    source = str(Path(coeval.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", CYCLE.format(last=last), str(path)],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)
    with coeval.open(path) as db:
        assert () == db.query("SELECT a FROM t")


def test_the_thread_ends_when_all_are_closed(path, monkeypatch):
    """It is there while one is open, for finalisers cannot start it, and comes back with the next."""
    monkeypatch.setattr(undertaker, "PATIENCE", 0.02)
    for _ in range(3):
        one, two = dbapi.connect(path), dbapi.connect(path)
        one.close()
        assert 1 == len(threads())
        two.close()
        wait_until(lambda: not threads())


def test_the_thread_ends_after_the_last_that_was_forgotten(path, monkeypatch):
    """Also where nobody closes anything."""
    monkeypatch.setattr(undertaker, "PATIENCE", 0.02)
    connection = dbapi.connect(path)
    connection.execute("CREATE TABLE t(a)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del connection
        gc.collect()
    wait_until(lambda: not threads())
    assert not os.path.exists(f"{path}-wal")
