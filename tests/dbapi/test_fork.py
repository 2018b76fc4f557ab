"""After a fork an idle dbapi connection works in parent and child, set up as it was; one in use stays the parent's."""

from __future__ import annotations

import os
import signal
import traceback

import pytest

import coeval
from coeval import dbapi

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture
def connection(path):
    connection = dbapi.connect(path, timeout=30)
    connection.execute("CREATE TABLE t(n)")
    yield connection
    connection.close()


def in_a_child(work):
    """Run `work` in a forked process; return what went wrong there."""
    answer, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b""
        try:
            signal.alarm(60)
            work()
        except BaseException:
            said = traceback.format_exc().encode()
        finally:
            os.write(into, said)
            os._exit(0)
    os.close(into)
    said = b""
    while part := os.read(answer, 4096):
        said += part
    os.close(answer)
    os.waitpid(pid, 0)
    return said.decode()


def write(connection, n):
    with connection:
        connection.execute("INSERT INTO t VALUES (?)", (n,))


def numbers(connection):
    return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]


def test_an_idle_connection_goes_on_in_both(connection, path):
    """Each sees the other's commits, by a connection of its own and by the cache."""
    write(connection, 1)
    db = coeval.open(path)

    def work():
        assert [1] == numbers(connection)
        write(connection, 2)
        assert 2 == db.scalar("SELECT count(*) FROM t")

    assert 1 == db.scalar("SELECT count(*) FROM t")
    assert "" == in_a_child(work)
    assert [1, 2] == numbers(connection)
    assert 2 == db.scalar("SELECT count(*) FROM t")
    write(connection, 3)
    assert 3 == db.scalar("SELECT count(*) FROM t")
    db.close()


def test_it_is_set_up_as_it_was(connection):
    """Functions, collations, limits, options and PRAGMAs are there again, and the last of each counts."""
    connection.create_function("twice", 1, lambda n: -n)
    connection.create_function("twice", 1, lambda n: 2 * n)
    connection.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -5000")
    connection.setlimit(dbapi.SQLITE_LIMIT_VARIABLE_NUMBER, 7)
    seen: list[str] = []
    connection.set_trace_callback(seen.append)

    def work():
        assert (10,) == connection.execute("SELECT twice(5)").fetchone()
        assert [("b",), ("a",)] == connection.execute(
            "SELECT * FROM (VALUES ('a'), ('b')) ORDER BY 1 COLLATE backwards"
        ).fetchall()
        assert (1,) == connection.execute("PRAGMA foreign_keys").fetchone()
        assert (-5000,) == connection.execute("PRAGMA cache_size").fetchone()
        assert 7 == connection.getlimit(dbapi.SQLITE_LIMIT_VARIABLE_NUMBER)
        assert "SELECT twice(5)" in seen

    assert "" == in_a_child(work)
    work()


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.execute("INSERT INTO t VALUES (1)"),
        lambda c: c.execute("BEGIN"),
        lambda c: c.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3"),
        lambda c: c.execute("CREATE TEMP TABLE mine(a)"),
        lambda c: c.execute("ATTACH ':memory:' AS other"),
    ],
)
def test_one_in_use_stays_the_parents(connection, path, use):
    """The child is told, and cannot open the file, because its locks would not be real; the parent goes on."""
    kept = use(connection)

    def work():
        with pytest.raises(dbapi.ProgrammingError, match="Connect anew"):
            connection.execute("SELECT 1")
        with pytest.raises(dbapi.OperationalError, match="forked"):
            dbapi.connect(path)

    assert "" == in_a_child(work)
    kept.fetchall()
    connection.commit()
    write(connection, 2)
    assert 2 in numbers(connection)


def test_the_child_leaves_the_parents_turn_alone(connection, path):
    """A child that ends in the middle of its parent's transaction does not pass on the turn."""
    connection.execute("INSERT INTO t VALUES (1)")
    assert "" == in_a_child(lambda: None)
    late = dbapi.connect(path, timeout=0.05)
    with pytest.raises(dbapi.OperationalError, match="database is locked"):
        late.execute("INSERT INTO t VALUES (2)")
    connection.commit()
    assert [1] == numbers(late)
    late.close()


def test_memory_is_copied(path):
    """A private database in memory is each process's own from the fork on."""
    connection = dbapi.connect(":memory:")
    connection.execute("CREATE TABLE t(n)")
    write(connection, 1)

    def work():
        write(connection, 2)
        assert [1, 2] == numbers(connection)

    assert "" == in_a_child(work)
    assert [1] == numbers(connection)
    connection.close()
