"""What a single insert costs one thread alone through Coeval, beside APSW itself, the standard module and peewee's queue.

Usage: python benchmarks/writes.py [--json]

Every insert is a transaction of its own, acknowledged before the next, at both levels of durability: full waits for the
disk before it returns, normal does not. The limits compare an untracked table (``coherence="clock"``: no triggers, nothing
in the file) with APSW's autocommit under the settings that Coeval's own connections have. A tracked one stands beside APSW on
a table with the same triggers. sqlite3 and peewee have the guides' settings, and no triggers. Checkpoints are part of it:
those of the others come with every 1,000 pages of WAL in the committing call, and every round of `normal` is long enough to
have one; Coeval's are made in the background. Each side has a file of its own in the temporary folder (TMPDIR
chooses the disk); the sides take turns, and ratios are formed round by round. Ends with 1 where a limit is passed.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parent))
import _foreign
from _rounds import Measured, Side, alternate, loop, report

import coeval

ROUNDS = 40
SCHEMA = "CREATE TABLE event(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL NOT NULL) STRICT"
INSERT = "INSERT INTO event(name, amount) VALUES (?, ?)"

COEVAL = "db.execute(insert, 'an event', 2.5)"
RAW = "raw.execute(insert, ('an event', 2.5))"
QUEUED = "queue.execute_sql(insert, ('an event', 2.5)).lastrowid"  # waits for its result

UNTRACKED = "Coeval, untracked"
TRACKED = "Coeval, tracked"
APSW = "APSW, autocommit"
STAMPED = "APSW with the stamps' triggers, autocommit"
STANDARD = "sqlite3, the guides' settings"
PEEWEE = "peewee SqliteQueueDatabase"

Durability = Literal["normal", "full"]
LEVELS: tuple[tuple[Durability, int, float], ...] = (("normal", 1000, 0.65), ("full", 300, 0.95))


def main(arguments: list[str]) -> int:
    groups: dict[str, list[str]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-writes-")))
        measured = Measured(times={})
        for durability, count, _least in LEVELS:
            sides = level(stack, folder, durability, count)
            groups[f"durability={durability!r}"] = list(sides)
            # One level after the other: what is written without fsync is a burden to the next fsync, whoever's that is.
            measured.times |= alternate(sides, ROUNDS).times
        for durability, _count, least in LEVELS:
            judge(measured, durability, least)
        return report(measured, "One insert, one transaction", groups, as_json="--json" in arguments)


def level(stack: ExitStack, folder: Path, durability: Durability, count: int) -> dict[str, Side]:
    def path(side: str) -> Path:
        return folder / f"{durability}-{side}.db"

    raw, stamped = _foreign.raw(path("raw"), durability), path("stamped")
    stack.callback(raw.close)
    raw.execute(SCHEMA)
    untracked = path("untracked")
    with_wal = _foreign.raw(untracked)  # a file that Coeval may not change brings its own journal mode
    with_wal.execute(SCHEMA)
    with_wal.close()
    with coeval.open(stamped) as once:
        once.script(SCHEMA)
    triggered = _foreign.raw(stamped, durability)
    stack.callback(triggered.close)
    ours = stack.enter_context(coeval.open(untracked, cache=None, durability=durability, coherence="clock"))
    tracked = stack.enter_context(coeval.open(path("tracked"), cache=None, durability=durability))
    tracked.script(SCHEMA)
    standard = _foreign.standard(path("standard"), durability)
    stack.callback(standard.close)
    standard.execute(SCHEMA)
    found: dict[str, Side] = {
        f"{UNTRACKED}, {durability}": loop(COEVAL, {"db": ours, "insert": INSERT}, count),
        f"{APSW}, {durability}": loop(RAW, {"raw": raw, "insert": INSERT}, count),
        f"{TRACKED}, {durability}": loop(COEVAL, {"db": tracked, "insert": INSERT}, count),
        f"{STAMPED}, {durability}": loop(RAW, {"raw": triggered, "insert": INSERT}, count),
        f"{STANDARD}, {durability}": loop(RAW, {"raw": standard, "insert": INSERT}, count),
    }
    queue: Any = _foreign.queued(path("queue"), durability)
    if queue is not None:
        stack.callback(queue.stop)
        queue.execute_sql(SCHEMA).fetchall()
        found[f"{PEEWEE}, {durability}"] = loop(QUEUED, {"queue": queue, "insert": INSERT}, count)
    return found


def judge(measured: Measured, durability: str, least: float) -> None:
    def ratio(side: str, base: str) -> float:
        """How fast ``side`` is beside ``base``."""
        return measured.ratio(f"{base}, {durability}", f"{side}, {durability}")

    ours, raw = measured.times[f"{UNTRACKED}, {durability}"], measured.times[f"{APSW}, {durability}"]
    for side in (STANDARD, PEEWEE):
        if f"{side}, {durability}" in measured.times:
            measured.note(f"{durability}: rate of Coeval, untracked / {side}", ratio(UNTRACKED, side))
    measured.note(f"{durability}: rate of Coeval, tracked / APSW with the same triggers", ratio(TRACKED, STAMPED))
    measured.note(f"{durability}: rate of Coeval, untracked / APSW, all rounds together", sum(raw) / sum(ours))
    measured.check(f"{durability}: rate of Coeval, untracked / APSW", ratio(UNTRACKED, APSW), least, "×", least=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
