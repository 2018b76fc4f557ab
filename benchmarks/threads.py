"""64 threads that insert single rows, durably: how long until all of them are done, and who waits how long.

Usage: python benchmarks/threads.py [--json]

Every insert is acknowledged alone and has reached the disk by then (synchronous=FULL on every side). Two loads:

* Shares: every thread inserts 50 rows, one at a time, and the rate is that of all rows until the last thread is done. The
  limits are held against this one, because a program's rows are all wanted, whoever writes them.
* A window: every thread inserts as fast as it can for two seconds. Connections that poll for the lock do well in this
  count while few of them do anything: the one that just wrote finds the lock free again, and the others sleep. The last
  columns say so: the inserts of the thread that got fewest done, and of the one that got most.

Each side has a process and a file of its own in the temporary folder (TMPDIR chooses the disk); the sides take turns, and
ratios are formed within a round. Afterwards the rows in the file are counted: as many as were acknowledged. Waits that
last beyond the end of the window count with their full length. What one thread alone gets from APSW shows what the disk
itself did meanwhile. Ends with 1 where a limit is passed.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import _children
import _foreign
from _rounds import MACHINE, Verdicts, conclude, table

THREADS = 64
SHARE = 50
SECONDS = 2.0
ROUNDS = 2
SCHEMA = "CREATE TABLE event(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL NOT NULL) STRICT"
INSERT = "INSERT INTO event(name, amount) VALUES (?, ?)"
ROW = ("an event", 2.5)

COEVAL = "Coeval: db.execute, tracked"
OWN = "sqlite3, own connections, busy time-out"
OWN_APSW = "APSW, own connections, busy time-out"
QUEUE = "peewee SqliteQueueDatabase"
ALONE = "one thread alone: raw APSW"

Insert = Callable[[], object]


def coeval_side(path: str) -> Callable[[], Insert]:
    import coeval

    with coeval.open(path) as once:
        once.script(SCHEMA)
    db = coeval.open(path, cache=None)
    return lambda: lambda: db.execute(INSERT, *ROW)


def standard_side(path: str) -> Callable[[], Insert]:
    _foreign.standard(path).execute(SCHEMA)

    def connected() -> Insert:
        connection = _foreign.standard(path, "full")
        return lambda: connection.execute(INSERT, ROW)

    return connected


def apsw_side(path: str) -> Callable[[], Insert]:
    _foreign.raw(path).execute(SCHEMA)

    def connected() -> Insert:
        connection = _foreign.raw(path, "full")
        return lambda: connection.execute(INSERT, ROW)

    return connected


def queue_side(path: str) -> Callable[[], Insert]:
    database = _foreign.queued(path, "full")
    database.execute_sql(SCHEMA).fetchall()
    return lambda: lambda: database.execute_sql(INSERT, ROW).lastrowid  # waits for its result


SIDES = {COEVAL: coeval_side, OWN: standard_side, OWN_APSW: apsw_side, QUEUE: queue_side, ALONE: apsw_side}


Results = dict[str, dict[str, Any]]


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        return child(arguments[1], arguments[2], arguments[3])
    queue = [QUEUE] if peewee_installed() else []
    with tempfile.TemporaryDirectory(prefix="coeval-threads-") as folder:
        shares = [
            run(folder, f"share-{number}", [COEVAL, OWN, *queue][:: 1 - 2 * (number % 2)]) for number in range(ROUNDS)
        ]
        window = run(folder, "window", [COEVAL, OWN, OWN_APSW, *queue, ALONE])
    heads = ["inserts/s", "p50 ms", "p99 ms", "slowest ms", "locked", "fewest", "most"]
    groups = {
        f"shares: {SHARE} rows each, until all are done": {
            side: summary([one[side] for one in shares]) for side in shares[0]
        },
        f"a window of {SECONDS:g} s": {side: summary([window[side]]) for side in window},
    }
    as_json = "--json" in arguments
    if not as_json:
        table(f"Durable single-row inserts. {MACHINE}", ["64 threads", *heads], groups)
    facts = {"title": "Durable single-row inserts", "machine": MACHINE, "columns": heads, "groups": groups}
    return conclude(judged(shares, window), facts, as_json=as_json)


def run(folder: str, load: str, sides: list[str]) -> Results:
    results = {}
    for number, side in enumerate(sides):
        (results[side],) = _children.together(__file__, side, 1, Path(folder, f"{load}-{number}.db"), load)
    return results


def summary(rounds: list[dict[str, Any]]) -> list[float]:
    waits = [wait for one in rounds for wait in one["waits"]]
    times = [_children.percentile(waits, share) * 1000 for share in (0.5, 0.99, 1.0)]
    counts = [count for one in rounds for count in one["counts"]]
    refused = sum(one["refused"] for one in rounds)
    return [int(median(one["rate"] for one in rounds)), *times, refused, min(counts), max(counts)]


def judged(shares: list[Results], window: Results) -> Verdicts:
    verdicts = Verdicts()
    for side in [side for side in shares[0] if side not in {COEVAL, OWN}]:
        ratio = median(one[COEVAL]["rate"] / one[side]["rate"] for one in shares)
        verdicts.note(f"shares: Coeval / {side}, rate", ratio)
    for side in [side for side in window if side != COEVAL]:
        verdicts.note(f"window: Coeval / {side}, rate", window[COEVAL]["rate"] / window[side]["rate"])
    ratio = median(one[COEVAL]["rate"] / one[OWN]["rate"] for one in shares)
    slowest = max(max(one[COEVAL]["waits"]) for one in (*shares, window))
    verdicts.check("shares: Coeval / sqlite3 with own connections, rate", ratio, 12, "×", least=True)
    verdicts.check("Coeval's slowest insert, both loads", slowest * 1000, 50, "ms")
    return verdicts


def peewee_installed() -> bool:
    try:
        import peewee  # noqa: F401
    except ImportError:
        print("SKIP  peewee is not installed: pip install 'coeval[bench]'", file=sys.stderr)
        return False
    return True


def child(side: str, path: str, load: str) -> int:
    connect = SIDES[side](path)
    count = 1 if side == ALONE else THREADS
    share = SHARE if load.startswith("share") else sys.maxsize
    waits: list[list[float]] = [[] for _ in range(count)]
    within, refused = [0] * count, [0] * count
    ready, go = threading.Barrier(count + 1), threading.Event()
    ends = 0.0

    def work(number: int) -> None:
        insert = connect()
        insert()
        ready.wait()
        go.wait()
        clock, taken = time.monotonic, waits[number]
        asked = clock()
        while within[number] < share and asked < ends:
            good = True
            try:
                insert()
            except Exception as error:
                if "locked" not in str(error):
                    raise
                good = False
                refused[number] += 1
            now = clock()
            taken.append(now - asked)
            within[number] += good and now < ends
            asked = now

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = _children.begin()
    ends = start + (SECONDS if share == sys.maxsize else _children.PATIENCE)
    go.set()
    for thread in threads:
        thread.join()
    seconds = SECONDS if share == sys.maxsize else time.monotonic() - start
    acknowledged = count + sum(map(len, waits)) - sum(refused)
    counted = _rows(side, path)
    if counted != acknowledged:
        raise AssertionError(f"{side}: {acknowledged} inserts were acknowledged, {counted} rows are there")
    return _children.answer(
        {
            "rate": sum(within) / seconds,
            "waits": [wait for one in waits for wait in one],
            "refused": sum(refused),
            "counts": within,
        }
    )


def _rows(side: str, path: str) -> int:
    """Counted by the side's own library, because its connections are still open."""
    if side in {OWN, QUEUE}:
        return int(_foreign.standard(path).execute("SELECT count(*) FROM event").fetchone()[0])
    return int(_foreign.raw(path).execute("SELECT count(*) FROM event").get)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
