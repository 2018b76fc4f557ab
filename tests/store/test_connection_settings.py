"""Every setting is really in force, on every reader and on the writer."""

from __future__ import annotations

import threading

import apsw
import pytest

import coeval
from coeval.sqlite import pragmas

SYNCHRONOUS = {"full": 2, "normal": 1}


def everywhere(db, pragma, readers=3):
    """What a PRAGMA says on several readers at once, and on the writer."""
    barrier = threading.Barrier(readers)
    found = []

    def ask():
        with db.snapshot() as snap:
            barrier.wait(10)  # so that no reader serves two of us
            found.append(snap.scalar(f"PRAGMA {pragma}"))

    threads = [threading.Thread(target=ask) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.transaction() as tx:
        found.append(tx.scalar(f"PRAGMA {pragma}"))
    return found


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("cache_size", -8192),
        ("mmap_size", 0),
        ("temp_store", 1),
        ("page_size", 4096),
        ("locking_mode", "normal"),
        ("query_only", 0),
        ("recursive_triggers", 0),
    ],
)
def test_the_defaults(path, pragma, expected):
    """Without any setting each connection has what the documentation says."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        assert [expected] * 4 == everywhere(db, pragma)


@pytest.mark.parametrize(
    ("settings", "pragma", "expected"),
    [
        ({"durability": "normal"}, "synchronous", 1),
        ({"durability": "full"}, "synchronous", 2),
        ({"foreign_keys": False}, "foreign_keys", 0),
        ({"cache_size": 2**20}, "cache_size", -1024),
        ({"cache_size": "4MiB"}, "cache_size", -4096),
        ({"mmap_size": 2**20}, "mmap_size", 2**20),
        ({"page_size": 8192}, "page_size", 8192),
        ({"page_size": 512}, "page_size", 512),
        ({"page_size": 65536}, "page_size", 65536),
    ],
)
def test_a_setting_overrides_its_default(path, settings, pragma, expected):
    """What is asked for is in force on readers and writer, and is what `settings` says."""
    with coeval.open(path, **settings) as db:
        db.script("CREATE TABLE t(x)")
        assert [expected] * 4 == everywhere(db, pragma)


def test_url_and_environment(path, monkeypatch):
    """The URL wins over the environment, and the environment over the default."""
    monkeypatch.setenv("COEVAL_FOREIGN_KEYS", "off")
    monkeypatch.setenv("COEVAL_CACHE_SIZE", "1MiB")
    with coeval.open(f"sqlite:///{path}?cache_size=2MiB&durability=normal") as db:
        assert [0] * 4 == everywhere(db, "foreign_keys")
        assert [-2048] * 4 == everywhere(db, "cache_size")
        assert [1] * 4 == everywhere(db, "synchronous")


def test_a_file_that_exists_keeps_its_page_size(path, foreign):
    """Another page size for a file that is there already changes nothing."""
    foreign.execute("PRAGMA page_size = 1024")
    foreign.execute("CREATE TABLE t(x)")
    foreign.disconnect()
    with coeval.open(path, page_size=8192) as db:
        assert [1024] * 4 == everywhere(db, "page_size")
        db.vacuum()
        assert [1024] * 4 == everywhere(db, "page_size")


def test_foreign_keys_are_enforced(path):
    """By default REFERENCES means something."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p(id))")
        with pytest.raises(coeval.errors.ConstraintError, match="FOREIGN KEY"):
            db.execute("INSERT INTO c VALUES (1)")
    with coeval.open(path, foreign_keys=False) as db:
        assert 1 == db.execute("INSERT INTO c VALUES (1)").rowcount


def test_on_connect_reaches_every_connection(path):
    """It is called once with each new connection, before anything is read or written there."""
    seen: list[apsw.Connection] = []
    with coeval.open(path, on_connect=seen.append) as db:
        db.script("CREATE TABLE t(x)")
        everywhere(db, "synchronous")
        assert all(isinstance(connection, apsw.Connection) for connection in seen)
        assert len(seen) == len(set(map(id, seen))) >= 4
        known = len(seen)
        for number in range(10):
            db.execute("INSERT INTO t VALUES (?)", number)
            db.query("SELECT * FROM t")
        assert known == len(seen)


def test_on_connect_comes_after_the_settings(path):
    """What it sets overrides what was set, on readers and writer."""

    def mine(connection):
        connection.execute("PRAGMA cache_size = -77")
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA recursive_triggers = ON")

    with coeval.open(path, on_connect=mine) as db:
        assert [-77] * 4 == everywhere(db, "cache_size")
        assert [3] * 4 == everywhere(db, "synchronous")
        assert [1] * 4 == everywhere(db, "recursive_triggers")


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_on_connect_that_fails_at_open(path, call):
    """What it raises comes out of `open`, nothing stays open, and the next open works."""
    calls = []

    def mine(connection):
        calls.append(connection)
        if len(calls) == call:
            raise ZeroDivisionError("mine")

    def use():
        with coeval.open(path, on_connect=mine) as db:
            db.query("SELECT 1")

    with pytest.raises(ZeroDivisionError, match="mine"):
        use()
    with coeval.open(path) as db:
        assert 1 == db.scalar("SELECT 1")


