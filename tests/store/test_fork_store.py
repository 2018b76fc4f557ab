"""After a fork each process has connections of its own, made when first needed; the parent's are never touched."""

from __future__ import annotations

import os
import signal
import threading
import traceback

import pytest

import coeval
from coeval import errors

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture
def db(path):
    with coeval.open(path, durability="normal", timeout=30) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, who, n); INSERT INTO t VALUES (1, 'parent', 0)")
        yield db


class Child:
    """A forked process that runs `work` and ends without any clean-up, or with Python's own."""

    def __init__(self, work, *arguments):
        self.answer, into = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            said = b"ok"
            try:
                signal.alarm(60)
                os.close(self.answer)
                work(*arguments)
            except BaseException:
                said = traceback.format_exc().encode()
            finally:
                os.write(into, said[-4000:])
                os._exit(0)
        os.close(into)

    def wait(self):
        said = b""
        while part := os.read(self.answer, 4096):
            said += part
        os.close(self.answer)
        os.waitpid(self.pid, 0)
        return said.decode()


def test_a_child_reads_and_writes(db):
    """A child uses the inherited database as it stands, and the parent goes on."""

    def work():
        assert 1 == db.scalar("SELECT count(*) FROM t")
        db.execute("INSERT INTO t(who, n) VALUES ('child', 1)")
        assert 2 == db.scalar("SELECT count(*) FROM t")
        with db.transaction() as tx:
            tx.execute("INSERT INTO t(who, n) VALUES ('child', 2)")
        assert 1 == db.stats().reopened

    db.query("SELECT count(*) FROM t")
    assert "ok" == Child(work).wait()
    assert 3 == db.scalar("SELECT count(*) FROM t")
    assert 1 >= db.stats().reopened
    db.execute("INSERT INTO t(who, n) VALUES ('parent', 1)")
    assert "ok" == db.scalar("PRAGMA integrity_check")


def test_nothing_is_opened_before_it_is_needed(db):
    """A child that never asks opens nothing."""
    listed = os.path.isdir("/proc/self/fd")

    def work():
        before = os.listdir("/proc/self/fd") if listed else []
        assert not db.closed
        assert db.path
        assert 0 == db.stats().reopened
        assert len(before) == (len(os.listdir("/proc/self/fd")) if listed else 0)

    assert "ok" == Child(work).wait()


@pytest.mark.timeout(90)
def test_prefork(db, scaled):
    """Opened before the fork, as gunicorn does with preload: four children and the parent write together, no row is lost."""
    rows = scaled(500, 50)

    def work(who):
        for n in range(rows):
            db.execute("INSERT INTO t(who, n) VALUES (?, ?)", who, n)
            assert n + 1 == db.scalar("SELECT count(*) FROM t WHERE who = ?", who)

    db.query("SELECT count(*) FROM t WHERE who = ?", 0)
    children = [Child(work, who) for who in range(4)]
    work(4)
    assert ["ok"] * 4 == [child.wait() for child in children]
    assert [(who, rows) for who in range(5)] == [
        tuple(row) for row in db.query("SELECT who, count(*) FROM t WHERE who <> 'parent' GROUP BY who ORDER BY who")
    ]
    assert "ok" == db.scalar("PRAGMA integrity_check")


def test_a_child_of_a_child(db):
    """It holds for every generation."""

    def inner():
        db.execute("INSERT INTO t(who) VALUES ('grandchild')")

    def outer():
        db.execute("INSERT INTO t(who) VALUES ('child')")
        assert "ok" == Child(inner).wait()
        assert 3 == db.scalar("SELECT count(*) FROM t")

    assert "ok" == Child(outer).wait()
    assert 3 == db.scalar("SELECT count(*) FROM t")


def test_a_childs_cache_follows_the_parents_writes(db):
    """What was cached before the fork is validated anew in the child."""
    sql = "SELECT n FROM t WHERE id = 1"
    assert 0 == db.scalar(sql) == db.scalar(sql)
    go, went = os.pipe()

    def work():
        os.read(go, 1)
        for _ in range(3):
            assert 7 == db.scalar(sql)

    child = Child(work)
    db.execute("UPDATE t SET n = 7")
    os.write(went, b"x")
    assert "ok" == child.wait()
    os.close(go)
    os.close(went)


