"""What names lead to: memory, files, URIs, and files that Coeval would not open or write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import coeval
from coeval import dbapi


def test_importing_coeval_leaves_it_out():
    """Who does not use it does not wait for it."""
    program = "import coeval, sys; print([name for name in sys.modules if name.startswith('coeval.dbapi')])"
    source = str(Path(coeval.__file__).parents[1])
    said = subprocess.check_output([sys.executable, "-c", program], text=True, env=os.environ | {"PYTHONPATH": source})
    assert "[]\n" == said


@pytest.mark.parametrize(
    ("name", "uri"), [(":memory:", False), ("", False), ("file::memory:", True), ("file:x?mode=memory", True)]
)
def test_memory_is_private_and_needs_no_engine(tmp_path, monkeypatch, name, uri):
    """Nothing is made on the disk, and two connections do not meet."""
    monkeypatch.chdir(tmp_path)
    one, two = dbapi.connect(name, uri=uri), dbapi.connect(name, uri=uri)
    one.execute("CREATE TABLE t(a)")
    with pytest.raises(dbapi.OperationalError, match="no such table"):
        two.execute("SELECT * FROM t")
    assert [] == os.listdir(tmp_path)
    one.close()
    two.close()


def test_a_file_shares_the_engine_of_open(path):
    """One engine, opened by whichever comes first, closed by whichever goes last."""
    connection = dbapi.connect(path)
    connection.execute("CREATE TABLE t(a)")
    with coeval.open(path) as db:
        assert () == db.query("SELECT * FROM t")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    assert not os.path.exists(f"{path}-wal")


def test_foreign_keys_are_sqlite3s(path):
    """Off until asked for, while `coeval.open` has them on; durability is the engine's."""
    with coeval.open(path, durability="normal"):
        connection = dbapi.connect(path)
        assert (0,) == connection.execute("PRAGMA foreign_keys").fetchone()
        assert (1,) == connection.execute("PRAGMA synchronous").fetchone()
        connection.close()


def test_a_uri_says_how(path):
    """mode=ro reads and does not write, mode=rw makes no file, and locks are not gone past."""
    with pytest.raises(dbapi.OperationalError, match="unable to open database file") as raised:
        dbapi.connect(f"file:{path}?mode=rw", uri=True)
    assert dbapi.SQLITE_CANTOPEN == raised.value.sqlite_errorcode
    assert not path.exists()
    dbapi.connect(f"file:{path}?mode=rwc", uri=True).close()
    connection = dbapi.connect(f"file://localhost{path}?mode=ro#part", uri=True)
    assert [] != connection.execute("SELECT * FROM sqlite_schema").fetchall()
    with pytest.raises(dbapi.OperationalError, match="readonly"):
        connection.execute("CREATE TABLE t(a)")
    connection.close()
    for option in ("immutable=1", "nolock=1", "vfs=unix-none"):
        with pytest.raises(dbapi.NotSupportedError, match=option):
            dbapi.connect(f"file:{path}?{option}", uri=True)
    with pytest.raises(dbapi.OperationalError, match="no such access mode"):
        dbapi.connect(f"file:{path}?mode=x", uri=True)


def test_what_is_no_database(tmp_path):
    """Refused by `connect`, in SQLite's words first, with its code."""
    text = tmp_path / "text"
    text.write_text("no database, but long enough to be taken for one " * 100)
    with pytest.raises(dbapi.DatabaseError, match=r"^file is not a database") as raised:
        dbapi.connect(text)
    assert "SQLITE_NOTADB" == raised.value.sqlite_errorname
    for name in (tmp_path, tmp_path / "none" / "app.db"):
        with pytest.raises(dbapi.OperationalError, match=r"^unable to open database file"):
            dbapi.connect(name)


def test_a_file_that_can_only_be_read(path, monkeypatch):
    """Where its permissions forbid writing it is opened for reading, without stamps."""
    real = os.access
    monkeypatch.setattr(os, "access", lambda file, mode, **more: mode != os.W_OK and real(file, mode, **more))
    made = subprocess.run(
        [sys.executable, "-c", f"import sqlite3; sqlite3.connect({str(path)!r}).execute('CREATE TABLE t(a)')"],
        check=True,
    )
    assert 0 == made.returncode
    connection = dbapi.connect(path)
    assert [] == connection.execute("SELECT * FROM t").fetchall()
    with pytest.raises(dbapi.OperationalError, match="readonly"):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()


def test_an_idle_connection_follows_the_name(path, tmp_path):
    """Where another file was put there, it goes on with that one, and one in a transaction with the one it has."""
    other = tmp_path / "other.db"
    for name in (path, other):
        made = dbapi.connect(name)
        made.execute("CREATE TABLE t(a)")
        made.execute("INSERT INTO t VALUES (?)", (name.name,))
        made.commit()
        made.close()
    db = coeval.open(path)
    idle, busy = dbapi.connect(path), dbapi.connect(path)
    busy.execute("BEGIN")
    assert [("app.db",)] == busy.execute("SELECT a FROM t").fetchall()
    os.replace(other, path)
    db._engine.look()
    assert "other.db" == db.scalar("SELECT a FROM t")
    assert [("other.db",)] == idle.execute("SELECT a FROM t").fetchall()
    assert [("app.db",)] == busy.execute("SELECT a FROM t").fetchall()
    busy.commit()
    assert [("other.db",)] == busy.execute("SELECT a FROM t").fetchall()
    for one in (db, idle, busy):
        one.close()
