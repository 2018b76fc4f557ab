"""What stamps cost a write: one insert, update or delete with them and without, and with columns tracked besides.

Usage: python benchmarks/stamps.py [--json]

Every write is a transaction of its own, acknowledged before the next, at both levels of durability. Without stamps is
``coherence="clock"``: no triggers, nothing in the file; with them is the default; then with one and two columns tracked. The table
has no other index than its key. Each side has a file of its own; the sides take turns, and ratios are formed round by round.
`loading.py` compares bulk loads. Ends with 1 where a limit is passed.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parent))
import _foreign
from _rounds import Measured, alternate, loop, report

import coeval

ROUNDS = 30
ROWS = 20_000
SCHEMA = "CREATE TABLE event(id INTEGER PRIMARY KEY, place INTEGER, kind TEXT, amount REAL) STRICT"
FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    "INSERT INTO event SELECT i, i % 500, 'kind ' || i % 7, i / 4.0 FROM n"
)

WRITES = {
    "insert": "db.execute('INSERT INTO event(place, kind, amount) VALUES (?, ?, 2.5)', next(n) % 500, 'kind 3')",
    "update": "db.execute('UPDATE event SET amount = amount + 1 WHERE id = ?', next(n) % 10000 + 1)",
    "delete": "db.execute('DELETE FROM event WHERE id = ?', next(n))",
}
NONE, TABLE, ONE, TWO = "no stamps", "stamps of the table", "and of one column", "and of two columns"

Durability = Literal["normal", "full"]
#: Writes a round, and how often the time without stamps an insert with the default ones may take.
LEVELS: tuple[tuple[Durability, int, float], ...] = (("normal", 300, 2.1), ("full", 60, 1.1))


def main(arguments: list[str]) -> int:
    measured, groups = Measured(times={}), {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-stamps-")))
        for durability, often, _limit in LEVELS:
            for write, call in WRITES.items():
                sides = {
                    f"{write}, {durability}: {name}": loop(call, {"db": db, "n": count(1)}, often)
                    for name, db in opened(stack, folder / f"{write}-{durability}", durability).items()
                }
                groups[f"{write}, durability={durability!r}"] = list(sides)
                measured.times |= alternate(sides, ROUNDS).times
    for durability, _often, limit in LEVELS:
        for write in WRITES:
            base = f"{write}, {durability}: {NONE}"
            for name in (ONE, TWO):
                side = f"{write}, {durability}: {name}"
                measured.note(f"{side} / no stamps", measured.ratio(side, base))
            side = f"{write}, {durability}: {TABLE}"
            if write == "insert":
                measured.check(f"{side} / no stamps", measured.ratio(side, base), limit, "×")
            else:
                measured.note(f"{side} / no stamps", measured.ratio(side, base))
    return report(measured, "Stamps", groups, as_json="--json" in arguments)


def opened(stack: ExitStack, path: Path, durability: Durability) -> dict[str, coeval.Database]:
    bare = path.with_suffix(".bare.db")
    made = _foreign.raw(bare)  # a file that Coeval may not change brings its own journal mode
    made.execute(SCHEMA)
    made.execute(FILL, (ROWS,))
    made.close()
    found = {NONE: stack.enter_context(coeval.open(bare, durability=durability, coherence="clock"))}
    for number, name in enumerate((TABLE, ONE, TWO)):
        db = found[name] = stack.enter_context(coeval.open(path.with_suffix(f".{number}.db"), durability=durability))
        db.script(SCHEMA)
        db.execute(FILL, ROWS)
        if number:
            db.track("event", by=["place", "kind"][:number])
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
