"""8 processes that each take the write lock, hold it for 2 ms, commit, and ask again at once: who waits how long.

Usage: python benchmarks/processes.py [--json]

A wait lasts from asking for a transaction until it is entered. In the ideal queue it lasts as long as the holds of the seven
others and nothing is lost between them. A hold lasts from entering to the end of COMMIT, as one process alone measures it just
before on the same side: among eight, whoever wakes another may lose the processor to it before it has looked at its clock. So
the limits are ratios within one side, and what a hold costs is not in them. Inside, one row is inserted, and then Python is
busy until the 2 ms are over. "Overtaken" is the most turns of others that went by in one wait: 7 in the ideal queue, whatever
the machine and its disk were doing. Beside it the standard sqlite3 module with the guides' settings, whose BEGIN IMMEDIATE polls for
the lock. Each side has a file of its own; the sides take turns. Afterwards the rows in the file are counted: as many as were
committed. Ends with 1 where a limit is passed; the limits hold at both levels of durability.
"""

from __future__ import annotations

import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import _children
import _foreign
from _rounds import MACHINE, Verdicts, conclude, table

PROCESSES = 8
HOLD = 0.002
SECONDS = 5.0
ALONE = 0.5
SCHEMA = "CREATE TABLE event(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL NOT NULL) STRICT"
INSERT = "INSERT INTO event(name, amount) VALUES (?, ?)"
ROW = ("an event", 2.5)

SIDES = {
    "Coeval, normal": ("coeval", "normal"),
    "Coeval, full": ("coeval", "full"),
    "sqlite3, busy time-out, normal": ("sqlite3", "normal"),
    "sqlite3, busy time-out, full": ("sqlite3", "full"),
}

#: Enters a transaction and holds it; returns when it was entered and when it was left.
Transaction = Callable[[], tuple[float, float]]


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        return child(arguments[1], arguments[2], float(arguments[3]))
    verdicts, rows = Verdicts(), {}
    with tempfile.TemporaryDirectory(prefix="coeval-processes-") as folder:
        for number, side in enumerate(SIDES):
            path = Path(folder, f"{number}.db")
            prepare(side, path)
            alone = _children.together(__file__, side, 1, path, ALONE)
            answers = _children.together(__file__, side, PROCESSES, path, SECONDS)
            prove(side, path, alone + answers)
            rows[side] = judged(verdicts, side, alone[0]["holds"], answers)
    heads = ["hold ms", "ideal ms", "p50 ms", "p99 ms", "slowest ms", "overtaken", "locked", "fewest", "most"]
    title, as_json = f"{PROCESSES} processes, each holding the lock {HOLD * 1000:g} ms", "--json" in arguments
    if not as_json:
        table(f"{title}. {MACHINE}", ["waits; commits a process", *heads], {"": rows})
    return conclude(verdicts, {"title": title, "machine": MACHINE, "columns": heads, "sides": rows}, as_json=as_json)


def judged(verdicts: Verdicts, side: str, holds: list[float], answers: list[dict[str, Any]]) -> list[float]:
    waits = [wait for one in answers for wait in one["waits"]]
    entered = sorted(moment for one in answers for moment in one["entered"])
    turns = max(
        bisect_left(entered, moment) - bisect_right(entered, asked)
        for one in answers
        for asked, moment in zip(one["asked"], one["entered"], strict=True)
    )
    commits = [len(one["holds"]) for one in answers]
    hold = sum(holds) / len(holds)
    ideal = (PROCESSES - 1) * hold
    p50, p99, slowest = (_children.percentile(waits, share) for share in (0.5, 0.99, 1.0))
    if SIDES[side][0] == "coeval":
        verdicts.check(f"{side}: p99 / ideal queue", p99 / ideal, 2.5, "×")
        verdicts.check(f"{side}: slowest / ideal queue", slowest / ideal, 5, "×")
    else:
        verdicts.note(f"{side}: p99 / ideal queue", p99 / ideal)
        verdicts.note(f"{side}: slowest / ideal queue", slowest / ideal)
    times = [seconds * 1000 for seconds in (hold, ideal, p50, p99, slowest)]
    return [*times, turns, sum(one["refused"] for one in answers), min(commits), max(commits)]


def prepare(side: str, path: Path) -> None:
    if SIDES[side][0] == "coeval":
        import coeval

        with coeval.open(path) as db:
            db.script(SCHEMA)
    else:
        _foreign.standard(path).execute(SCHEMA)


def prove(side: str, path: Path, answers: list[dict[str, Any]]) -> None:
    """Every process has ended; the file is opened by the library that made it."""
    connect: Any = _foreign.raw if SIDES[side][0] == "coeval" else _foreign.standard
    ((counted,),) = connect(path).execute("SELECT count(*) FROM event").fetchall()
    committed = sum(1 + len(one["holds"]) for one in answers)
    if counted != committed:
        raise AssertionError(f"{side}: {committed} commits returned, {counted} rows are there")


def child(side: str, path: str, seconds: float) -> int:
    library, durability = SIDES[side]
    transaction = coeval_side(path, durability) if library == "coeval" else standard_side(path, durability)
    transaction()
    waits, holds, asks, entries, refused = [], [], [], [], 0
    ends = _children.begin() + seconds
    while (asked := time.monotonic()) < ends:
        try:
            entered, left = transaction()
        except Exception as error:
            if "locked" not in str(error):
                raise
            refused += 1
            waits.append(time.monotonic() - asked)
            continue
        waits.append(entered - asked)
        asks.append(asked)
        entries.append(entered)
        holds.append(left - entered)
    return _children.answer({"waits": waits, "holds": holds, "asked": asks, "entered": entries, "refused": refused})


def coeval_side(path: str, durability: Any) -> Transaction:
    import coeval

    db = coeval.open(path, cache=None, durability=durability)

    def transaction() -> tuple[float, float]:
        with db.transaction() as tx:
            entered = time.monotonic()
            tx.execute(INSERT, *ROW)
            _work(entered)
        return entered, time.monotonic()

    return transaction


def standard_side(path: str, durability: str) -> Transaction:
    connection = _foreign.standard(path, durability)

    def transaction() -> tuple[float, float]:
        connection.execute("BEGIN IMMEDIATE")
        entered = time.monotonic()
        connection.execute(INSERT, ROW)
        _work(entered)
        connection.execute("COMMIT")
        return entered, time.monotonic()

    return transaction


def _work(since: float) -> None:
    while time.monotonic() - since < HOLD:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
