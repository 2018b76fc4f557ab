"""Threads that read points of a table, alone and beside a writer; for information, no limits.

Usage: python benchmarks/mixed.py [--json]

Three loads, each for a fixed time: one thread that reads, eight threads that read, and four that read while a fifth inserts rows into
the table that they read, one transaction each (durability normal). Python runs one thread at a time, so more threads than one do
not read more; what shows is what waiting for each other costs. Coeval without a cache; the standard module and APSW with a
connection for each thread. Each side has a process and a file of its own; the sides take turns. Written rows are counted.
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

SECONDS = 0.7
ROUNDS = 2
ROWS = 100_000
SCHEMA = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL) STRICT"
POINT = "SELECT id, name, price FROM item WHERE id = ?"
INSERT = "INSERT INTO item(name, price) VALUES (?, ?)"

LOADS = {"1 thread reads": (1, 0), "8 threads read": (8, 0), "4 threads read, 1 writes": (4, 1)}
COEVAL, STANDARD, APSW = "Coeval, cache=None", "sqlite3, own connections", "APSW, own connections"
SIDES = (COEVAL, STANDARD, APSW)

#: Reads the row of a number; inserts one.
Calls = tuple[Callable[[int], object], Callable[[], object]]


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        return child(*arguments[1:])
    found: dict[str, dict[str, list[dict[str, Any]]]] = {load: {side: [] for side in SIDES} for load in LOADS}
    with tempfile.TemporaryDirectory(prefix="coeval-mixed-") as folder:
        for number in range(ROUNDS):
            for load, results in found.items():
                for side in SIDES[:: 1 - 2 * (number % 2)]:
                    path = Path(folder, f"{number}-{load}-{side}.db".replace(" ", "-"))
                    results[side] += _children.together(__file__, side, 1, path, load)
    verdicts, heads = Verdicts(), ["reads/s", "p50 µs", "p99 µs", "slowest ms", "writes/s"]
    for load, results in found.items():
        for side in SIDES[1:]:
            pairs = list(zip(results[COEVAL], results[side], strict=True))
            verdicts.note(f"{load}: Coeval / {side}, reads", median(a["reads"] / b["reads"] for a, b in pairs))
            if LOADS[load][1]:
                verdicts.note(f"{load}: Coeval / {side}, writes", median(a["writes"] / b["writes"] for a, b in pairs))
    groups = {load: {side: summary(one) for side, one in results.items()} for load, results in found.items()}
    as_json = "--json" in arguments
    if not as_json:
        table(f"Threads. {MACHINE}", ["", *heads], groups)
    return conclude(
        verdicts, {"title": "Threads", "machine": MACHINE, "columns": heads, "groups": groups}, as_json=as_json
    )


def summary(rounds: list[dict[str, Any]]) -> list[float]:
    reads, p50, p99, slowest, writes = (
        median(one[name] for one in rounds) for name in ("reads", "p50", "p99", "slowest", "writes")
    )
    return [int(reads / SECONDS), p50 * 1e6, p99 * 1e6, slowest * 1e3, int(writes / SECONDS)]


def coeval_side(path: str) -> Callable[[], Calls]:
    import coeval

    db = coeval.open(path, cache=None, durability="normal")
    return lambda: (lambda i: db.query(POINT, i), lambda: db.execute(INSERT, "an item", 2.5))


def standard_side(path: str) -> Callable[[], Calls]:
    def connected() -> Calls:
        own = _foreign.standard(path)
        return lambda i: own.execute(POINT, (i,)).fetchall(), lambda: own.execute(INSERT, ("an item", 2.5))

    return connected


def apsw_side(path: str) -> Callable[[], Calls]:
    def connected() -> Calls:
        own = _foreign.raw(path)
        return lambda i: own.execute(POINT, (i,)).fetchall(), lambda: own.execute(INSERT, ("an item", 2.5))

    return connected


def child(side: str, path: str, load: str) -> int:
    opened: Any = _foreign.standard if side == STANDARD else _foreign.raw
    fill = opened(path)
    fill.execute(SCHEMA)
    fill.execute("BEGIN")
    fill.executemany(INSERT, [(f"item {i}", i / 4) for i in range(ROWS)])
    fill.execute("COMMIT")
    fill.close()
    connect = {COEVAL: coeval_side, STANDARD: standard_side, APSW: apsw_side}[side](path)
    readers, writers = LOADS[load]
    ready, go = threading.Barrier(readers + writers + 1), threading.Event()
    taken: list[list[float]] = [[] for _ in range(readers)]
    written = [0] * writers
    ends = 0.0

    def read(number: int) -> None:
        call, _ = connect()
        mine, clock = taken[number], time.perf_counter
        i = number * 1000
        call(1)
        ready.wait()
        go.wait()
        before = clock()
        while time.monotonic() < ends:
            i = i % ROWS + 1
            call(i)
            now = clock()
            mine.append(now - before)
            before = now

    def write(number: int) -> None:
        _, call = connect()
        ready.wait()
        go.wait()
        while time.monotonic() < ends:
            call()
            written[number] += 1

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(readers)]
    threads += [threading.Thread(target=write, args=(number,), daemon=True) for number in range(writers)]
    for thread in threads:
        thread.start()
    ready.wait()
    ends = _children.begin() + SECONDS
    go.set()
    for thread in threads:
        thread.join()
    ((counted,),) = opened(path).execute("SELECT count(*) FROM item").fetchall()
    if counted != ROWS + sum(written):
        raise AssertionError(f"{side}: {sum(written)} inserts were acknowledged, {counted - ROWS} rows are there")
    times = [one for mine in taken for one in mine]
    p50, p99, slowest = (_children.percentile(times, share) for share in (0.5, 0.99, 1.0))
    return _children.answer({"reads": len(times), "p50": p50, "p99": p99, "slowest": slowest, "writes": sum(written)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
