"""Whoever holds the turn to write may be killed, stopped or forked: others go on, or are told whom they wait for (hole 15)."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress

import pytest

import coeval


@pytest.fixture
def start(program, path):
    """Start a child that does as it is told; the table is there."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t (v)")

    def start(**settings):
        child = program("holder", path=path, **settings)
        child.expect("ready")
        return child

    return start


def tell(child, *what):
    child.say(list(what))


def ask(child, *what):
    tell(child, *what)
    return child.hear()


def waits(child):
    """It does not answer, because it waits for its turn."""
    with pytest.raises(TimeoutError):
        child.hear(0.1)


def rows(path):
    with coeval.open(path, cache=None) as db:
        assert "ok" == db.scalar("PRAGMA integrity_check")
        return sorted(value for (value,) in db.query("SELECT v FROM t"))


def named(said, pid):
    """The error is about the turn, and names the process."""
    assert said.startswith("LockTimeoutError"), said
    assert re.search(rf"\b{pid}\b", said), said
    return said


@pytest.mark.parametrize("held", ["transaction", "statement"])
def test_a_killed_holder(start, path, held):
    """Whoever waits goes on at once, and nothing of the dead one's is there."""
    holder, waiter = start(), start()
    assert "held" == ask(holder, "begin" if held == "transaction" else "statement")
    tell(waiter, "write", "waiter")
    waits(waiter)
    holder.kill()
    waiter.expect("written")
    assert ["waiter"] == rows(path)


def test_a_stopped_holder_in_a_transaction(start, path):
    """Others wait for their time-out, and are told its process and how long it has held the turn; afterwards all goes on."""
    holder, waiter = start(), start(timeout=0.3)
    assert "held" == ask(holder, "begin")
    holder.pause()
    said = named(ask(waiter, "write", "too late"), holder.pid)
    assert re.search(r"\d(\.\d+)? ?s\b", said), said
    assert "transaction()" in said
    holder.resume()
    assert "committed" == ask(holder, "commit")
    assert "written" == ask(waiter, "write", "waiter")
    assert ["held", "waiter"] == rows(path)


def test_a_stopped_holder_in_a_statement(start, path):
    """The statement is in the message."""
    holder, waiter = start(), start(timeout=0.3)
    assert "held" == ask(holder, "statement")
    holder.pause()
    assert "INSERT INTO t VALUES (hold())" in named(ask(waiter, "write", "too late"), holder.pid)
    holder.resume()
    tell(holder, "go on")
    holder.expect("written")
    assert "written" == ask(waiter, "write", "waiter")
    assert ["statement", "waiter"] == rows(path)


def test_a_holder_that_is_no_coeval(start, path, foreign):
    """A foreign program that keeps a transaction open is named by its process; reads go on."""
    waiter = start(timeout=0.3)
    foreign.execute("BEGIN IMMEDIATE")
    named(ask(waiter, "write", "too late"), foreign.pid)
    foreign.execute("COMMIT")
    assert "written" == ask(waiter, "write", "waiter")


def test_a_killed_waiter(start, path):
    """Nobody waits for the dead: the one behind it comes next."""
    holder, killed, waiter = start(), start(), start()
    assert "held" == ask(holder, "begin")
    tell(killed, "write", "killed")
    waits(killed)
    tell(waiter, "write", "waiter")
    killed.kill()
    waits(waiter)
    assert "committed" == ask(holder, "commit")
    waiter.expect("written")
    assert ["held", "waiter"] == [row for row in rows(path) if row != "killed"]


def test_a_stopped_waiter(start, path):
    """It may be given the turn while it is stopped: others are told its name, and go on when it does."""
    holder, stopped, waiter = start(), start(), start(timeout=0.3)
    assert "held" == ask(holder, "begin")
    tell(stopped, "write", "stopped")
    waits(stopped)
    stopped.pause()
    assert "committed" == ask(holder, "commit")
    said = ask(waiter, "write", "waiter")
    if said != "written":
        named(said, stopped.pid)
    stopped.resume()
    stopped.expect("written")
    assert "written" == ask(waiter, "write", "waiter again")


@pytest.mark.parametrize("how", ["gone", "noise"])
def test_a_side_file_that_is_damaged_while_it_is_in_use(start, path, how):
    """Nothing but fairness and names rests on it: writers go on in any case."""
    one, other = start(), start(timeout=1.0)
    assert ["written"] * 2 == [ask(one, "write", "first"), ask(other, "write", "first")]
    side = path.with_name(f"{path.name}-gate")
    if how == "gone":
        side.unlink()
    else:
        with side.open("r+b") as file:
            file.write(b"\xfe" * 4096)
    for number in range(20):
        assert ["written"] * 2 == [ask(one, "write", str(number)), ask(other, "write", str(number))]
    assert "held" == ask(one, "begin")
    assert ask(other, "write", "too early").startswith("LockTimeoutError")
    assert "committed" == ask(one, "commit")
    assert "written" == ask(other, "write", "last")
    assert 44 == len(rows(path))


@pytest.fixture
def forked(start):
    """A holder in a transaction, and the number of the child that it has forked; the child is dead at the end."""
    pids = []

    def run(how):
        holder = start()
        assert "held" == ask(holder, "begin")
        pids.append(ask(holder, "fork", how))
        return holder

    yield run
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_child_does_not_keep_the_turn_of_a_killed_holder(start, path, forked):
    """The holder dies, its child lives on with whatever it inherited: others go on at once."""
    holder, waiter = forked("sleep"), start()
    tell(waiter, "write", "waiter")
    waits(waiter)
    os.kill(holder.pid, signal.SIGKILL)
    waiter.expect("written")
    assert ["waiter"] == rows(path)


def test_a_child_does_not_keep_the_turn_that_was_passed_on(start, path, forked):
    """The holder commits, its child lives on: others go on, and the holder too."""
    holder, waiter = forked("sleep"), start()
    assert "committed" == ask(holder, "commit")
    assert "written" == ask(waiter, "write", "waiter")
    assert "written" == ask(holder, "write", "holder")
    assert ["held", "holder", "waiter"] == rows(path)


@pytest.mark.parametrize("how", ["at once", "clean up"])
def test_a_child_does_not_pass_the_turn_on(start, path, forked, how):
    """The end of a child, with clean-up or without, is not the end of the holder's turn."""
    holder, waiter = forked(how), start(timeout=0.3)
    assert "transaction()" in named(ask(waiter, "write", "too early"), holder.pid)  # SQLite's lock alone would not tell
    assert "committed" == ask(holder, "commit")
    assert "written" == ask(waiter, "write", "waiter")
    assert ["held", "waiter"] == rows(path)
