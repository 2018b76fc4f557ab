"""A reader that sleeps with its snapshot open while 100,000 commits are made: how large the WAL grows, and what is left of it.

Usage: python benchmarks/idle_reader.py [--json]

A WAL cannot be emptied beyond the oldest snapshot that is open, so with plain SQLite it grows as long as the reader sleeps and
keeps its size afterwards. Coeval ends such a reader when the WAL passes ``wal_limit`` (64 MiB), and truncates the file. The
reader is an open iterator, in another thread of the writing process and in another process; it is never closed by this
program before the size was taken. Every commit is one insert by ``db.execute``, durability normal, the table tracked.
The size is that of the file ``-wal``, by stat alone: opening it would drop SQLite's locks. Each side has a process and a
file of its own. The same with the standard sqlite3 module and the guides' settings, its reader closed at the end, for information.
Ends with 1 where a limit is passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import _children
import _foreign
from _rounds import MACHINE, Verdicts, conclude, table

COMMITS = 100_000
ROWS = 10_000  #: to read, and never read to their end
CEILING = 64 * 2**20
PATIENCE = 10.0  #: seconds after the last commit in which the WAL has to come under its ceiling
STEP = 250  #: commits between two looks at the size
SCHEMA = "CREATE TABLE event(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL NOT NULL) STRICT"
INSERT = "INSERT INTO event(name, amount) VALUES (?, ?)"
READ = "SELECT id, name, amount FROM event ORDER BY id"
ROW = ("an event", 2.5)

SAME = "Coeval, the reader in a thread beside"
OTHER = "Coeval, the reader in another process"
PLAIN = "sqlite3, the guides' settings"


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        return child(arguments[1], arguments[2])
    if arguments[:1] == ["--reader"]:
        return sleeping_reader(arguments[1])
    verdicts, rows = Verdicts(), {}
    with tempfile.TemporaryDirectory(prefix="coeval-idle-") as folder:
        for number, side in enumerate((SAME, OTHER, PLAIN)):
            (found,) = _children.together(__file__, side, 1, Path(folder, f"{number}.db"))
            sizes = [size / 2**20 for size in (found["peak"], found["last"], found["end"])]
            rows[side] = [*sizes, found["settled"], found["commits"] / found["seconds"] / 1000, found["told"]]
            if side == PLAIN:
                verdicts.note(f"{side}: the WAL at the end, MiB", sizes[2])
                continue
            verdicts.note(f"{side}: the WAL's peak, MiB", sizes[0])
            verdicts.check(f"{side}: the WAL at the end", sizes[2], CEILING / 2**20, "MiB")
            verdicts.check(f"{side}: the reader was ended, and told so", found["told"], 1, "error", least=True)
    heads = ["WAL's peak, MiB", "last commit", "end", "s later", "1,000 commits/s", "errors"]
    title, as_json = f"An idle reader and {COMMITS:,} commits", "--json" in arguments
    if not as_json:
        table(f"{title}. {MACHINE}", ["the WAL; what the reader was told", *heads], {"": rows})
    return conclude(verdicts, {"title": title, "machine": MACHINE, "columns": heads, "sides": rows}, as_json=as_json)


def child(side: str, path: str) -> int:
    if side == PLAIN:
        return _children.answer(plain(path))
    return _children.answer(coeval_writer(path, beside=side == SAME))


def coeval_writer(path: str, *, beside: bool) -> dict[str, Any]:
    import coeval

    db = coeval.open(path, cache=None, durability="normal")
    db.script(SCHEMA)
    db.executemany(INSERT, [ROW] * ROWS)
    if beside:
        asleep, wake, told = threading.Event(), threading.Event(), []

        def reader() -> None:
            rows = db.iterate(READ)
            next(rows)
            asleep.set()
            wake.wait()
            told.append(_goes_on(rows))

        thread = threading.Thread(target=reader, daemon=True)
        thread.start()
        asleep.wait()
        found = commits(path, lambda: db.execute(INSERT, *ROW), lambda size: size <= CEILING)
        wake.set()
        thread.join()
        return {**found, "told": told[0]}
    command = [sys.executable, "-P", __file__, "--reader", path]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        found = commits(path, lambda: db.execute(INSERT, *ROW), lambda size: size <= CEILING)
        said, _ = process.communicate("wake\n", timeout=_children.PATIENCE)
        return {**found, "told": int(said)}
    finally:
        process.kill()
        process.wait()


def sleeping_reader(path: str) -> int:
    import coeval

    rows = coeval.open(path, cache=None).iterate(READ)
    next(rows)
    print("asleep", flush=True)
    sys.stdin.readline()
    print(_goes_on(rows), flush=True)
    return 0


def _goes_on(rows: Any) -> int:
    """1 where the iterator says that it was ended, 0 where it goes on."""
    import coeval

    try:
        next(rows)
    except coeval.Error as error:
        print(f"the reader was told: {error}", file=sys.stderr)
        return 1
    return 0


def plain(path: str) -> dict[str, Any]:
    connection, other = _foreign.standard(path), _foreign.standard(path)
    connection.execute(SCHEMA)
    connection.execute("BEGIN")
    connection.executemany(INSERT, [ROW] * ROWS)
    connection.execute("COMMIT")
    reader = other.execute(READ)
    next(reader)
    found = commits(path, lambda: connection.execute(INSERT, ROW), lambda _size: True)
    reader.close()
    for _ in range(STEP):  # let SQLite's own checkpoints have their chance
        connection.execute(INSERT, ROW)
    return {**found, "end": _size(path), "told": 0}


def commits(path: str, commit: Callable[[], object], settled: Callable[[int], bool]) -> dict[str, Any]:
    """Make them; then wait until the size of the WAL is ``settled``, or patience ends."""
    peak = 0
    _children.begin()
    start = time.monotonic()
    for _ in range(COMMITS // STEP):
        for _ in range(STEP):
            commit()
        peak = max(peak, _size(path))
    last, end = _size(path), time.monotonic()
    while not settled(size := _size(path)) and time.monotonic() < end + PATIENCE:
        time.sleep(0.02)
    waited = time.monotonic() - end
    return {"peak": peak, "last": last, "end": size, "settled": waited, "commits": COMMITS, "seconds": end - start}


def _size(path: str) -> int:
    try:
        return os.stat(path + "-wal").st_size
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
