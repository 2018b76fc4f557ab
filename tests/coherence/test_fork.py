"""After a fork parent and child have connections of their own, and each sees the other's commits at once (law 1, hole 15)."""

from __future__ import annotations

import multiprocessing
import os
import select
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

import coeval
from coherence.asking import cached

READ = "SELECT v FROM t"
PATIENCE = 20.0

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


class Child:
    """A forked child that runs a function, talks in lines, and never comes back into the tests."""

    def __init__(self, work: Callable[[Child], None]) -> None:
        out, self._in = os.pipe()
        go, self._go = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what this is about
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(out)
                os.close(self._go)
                self._go = go
                work(self)
                self.say("end")
                code = 0
            except BaseException:
                self.say(repr(traceback.format_exc()[-600:]))
            finally:
                os._exit(code)
        os.close(self._in)
        os.close(go)
        self._out = out
        self._heard = b""

    # in the child
    def say(self, what: object) -> None:
        os.write(self._in, f"{what}\n".encode())

    def wait(self) -> None:
        """Until the parent says `go`."""
        os.read(self._go, 1)

    # in the parent
    def go(self) -> None:
        os.write(self._go, b"!")

    def hear(self) -> str:
        """The next line it says."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self._heard:
            assert select.select([self._out], [], [], max(0.0, end - time.monotonic()))[0], "the child says nothing"
            data = os.read(self._out, 4096)
            assert data, "the child is gone"
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self._out)
        os.close(self._go)


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[Child], None]], Child]]:
    """Fork a child that runs a function; it is dead at the end."""
    children: list[Child] = []

    def start(work: Callable[[Child], None]) -> Child:
        children.append(Child(work))
        return children[-1]

    yield start
    for child in children:
        child.end()


@pytest.fixture(params=["header", "data_version"])
def db(request, open_db):
    db = open_db(commit_clock=request.param, timeout=3.0)
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (0)")
    return db


def warm(db: coeval.Database) -> None:
    """Read often enough that the result is in the cache."""
    for _ in range(3):
        db.query(READ)


def set_to(db: coeval.Database, value: int) -> None:
    db.execute("UPDATE t SET v = ?", value)


def test_parent_and_child_see_each_other_s_commits_at_once(db, fork):
    """In turns, each with a warm cache: no read of either is stale."""
    warm(db)

    def work(child: Child) -> None:
        for value in range(0, 20, 2):
            child.wait()
            child.say(db.query(READ)[0][0])
            set_to(db, value + 1)
            warm(db)
            child.say("written")

    child = fork(work)
    for value in range(0, 20, 2):
        set_to(db, value)
        warm(db)
        child.go()
        assert str(value) == child.hear()
        assert "written" == child.hear()
        assert ((value + 1,),) == cached(db, READ)
    assert "end" == child.hear()


def test_a_foreign_program_is_seen_by_both(db, fork, foreign):
    """The inherited entries have no inherited marks."""
    warm(db)

    def work(child: Child) -> None:
        for _ in range(5):
            child.wait()
            child.say(db.query(READ)[0][0])

    child = fork(work)
    for value in range(1, 6):
        foreign.execute("UPDATE t SET v = ?", value)
        child.go()
        assert str(value) == child.hear()
        assert ((value,),) == cached(db, READ)


@pytest.mark.parametrize("unit", ["transaction", "snapshot", "iterator"])
def test_a_fork_while_the_parent_is_inside(db, fork, unit):
    """The child inherits locks that are not its own: it refuses with the reason, and never answers wrongly; the parent goes on."""
    warm(db)

    def work(child: Child) -> None:
        for call in (lambda: db.query(READ), lambda: set_to(db, 99), lambda: db.scalar(READ), lambda: warm(db)):
            try:
                call()
            except coeval.Error as error:
                child.say(type(error).__name__ if "fork" in str(error) else error)
            else:
                child.say("answered")
            child.wait()

    def ask(child: Child) -> None:
        assert "SecondLibraryError" == child.hear()
        child.go()

    if unit == "transaction":
        with db.transaction() as tx:
            tx.execute("UPDATE t SET v = 1")
            child = fork(work)
            ask(child)
            tx.execute("UPDATE t SET v = v + 1")
    elif unit == "snapshot":
        with db.snapshot() as snap:
            child = fork(work)
            ask(child)
            assert 0 == snap.query(READ)[0][0]
        set_to(db, 2)
    else:
        db.execute("INSERT INTO t VALUES (0)")
        rows = db.iterate(READ)
        next(rows)
        child = fork(work)
        ask(child)
        assert 0 == next(rows)[0]
        rows.close()
        db.execute("DELETE FROM t WHERE rowid = 2")
        set_to(db, 2)
    for _ in range(3):
        ask(child)
    assert "end" == child.hear()
    assert ((2,),) == cached(db, READ)


def test_the_child_leaves_the_parent_s_transaction_alone(db, fork):
    """Leaving the block in the child neither commits nor rolls back what is the parent's."""

    with db.transaction() as tx:
        tx.execute("UPDATE t SET v = 1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            code = 1
            try:
                tx.__exit__(None, None, None)
                code = 0
            finally:
                os._exit(code)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        tx.execute("UPDATE t SET v = v + 1")
        assert 2 == tx.scalar(READ)
    assert ((2,),) == cached(db, READ)


def test_a_child_s_snapshot_is_protected_from_the_parent_s_checkpoints(db, fork, foreign):
    """The child's read mark is a lock of its own: what its snapshot reads is not overwritten by anybody's checkpoint."""
    with db.transaction() as tx:
        tx.executemany("INSERT INTO t VALUES (?)", ((0,) for _ in range(5_000)))

    def work(child: Child) -> None:
        with db.snapshot() as snap:
            child.say(snap.scalar("SELECT sum(v) FROM t"))
            child.wait()
            child.say({row[0] for row in snap.iterate("SELECT v FROM t")})

    warm(db)
    child = fork(work)
    assert "0" == child.hear()
    for value in range(1, 4):
        db.execute("UPDATE t SET v = ?", value)
        if value == 1:
            foreign.execute("PRAGMA busy_timeout = 0")
            foreign.execute("PRAGMA wal_checkpoint(RESTART)")
    child.go()
    assert "{0}" == child.hear()


@pytest.mark.parametrize("who", ["the parent", "the child"])
def test_one_closes_and_the_other_goes_on(db, fork, start_foreign, who):
    """The last connection of one process is not the last of the file: no commit of the other is lost."""
    warm(db)

    def work(child: Child) -> None:
        set_to(db, 1)
        child.say("ready")
        child.wait()
        if who == "the child":
            db.close()
            return
        set_to(db, 2)
        child.say(db.query(READ)[0][0])

    child = fork(work)
    assert "ready" == child.hear()
    if who == "the parent":
        db.close()
        child.go()
        assert "2" == child.hear()
    else:
        child.go()
        assert "end" == child.hear()
        set_to(db, 2)
    assert [(2,)] == start_foreign().execute(READ)


def test_both_write_as_fast_as_they_can(db, fork, foreign, scaled):
    """Increments of both: none is lost, so their write locks keep each other out."""
    count = scaled(20_000, 150)

    def work(child: Child) -> None:
        for _ in range(count):
            db.execute("UPDATE t SET v = v + 1")

    db.query(READ)
    child = fork(work)
    for _ in range(count):
        db.execute("UPDATE t SET v = v + 1")
    assert "end" == child.hear()
    assert ((2 * count,),) == cached(db, READ)
    assert [("ok",)] == foreign.execute("PRAGMA integrity_check")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not list descriptors")
def test_the_child_closes_no_inherited_descriptor(db, path, fork):
    """Closing one would drop locks of the child's own later connections, and nothing of the parent's is the child's to close."""
    warm(db)
    set_to(db, 1)
    before = opened(path)

    def work(child: Child) -> None:
        child.say(before <= opened(path))
        set_to(db, 2)
        warm(db)
        import gc

        gc.collect()
        child.say(before <= opened(path))
        db.close()
        child.say(before <= opened(path))

    child = fork(work)
    if before <= opened(path):  # connections that were open at the fork, and not closed for it
        assert ["True"] * 3 == [child.hear() for _ in range(3)]
    warm(db)


def opened(path) -> frozenset[int]:
    """Descriptors of this process on the file and its companions."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(os.fspath(path)):
                found.add(int(name))
    return frozenset(found)


def test_a_grandchild(db, fork):
    """A fork of a fork sees, and is seen."""

    def work(child: Child) -> None:
        warm(db)

        def deeper(grandchild: Child) -> None:
            set_to(db, 7)
            grandchild.say(db.query(READ)[0][0])

        grandchild = Child(deeper)
        child.say(grandchild.hear())
        child.say(db.query(READ)[0][0])
        grandchild.end()

    warm(db)
    child = fork(work)
    assert ["7", "7"] == [child.hear(), child.hear()]
    assert ((7,),) == cached(db, READ)


def _work(db, results, number):
    db.query(READ)
    db.execute("UPDATE t SET v = v + ?", number)
    results.put(db.query(READ)[0][0] >= number)


def test_multiprocessing_by_fork(db):
    """Workers of multiprocessing use the database that they inherited."""
    warm(db)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        workers = [context.Process(target=_work, args=(db, results, 10**number)) for number in range(3)]
        for worker in workers:
            worker.start()
    assert [True] * 3 == [results.get(timeout=PATIENCE) for _ in workers]
    for worker in workers:
        worker.join(PATIENCE)
    assert ((111,),) == cached(db, READ)
    results.close()
    results.join_thread()
