"""What a single insert costs through Coeval, beside raw APSW with and without the stamps' triggers; for information.

Usage: python benchmarks/writes.py [--json]

Every insert is a transaction of its own, on a file of its own in the temporary folder (TMPDIR chooses the disk), at both
levels of durability: full waits for the disk before it returns, normal does not.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import apsw

import coeval

sys.path.insert(0, str(Path(__file__).parent))
from _rounds import alternate, loop, report

ROUNDS = 40
SCHEMA = "CREATE TABLE event(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL NOT NULL) STRICT"
INSERT = "INSERT INTO event(name, amount) VALUES (?, ?)"

COEVAL = "db.execute(insert, 'an event', 2.5)"
RAW = "raw.execute(insert, ('an event', 2.5))"
RAW_IN_TRANSACTION = f"raw.execute('BEGIN IMMEDIATE'); {RAW}; raw.execute('COMMIT')"


def main(arguments: list[str]) -> int:
    sides: dict[str, Any] = {}
    groups: dict[str, list[str]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-writes-")))
        levels: tuple[tuple[Literal["normal", "full"], int], ...] = (("normal", 200), ("full", 20))
        for durability, count in levels:
            db = stack.enter_context(coeval.open(folder / f"{durability}.db", durability=durability))
            db.script(SCHEMA)
            stamped, plain = folder / f"{durability}-stamped.db", folder / f"{durability}-plain.db"
            with coeval.open(stamped) as once:
                once.script(SCHEMA)
            a, b = _connected(stack, stamped, durability), _connected(stack, plain, durability)
            b.execute(SCHEMA)
            names = {
                f"Coeval, {durability}": loop(COEVAL, {"db": db, "insert": INSERT}, count),
                f"APSW with triggers, BEGIN, COMMIT, {durability}": loop(
                    RAW_IN_TRANSACTION, {"raw": a, "insert": INSERT}, count
                ),
                f"APSW with triggers, autocommit, {durability}": loop(RAW, {"raw": a, "insert": INSERT}, count),
                f"APSW without triggers, autocommit, {durability}": loop(RAW, {"raw": b, "insert": INSERT}, count),
            }
            groups[f"durability={durability!r}"] = list(names)
            sides |= names
        measured = alternate(sides, ROUNDS)
        for names_of_one in groups.values():
            ours, *others = names_of_one
            for other in others:
                measured.note(f"{ours} / {other}", measured.ratio(ours, other))
        return report(measured, "One insert, one transaction", groups, as_json="--json" in arguments)


def _connected(stack: ExitStack, path: Path, durability: str) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    stack.callback(connection.close)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute(f"PRAGMA synchronous = {durability}")
    return connection


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
