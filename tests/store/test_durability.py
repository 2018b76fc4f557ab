"""Acknowledged means durable: a killed writer loses nothing it acknowledged, and each level syncs as often as it says."""

# ruff: noqa: PT012 - a block that is to be undone has several statements

from __future__ import annotations

import os
import random
import re
import select
import shutil
import subprocess
import sys
import textwrap

import pytest

import coeval

WRITER = """
    import sys, coeval

    path, durability, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
    db = coeval.open(path, durability=durability)
    db.script("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, pair, filler)")
    n = start
    while True:
        if n % 5 == 0:
            db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, n, "x" * 500), (n + 1, n, "y" * 5000)])
            n += 2
        elif n % 5 == 2:
            with db.transaction() as tx:
                tx.execute("INSERT INTO t VALUES (?, ?, 'z')", n, n)
                tx.execute("INSERT INTO t VALUES (?, ?, 'z')", n + 1, n)
            n += 2
        else:
            db.execute("INSERT INTO t VALUES (?, NULL, 'one')", n)
            n += 1
        sys.stdout.write(f"{n}\\n")
        sys.stdout.flush()
"""


def program(text, *arguments, before=()):
    """A Python process that runs `text`."""
    return subprocess.Popen(
        [*before, sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_kill(path, durability, scaled):
    """Killed at random moments, a writer leaves every acknowledged row, pairs whole or not at all, and a sound file."""
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(scaled(47, 4)):
        writer = program(WRITER, path, durability, acknowledged)
        heard = b""
        wanted = chance.randrange(5, 300)
        while heard.count(b"\n") < wanted:
            assert select.select([writer.stdout], [], [], 30)[0]
            part = os.read(writer.stdout.fileno(), 65536)
            assert part, writer.stderr.read().decode()
            heard += part
        writer.kill()
        heard += writer.communicate()[0]
        acknowledged = max(acknowledged, *(int(line) for line in heard.split(b"\n")[:-1]))
        with coeval.open(path, durability=durability) as db:
            assert "ok" == db.scalar("PRAGMA integrity_check")
            found = db.query("SELECT id, pair FROM t ORDER BY id")
            ids = [row[0] for row in found]
            assert list(range(len(ids))) == ids
            assert acknowledged <= len(ids)
            pairs = [row[1] for row in found if row[1] is not None]
            assert all(2 == pairs.count(pair) for pair in set(pairs[-20:]))
            acknowledged = len(ids)


def test_a_kill_in_a_transaction(path):
    """What was written and not committed is gone, whole, and the file can be used at once."""
    text = """
        import sys, coeval
        db = coeval.open(sys.argv[1])
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        with db.transaction() as tx:
            tx.executemany("INSERT INTO t VALUES (?)", [("x" * 2000,) for _ in range(5000)])
            print("written", flush=True)
            sys.stdin.read()
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert b"written\n" == writer.stdout.readline()
    with coeval.open(path, coherence="clock") as db:
        assert ((1,),) == db.query("SELECT x FROM t")
    writer.kill()
    writer.communicate()
    with coeval.open(path, timeout=1.0) as db:
        assert ((1,),) == db.query("SELECT x FROM t")
        assert 1 == db.execute("INSERT INTO t VALUES (2)").rowcount
        assert "ok" == db.scalar("PRAGMA integrity_check")


def test_what_was_acknowledged_is_in_a_copy_made_then(path, tmp_path):
    """The files as they lie on the disk at the moment a call returns hold what it wrote."""
    copy = tmp_path / "copy"
    copy.mkdir()
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        for number in range(5):
            db.execute("INSERT INTO t VALUES (?)", number)
            # cp, and not this process: closing a descriptor of the file here would drop SQLite's locks
            subprocess.run(["cp", str(path), f"{path}-wal", str(copy)], check=True)
            count = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM t').fetchone()[0])"
            found = subprocess.run([sys.executable, "-c", count, str(copy / "app.db")], capture_output=True, check=True)
            assert number + 1 == int(found.stdout)
            for left in copy.iterdir():
                left.unlink()


SYNCING = """
    import sys, os, coeval
    db = coeval.open(sys.argv[1], durability=sys.argv[2])
    db.script("CREATE TABLE t(x)")
    db.execute("INSERT INTO t VALUES (0)")
    {before}
    os.write(2, b"MARK start\\n")
    {work}
    os.write(2, b"MARK end\\n")
    db.close()
"""


def traces():
    """Whether strace works here."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return done.returncode == 0


def syncs(path, durability, work, before=""):
    """How many fsync and fdatasync calls a process makes while it does `work`."""
    if not traces():
        pytest.skip("FSYNC IS NOT COUNTED: strace is missing or may not trace")
    text = textwrap.dedent(SYNCING).format(work=work, before=before)
    out = path.parent / "trace"
    trace = ["strace", "-f", "-o", str(out), "-s", "20", "-e", "trace=fsync,fdatasync,write"]
    done = subprocess.run(
        [*trace, sys.executable, "-c", text, str(path), durability], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    said = out.read_text()
    between = said[said.index("MARK start") : said.index("MARK end")]
    return len(re.findall(r"\b(?:fsync|fdatasync)\(\d+\)\s*= 0", between))


MANY = "[db.execute('INSERT INTO t VALUES (1)') for _ in range(20)]"


def test_full_syncs_on_each_commit(path):
    """durability="full": twenty writes, twenty syncs at least, before each of them returns."""
    assert syncs(path, "full", MANY) in range(20, 24)


def test_normal_does_not(path):
    """durability="normal" leaves syncing to checkpoints."""
    assert 0 == syncs(path, "normal", MANY)


@pytest.mark.parametrize(
    "work",
    [
        "db.executemany('INSERT INTO t VALUES (?)', [(n,) for n in range(20)])",
        "db.script('INSERT INTO t VALUES (1); ' * 20)",
        "with db.transaction() as tx: [tx.execute('INSERT INTO t VALUES (1)') for _ in range(20)]",
    ],
)
def test_a_transaction_syncs_once(path, work):
    """Many writes in one transaction are one commit and one sync."""
    assert syncs(path, "full", work) in (1, 2)


def test_reads_do_not_sync(path):
    """Reading, cached or not, and rolling back touch no disk."""
    work = "db.query('SELECT * FROM t'); db.query('SELECT * FROM t'); list(db.iterate('SELECT * FROM t'))"
    assert 0 == syncs(path, "full", work, before="db.query('SELECT 1')")


def test_the_full_disk(tmp_path):
    """A write for which there is no room fails with a clear error; reads go on, and writes resume."""
    limit = """
        import resource, signal, sys, coeval
        from coeval import errors
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        db = coeval.open(sys.argv[1])
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            db.execute("INSERT INTO t VALUES (zeroblob(5000000))")
        except (errors.DiskFullError, errors.StorageError) as error:
            assert error.hint and sys.argv[1] in str(error), error
        else:
            raise AssertionError("it was written")
        assert 1 == db.scalar("SELECT count(*) FROM t")
        db.execute("INSERT INTO t VALUES (2)")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        db.execute("INSERT INTO t VALUES (zeroblob(5000000))")
        assert (3, "ok") == (db.scalar("SELECT count(*) FROM t"), db.scalar("PRAGMA integrity_check"))
    """
    done = program(limit, tmp_path / "app.db")
    said = done.communicate(timeout=60)
    assert (0, b"") == (done.returncode, said[1])


def test_max_page_count_is_a_full_disk(path):
    """SQLite's own limit is told as a full disk, and nothing of the statement stays."""

    def limited(connection):
        connection.execute("PRAGMA max_page_count = 50").fetchall()

    with coeval.open(path, on_connect=limited) as db:
        db.script("CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        with pytest.raises(coeval.errors.DiskFullError) as caught:
            db.execute("INSERT INTO t VALUES (zeroblob(1000000))")
        assert caught.value.hint
        assert str(path) in caught.value.message
        with pytest.raises(coeval.errors.DiskFullError), db.transaction() as tx:
            tx.execute("INSERT INTO t VALUES (2)")
            tx.execute("INSERT INTO t VALUES (zeroblob(1000000))")
        assert ((1,),) == db.query("SELECT x FROM t")
        assert 1 == db.execute("INSERT INTO t VALUES (3)").rowcount
