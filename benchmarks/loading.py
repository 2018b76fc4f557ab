"""Bulk loading through Coeval, beside raw APSW's `executemany` in one transaction.

Usage: python benchmarks/loading.py [--json]

A million rows of an integer, a text and a float go into a new file each time, in the temporary folder (TMPDIR chooses the disk), at
both levels of durability. "Tracked": the table has the stamps' triggers; "not tracked": coherence="clock". Raw APSW has no triggers
and SQLite's own automatic checkpoint. Limit: at least 90 % of its rate.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import apsw

import coeval

sys.path.insert(0, str(Path(__file__).parent))
from _rounds import Side, alternate, report

ROUNDS = 7
ROWS = 1_000_000
SCHEMA = "CREATE TABLE event(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL NOT NULL) STRICT"
INSERT = "INSERT INTO event VALUES (?, ?, ?)"

Level = Literal["full", "normal"]
Rows = list[tuple[int, str, float]]


def main(arguments: list[str]) -> int:
    rows = [(number, f"event number {number}", number / 8) for number in range(ROWS)]
    sides: dict[str, Side] = {}
    groups: dict[str, list[str]] = {}
    levels: tuple[Level, ...] = ("normal", "full")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-loading-")))
        for level in levels:
            names: dict[str, Side] = {
                f"APSW executemany, {level}": _raw(folder / f"{level}.db", level, rows),
                f"Coeval, tracked, {level}": _ours(folder / f"{level}-stamps.db", level, rows, coherence="stamps"),
                f"Coeval, not tracked, {level}": _ours(folder / f"{level}-clock.db", level, rows, coherence="clock"),
            }
            groups[f"durability={level!r}"] = list(names)
            sides |= names
        measured = alternate(sides, ROUNDS)
    for raw, *ours in groups.values():
        for one in ours:
            measured.check(f"rate of {one} / {raw}", measured.ratio(raw, one), 0.9, "×", least=True)
    return report(measured, f"Loading {ROWS:,} rows", groups, as_json="--json" in arguments)


def _raw(path: Path, level: Level, rows: Rows) -> Side:
    def side() -> float:
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute(f"PRAGMA synchronous = {level}")
            connection.execute(SCHEMA)
            start = perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, iter(rows))
            connection.execute("COMMIT")
            seconds = perf_counter() - start
        path.unlink()
        return seconds / len(rows)

    return side


def _ours(path: Path, level: Level, rows: Rows, **settings: Any) -> Side:
    def side() -> float:
        with closing(apsw.Connection(str(path))) as connection:  # coherence="clock" leaves a file's mode alone
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        with coeval.open(path, cache=None, durability=level, **settings) as db:
            db.script(SCHEMA)
            start = perf_counter()
            db.load("event", iter(rows))
            seconds = perf_counter() - start
        path.unlink()
        for file in path.parent.glob(f"{path.name}-*"):
            file.unlink()
        return seconds / len(rows)

    return side


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
