"""coherence="clock": the file gets no tables and triggers, and any commit of anybody makes every result invalid."""

# ruff: noqa: PT012 - a block that is to be undone has several statements

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

import coeval
from coeval import errors

SQL = "SELECT x FROM t WHERE id = 1"
MODES = ["DELETE", "WAL"]


@pytest.fixture(params=MODES)
def mode(request, path, foreign):
    """A database of somebody else's, in this journal mode, and nobody has it open."""
    foreign.execute(f"PRAGMA journal_mode = {request.param}")
    foreign.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE other(x); INSERT INTO t VALUES (1, 0)")
    foreign.disconnect()
    return request.param


def listing(folder):
    return {name.name: name.read_bytes() for name in folder.iterdir() if name.is_file()}


@pytest.mark.parametrize("commit_clock", ["auto", "data_version"])
def test_opening_and_reading_leave_the_file_as_it_was(path, mode, commit_clock):
    """Byte for byte, with nothing left beside it."""
    before = listing(path.parent)
    with coeval.open(path, coherence="clock", commit_clock=commit_clock) as db:
        for _ in range(3):
            assert 0 == db.scalar(SQL)
            db.query("SELECT * FROM t JOIN other")
        with db.snapshot() as snap:
            snap.query(SQL)
        list(db.iterate(SQL))
        db.explain(SQL)
        assert mode.lower() == db.scalar("PRAGMA journal_mode")
        assert ["t", "other"] == [row["name"] for row in db.query("SELECT name FROM sqlite_schema")]
    assert before == listing(path.parent)


def test_writing_adds_nothing_of_ours(path, mode):
    """Writes through such a database make no tables and triggers either, nor does DDL, nor VACUUM."""
    with coeval.open(path, coherence="clock") as db:
        db.execute("INSERT INTO t VALUES (2, 2)")
        db.script("CREATE TABLE n(x); INSERT INTO n VALUES (1)")
        db.vacuum()
        assert 2 == len(db.query("SELECT * FROM t"))
        assert ["n", "other", "t"] == [row[0] for row in db.query("SELECT name FROM sqlite_schema ORDER BY name")]
        assert mode.lower() == db.scalar("PRAGMA journal_mode")


@pytest.mark.parametrize("commit_clock", ["auto", "data_version"])
def test_hits_until_somebody_commits(path, mode, foreign, commit_clock):
    """Between commits reads are hits; a commit of anybody to any table makes the next read a new one."""
    with coeval.open(path, coherence="clock", commit_clock=commit_clock) as db:
        assert [0] * 5 == [db.query(SQL)[0][0] for _ in range(5)]
        assert (4, 1) == (db.stats().hits, db.stats().misses)
        foreign.execute("INSERT INTO other VALUES (1)")
        assert [0] * 5 == [db.query(SQL)[0][0] for _ in range(5)]
        assert (8, 2) == (db.stats().hits, db.stats().misses)
        db.execute("INSERT INTO other VALUES (2)")
        assert [0] * 5 == [db.query(SQL)[0][0] for _ in range(5)]
        assert (12, 3) == (db.stats().hits, db.stats().misses)


@pytest.mark.parametrize("commit_clock", ["auto", "data_version"])
def test_never_stale(path, mode, foreign, scaled, commit_clock):
    """Each commit, of another program, of another connection here, in a transaction, is in the very next read."""
    with coeval.open(path, coherence="clock", commit_clock=commit_clock) as db:
        for n in range(1, scaled(5_000, 100)):
            match n % 3:
                case 0:
                    foreign.execute("UPDATE t SET x = ?", n)
                case 1:
                    db.execute("UPDATE t SET x = ?", n)
                case 2:
                    with db.transaction() as tx:
                        tx.execute("UPDATE t SET x = ?", n)
            assert [n] * 3 == [db.query(SQL)[0][0] for _ in range(3)]
        assert db.stats().hits >= n