@pytest.mark.parametrize("unit", ["transaction", "snapshot", "iterator"])
def test_a_fork_inside_a_unit(db, unit):
    """A child forked while the file is in use has no part in that, and is told why it may not use the file itself."""

    def work(open_unit):
        with pytest.raises(errors.Error):
            open_unit.query("SELECT 1")
        with pytest.raises(errors.SecondLibraryError, match="forked while") as caught:
            db.query("SELECT count(*) FROM t")
        assert "before the fork" in caught.value.hint
        open_unit.__exit__(None, None, None)

    def read():
        with pytest.raises(errors.SecondLibraryError, match="forked while"):
            db.query("SELECT count(*) FROM t")

    if unit == "iterator":
        rows = db.iterate("SELECT id FROM t UNION ALL SELECT 9")
        assert (1,) == next(rows)
        assert "ok" == Child(read).wait()
        assert [(9,)] == list(rows)
    else:
        with getattr(db, unit)() as open_unit:
            if unit == "transaction":
                open_unit.execute("INSERT INTO t(who) VALUES ('parent')")
            assert "ok" == Child(work, open_unit).wait()
            assert 1 + (unit == "transaction") == open_unit.scalar("SELECT count(*) FROM t")
    assert 1 + (unit == "transaction") == db.scalar("SELECT count(*) FROM t")
    assert 1 == db.execute("INSERT INTO t(who) VALUES ('after')").rowcount
    assert "ok" == db.scalar("PRAGMA integrity_check")


def test_a_child_and_its_parent_wait_for_each_other(path):
    """The lock is the file's: a child that writes keeps the parent waiting, and the parent's time-out is an error."""
    with coeval.open(path, timeout=0.2) as db:
        db.script("CREATE TABLE t(x)")
        (entered, enter), (leave, left) = os.pipe(), os.pipe()

        def work():
            with db.transaction() as tx:
                tx.execute("INSERT INTO t VALUES (1)")
                os.write(enter, b"x")
                os.read(leave, 1)

        child = Child(work)
        os.read(entered, 1)
        with pytest.raises(errors.LockTimeoutError):
            db.execute("INSERT INTO t VALUES (2)")
        os.write(left, b"x")
        assert "ok" == child.wait()
        assert ((1,),) == db.query("SELECT x FROM t")
        for descriptor in (entered, enter, leave, left):
            os.close(descriptor)


def test_a_fork_while_other_threads_are_busy(db, scaled):
    """Locks that other threads held at the moment of the fork do not exist in the child."""
    done = threading.Event()
    failures = []

    def use():
        try:
            n = 0
            while not done.is_set():
                n += 1
                db.execute("UPDATE t SET n = ? WHERE id = 1", n)
                db.query("SELECT n FROM t WHERE id = ?", n)
        except BaseException as error:
            failures.append(error)

    def work(number):
        db.execute("INSERT INTO t(who, n) VALUES ('child', ?)", number)
        assert number == db.scalar("SELECT max(n) FROM t WHERE who = 'child'")
        db.stats()

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(scaled(100, 8)):
            assert "ok" == Child(work, number).wait()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert [] == failures
    assert "ok" == db.scalar("PRAGMA integrity_check")


def test_a_child_that_closes(db):
    """Closing in the child closes the child's alone."""
    assert "ok" == Child(db.close).wait()
    assert 1 == db.scalar("SELECT count(*) FROM t")
    assert 1 == db.execute("INSERT INTO t(who) VALUES ('after')").rowcount


def test_a_child_that_closes_a_private_database():
    """The parent's temporary file is the parent's to remove."""
    with coeval.open(":memory:") as db:
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        assert "ok" == Child(db.close).wait()
        assert os.path.exists(db.path)
        db.execute("INSERT INTO t VALUES (2)")
        assert 2 == db.scalar("SELECT count(*) FROM t")


def test_a_child_that_opens_the_file_again(db):
    """`coeval.open` in the child joins what was inherited; descriptors left by the fork are nobody's mistake."""

    def work():
        with coeval.open(db.path) as again:
            again.execute("INSERT INTO t(who) VALUES ('child')")
        assert 2 == db.scalar("SELECT count(*) FROM t")

    assert "ok" == Child(work).wait()
    assert 2 == db.scalar("SELECT count(*) FROM t")


def test_a_function_is_inherited(db):
    """Functions that the parent gave are the child's too."""
    db.create_function("twice", lambda value: 2 * value, 1)

    def work():
        assert 4 == db.scalar("SELECT twice(2)")

    assert "ok" == Child(work).wait()


def test_the_parents_end_leaves_the_child_alone(db):
    """A child goes on after the parent has closed."""
    go, went = os.pipe()

    def work():
        os.read(go, 1)
        db.execute("INSERT INTO t(who) VALUES ('child')")
        assert 2 == db.scalar("SELECT count(*) FROM t")

    child = Child(work)
    path = db.path
    db.close()
    os.write(went, b"x")
    assert "ok" == child.wait()
    with coeval.open(path) as again:
        assert 2 == again.scalar("SELECT count(*) FROM t")
    os.close(go)
    os.close(went)
