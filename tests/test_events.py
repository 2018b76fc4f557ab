"""Events: what is told, when, to whom, and that a listener can spoil nothing."""

# ruff: noqa: ARG005, PT012 - a listener takes what it is given; a block that is to be undone has several statements

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import coeval
from coeval import events as module
from coeval.events import Events


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE other(x); INSERT INTO t VALUES (1, 1)")
        yield db


@pytest.fixture
def told(db):
    """The names of everything that happens from now on."""
    names = []
    stop = db.listen(lambda name, facts: names.append(name))
    yield names
    stop()


SQL = "SELECT x FROM t WHERE id = 1"


def test_a_miss_a_hit_and_a_revalidation(db, told):
    """A hit by the clock is counted and not told; the others are both."""
    before = db.stats()
    db.query(SQL)
    db.query(SQL)
    db.execute("INSERT INTO other VALUES (1)")
    db.query(SQL)
    assert ["miss", "write", "revalidated"] == told
    after = db.stats()
    assert (1, 1, 1, 1) == (
        after.misses - before.misses,
        after.hits - before.hits,
        after.revalidated - before.revalidated,
        after.writes - before.writes,
    )


def test_what_is_not_cached(db, told):
    """Uncacheable statements, iterators and a transaction's reads are `uncached`."""
    db.query("SELECT random()")
    list(db.iterate("SELECT 1"))
    with db.transaction() as tx:
        tx.query(SQL)
    assert ["uncached", "uncached", "uncached", "write"] == told


def test_what_is_refused(path):
    """A result too large for the cache is a miss that was refused."""
    with coeval.open(path, memory_limit="64KiB") as db:
        names = []
        db.listen(lambda name, facts: names.append(name))
        db.query("SELECT zeroblob(100000)")
        assert ["miss", "refused"] == names
        assert (1, 0, 0) == (db.stats().refused, db.stats().entries, db.stats().bytes)


def test_a_write_that_fails_is_not_told(db, told):
    """`write` means committed."""
    with pytest.raises(coeval.Error):
        db.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("DELETE FROM t")
        raise ZeroDivisionError
    assert "write" not in told


def test_ddl_is_verified(db):
    """A change of the schema is verified in its own transaction, and says how many triggers were made."""
    heard = []
    db.listen(lambda name, facts: heard.append((name, dict(facts))))
    before = db.stats()
    db.execute("CREATE TABLE n(x)")
    verified = [facts for name, facts in heard if name == "verified"]
    assert 1 == len(verified)
    assert verified[0]["repaired"] > 0
    assert db.stats().repairs > before.repairs
    assert 1 == db.stats().verifications - before.verifications


def test_a_listener_that_raises_is_logged(db, caplog):
    """It costs the caller nothing, the other listeners nothing, and is in the log."""
    heard = []

    def failing(name, facts):
        raise ZeroDivisionError("mine")

    db.listen(failing)
    db.listen(lambda name, facts: heard.append(name))
    with caplog.at_level(logging.ERROR, "coeval"):
        assert 1 == db.scalar(SQL)
    assert ["miss"] == heard
    assert "miss" in caplog.text
    assert "mine" in caplog.text


def test_a_listener_can_stop(db):
    """What `listen` gives ends it; ending twice does no harm, and others go on."""
    one, two = [], []
    stop = db.listen(lambda name, facts: one.append(name))
    db.listen(lambda name, facts: two.append(name))
    db.query(SQL)
    stop()
    stop()
    db.query("SELECT 2")
    assert (["miss"], ["miss", "miss"]) == (one, two)


def test_the_same_listener_twice_is_ended_once():
    """Two registrations of one function are two."""
    events, heard = Events(), []

    def listener(name, facts):
        heard.append(name)

    stop = events.listen(listener)
    events.listen(listener)
    events.tell("a")
    stop()
    events.tell("b")
    assert ["a", "a", "b"] == heard


def test_facts_cannot_be_changed():
    """One listener does not change what the next one hears."""
    events, heard = Events(), []

    def spoil(name, facts):
        with pytest.raises(TypeError):
            facts["repaired"] = 0
        heard.append(dict(facts))

    events.listen(spoil)
    events.tell("verified", repaired=3)
    assert [{"repaired": 3}] == heard
    assert (1, 3) == (events.counts["verified"], events.counts["repaired"])


def test_every_name_in_use_is_documented(db):
    """What is told is listed at the top of the module."""
    heard = set()
    db.listen(lambda name, facts: heard.add(name))
    db.query(SQL)
    db.query("SELECT random()")
    db.execute("CREATE TABLE n(x)")
    db.query(SQL)
    db.vacuum()
    for name in heard:
        assert f"``{name}``" in module.__doc__
    assert {"miss", "uncached", "write", "verified"} <= heard


def test_the_sums(db):
    """hit_rate and statements follow from the counts."""
    for n in range(4):
        db.query(SQL)
        db.query("SELECT random()")
        if n % 2:
            db.execute("INSERT INTO other VALUES (1)")
    stats = db.stats()
    assert stats.hit_rate == (stats.hits + stats.revalidated) / (stats.hits + stats.revalidated + stats.misses)
    assert 0.75 == stats.hit_rate
    assert stats.statements == stats.misses + stats.uncached + stats.writes
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.hits = 0


def test_counts_from_many_threads_are_whole(db, scaled):
    """No miss and no write is lost in the counting."""
    rounds = scaled(5_000, 200)
    before = db.stats()

    def work(who):
        for n in range(rounds):
            db.query("SELECT ?, ?", who, n)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = db.stats()
    assert 4 * rounds == after.misses + after.passed - before.misses - before.passed


def test_a_warning_is_seen_where_nobody_has_set_up_logging(tmp_path: Path):
    """It is said once, so it must not be said to nobody: Python's last resort shows it. What is less than a warning stays quiet."""
    program = """if True:
        import sys, coeval
        with coeval.open(sys.argv[1]) as db:
            noted = db.cached(lambda: db.scalar("SELECT random()"))
            noted(), noted()
    """
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "app.db"], capture_output=True, text=True, timeout=60, check=True
    )
    (line,) = done.stderr.splitlines()
    assert "is not cached" in line