def test_a_schema_change(path, mode, foreign):
    """DDL of another program is noticed like any commit."""
    with coeval.open(path, coherence="clock") as db:
        assert ("id", "x") == db.query("SELECT * FROM t")[0].keys() == db.query("SELECT * FROM t")[0].keys()
        foreign.execute("ALTER TABLE t ADD COLUMN y")
        assert ("id", "x", "y") == db.query("SELECT * FROM t")[0].keys()
        foreign.script("DROP TABLE t; CREATE TABLE t(id, x); INSERT INTO t VALUES (1, 'new')")
        assert "new" == db.scalar(SQL)


def test_explain_says_so(path, mode):
    """Everything is valid by the clock, and it says why."""
    with coeval.open(path, coherence="clock") as db:
        explanation = db.explain(SQL)
        assert ("clock", True, ("t",)) == (explanation.validity, explanation.cacheable, explanation.reads)
        assert "no stamps" in " ".join(explanation.reasons)
        assert not db.explain("SELECT random()").cacheable


def test_in_a_transaction_nothing_is_cached(path, mode):
    """What a transaction reads of its own writes goes to nobody."""
    with coeval.open(path, coherence="clock") as db:
        assert 0 == db.scalar(SQL)
        with pytest.raises(ZeroDivisionError), db.transaction() as tx:
            tx.execute("UPDATE t SET x = 9")
            assert 9 == tx.scalar(SQL) == db.scalar(SQL)
            raise ZeroDivisionError
        assert [0, 0] == [db.scalar(SQL) for _ in range(2)]


def test_a_file_that_was_installed_before(path):
    """A file that has our triggers keeps them, and keeps its bytes."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 0)")
    before = listing(path.parent)
    with coeval.open(path, coherence="clock") as db:
        assert 0 == db.scalar(SQL)
    assert before == listing(path.parent)


def test_a_file_of_a_later_version_can_still_be_read(path):
    """What a later Coeval installed is refused with stamps, with this cure, and read by the clock."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 0)")
    later = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('UPDATE _coeval_schema SET format = 99'); c.commit()"
    subprocess.run([sys.executable, "-c", later, str(path)], check=True)
    with pytest.raises(errors.OpenError, match="later version") as caught:
        coeval.open(path)
    assert 'coherence="clock"' in caught.value.hint
    with coeval.open(path, coherence="clock") as db:
        assert 0 == db.scalar(SQL)


def test_restore_adds_nothing_of_ours(path, mode, tmp_path, start_foreign):
    """Restoring into such a file brings the other file's contents, and nothing of Coeval's."""
    source = tmp_path / "source.db"
    start_foreign(source).script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 'restored')")
    with coeval.open(path, coherence="clock") as db:
        assert 0 == db.scalar(SQL)
        db.restore(source)
        assert "restored" == db.scalar(SQL) == db.scalar(SQL)
        assert ["t"] == [row[0] for row in db.query("SELECT name FROM sqlite_schema")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_read_only_file(path, foreign):
    """A file that may only be read, in a folder that may only be read, is read, cached, and followed."""
    foreign.execute("PRAGMA journal_mode = DELETE")
    foreign.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES (1, 0)")
    path.chmod(0o644)
    folder = path.parent
    while folder != folder.parent:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    text = """
        import os, sys
        import apsw, ctypes, coeval
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            os.stat(sys.argv[1])
        except PermissionError:
            print("unreachable")
            sys.exit()
        db = coeval.open(sys.argv[1], coherence="clock")
        for line in sys.stdin:
            before = db.stats().hits
            found = [db.query("SELECT x FROM t WHERE id = 1")[0][0] for _ in range(3)]
            print(*found, db.stats().hits - before, flush=True)
    """
    before = listing(path.parent)
    reader = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write("go\n")
    said = reader.stdout.readline()
    if said == "unreachable\n":
        reader.communicate()
        pytest.skip("A READ-ONLY FILE IS NOT TESTED: this folder cannot be entered by others")
    assert "0 0 0 2\n" == said
    assert before == listing(path.parent)
    for n in (1, 2):
        foreign.execute("UPDATE t SET x = ?", n)
        reader.stdin.write("go\n")
        assert f"{n} {n} {n} 2\n" == reader.stdout.readline()
    reader.communicate()
    assert 0 == reader.returncode