def test_an_on_connect_that_fails_later(path):
    """What it raises when a further reader is made comes out of that call, and the place of that reader is not lost."""
    failing: list[int] = []

    def mine(connection):
        if failing:
            raise ZeroDivisionError("mine")

    with coeval.open(path, on_connect=mine, readers=2, timeout=0.3) as db:
        rows = db.iterate("SELECT 1 UNION ALL SELECT 2")
        next(rows)
        failing.append(1)
        for _ in range(4):
            with pytest.raises(ZeroDivisionError, match="mine"):
                db.snapshot().__enter__()
        failing.clear()
        with db.snapshot() as snap:
            assert 1 == snap.scalar("SELECT 1")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("ATTACH ':memory:' AS other", "attach"),
        ("CREATE TEMP TABLE t(x)", "temporary"),
        ("PRAGMA case_sensitive_like = ON", "case_sensitive_like"),
    ],
)
def test_an_on_connect_that_makes_results_doubtful(path, sql, reason):
    """Where it changes what statements mean, nothing is cached, and `explain` says why (hole 12)."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES ('a')")
    with coeval.open(path, on_connect=lambda connection: connection.execute(sql)) as db:
        db.query("SELECT * FROM t WHERE x LIKE 'A'")
        db.query("SELECT * FROM t WHERE x LIKE 'A'")
        explanation = db.explain("SELECT * FROM t WHERE x LIKE 'A'")
        assert not explanation.cacheable
        assert reason in " ".join(explanation.reasons)
        assert (0, 2) == (db.stats().entries, db.stats().uncached)


def test_every_setting_of_a_connection_is_documented():
    """Each function says why, and is in one of the two lists."""
    for setting in (*pragmas.EVERY, *pragmas.FILE):
        assert len(setting.__doc__ or "") > 40
    assert {"busy_timeout", "page_size", "journal_mode", "synchronous", "foreign_keys", "cache_size"} <= {
        setting.__name__ for setting in (*pragmas.EVERY, *pragmas.FILE)
    }


@pytest.mark.parametrize("name", ["journal_mode = DELETE", "synchronous = OFF", "locking_mode = EXCLUSIVE"])
@pytest.mark.parametrize("call", ["execute", "query", "script"])
def test_a_pragma_that_sets_up_one_connection_is_refused(path, name, call):
    """Settings come by `open` or `on_connect`, because a statement would reach one connection of several."""
    with coeval.open(path) as db:
        with pytest.raises(coeval.errors.SQLError, match="PRAGMA") as caught:
            getattr(db, call)(f"PRAGMA {name}")
        assert "on_connect" in caught.value.hint
        assert ["wal"] * 4 == everywhere(db, "journal_mode")


@pytest.mark.parametrize("call", ["execute", "query", "script"])
@pytest.mark.parametrize(
    ("pragma", "asked"),
    [
        ("ignore_check_constraints", "ON"),
        ("recursive_triggers", "ON"),
        ("writable_schema", "ON"),
        ("query_only", "ON"),
        ("foreign_keys", "OFF"),
        ("locking_mode", "EXCLUSIVE"),
        ("cache_size", "-99"),
        ("busy_timeout", "1"),
        ("wal_autocheckpoint", "5"),
    ],
)
def test_a_pragma_that_is_refused_has_no_effect(path, pragma, asked, call):
    """SQLite runs many PRAGMAs when it compiles them; a refused one must not reach that far, on any connection."""
    with coeval.open(path, timeout=0.5) as db:
        db.script("CREATE TABLE t(x CHECK (x > 0))")
        analyst = db._engine.store().statements._connection.raw

        def values():
            before = [value for value in everywhere(db, pragma, readers=2) if pragma != "busy_timeout"]
            return [*before, analyst.execute(f"PRAGMA {pragma}").get]

        before = values()
        with pytest.raises(coeval.errors.SQLError):
            getattr(db, call)(f"PRAGMA {pragma} = {asked}")
        assert before == values()
        assert 1 == db.execute("INSERT INTO t VALUES (1)").rowcount
        with pytest.raises(coeval.errors.ConstraintError):
            db.execute("INSERT INTO t VALUES (-1)")


def test_readers_are_made_when_needed_and_no_more_than_allowed(path):
    """Three snapshots at once need three readers; a fourth waits and is told so."""
    with coeval.open(path, readers=3, timeout=0.1) as db:
        held = [db.iterate("SELECT 1 UNION ALL SELECT 2") for _ in range(3)]
        assert [(1,)] * 3 == [next(rows) for rows in held]
        with pytest.raises(coeval.errors.PoolTimeoutError, match="all 3 are in use") as caught:
            db.query("SELECT 1")
        assert "readers" in caught.value.hint
        assert [(2,)] * 3 == [next(rows) for rows in held]
