"""What a writer writes, what it notes once a call has returned, and what must be in the file afterwards.

Each write has a number ``n`` of its writer ``who``, and one or more parts, which are one statement, one `executemany` or one
transaction with a savepoint. A ledger is a file to which each acknowledged number is appended after its call has returned; what
a killed process has appended is there.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

SCHEMA = "CREATE TABLE IF NOT EXISTS rows (who TEXT, n INTEGER, part INTEGER, parts INTEGER, filler)"
INSERT = "INSERT INTO rows VALUES (?, ?, ?, ?, ?)"
GROUPS = "SELECT who, n, min(parts), count(*), count(DISTINCT part) FROM rows GROUP BY who, n"

Acknowledged = Mapping[str, set[int]]


class Ledger:
    """The end that a writer appends to."""

    def __init__(self, file: str) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def acknowledge(self, who: str, n: int) -> None:
        """The call that wrote number ``n`` has returned."""
        os.write(self._descriptor, f"{who} {n}\n".encode())


def read(*files: str | os.PathLike[str]) -> dict[str, set[int]]:
    """What was acknowledged, by writer. A last line that the process did not end is not."""
    acknowledged: dict[str, set[int]] = defaultdict(set)
    for file in files:
        if os.path.exists(file):
            with open(file, encoding="utf-8") as lines:
                for line in lines.read().split("\n")[:-1]:
                    who, n = line.split(" ")
                    acknowledged[who].add(int(n))
    return dict(acknowledged)


def write(db: Any, who: str, n: int, filler: object = "") -> None:
    """Number ``n`` of ``who``; on return it is acknowledged. Its shape depends on ``n``."""
    if n % 4 == 1:
        db.executemany(INSERT, [(who, n, part, 3, filler) for part in range(3)])
    elif n % 4 == 2:
        with db.transaction() as tx:
            tx.execute(INSERT, who, n, 0, 4, filler)
            with db.transaction():
                tx.executemany(INSERT, [(who, n, part, 4, filler) for part in (1, 2)])
            tx.execute(INSERT, who, n, 3, 4, "")
    elif n % 4 == 3:
        db.execute(f"{INSERT}, (?1, ?2, 1, ?4, ?5)", who, n, 0, 2, filler)
    else:
        db.execute(INSERT, who, n, 0, 1, filler)


def problems(groups: Iterable[Any], acknowledged: Acknowledged, *, last_unsure: bool) -> list[str]:
    """What is wrong with the rows that `GROUPS` found, in words; nothing is wrong with [].

    ``last_unsure``: each writer may have been killed in one call, so the number after its last acknowledged one may be there, whole.
    Without it every number that is there must have been acknowledged.
    """
    found: dict[str, set[int]] = defaultdict(set)
    wrong = []
    for who, n, parts, rows, different in groups:
        found[who].add(n)
        if rows > different:
            wrong.append(f"doubled: {who} {n}")
        if different != parts:
            wrong.append(f"half: {different} of {parts} parts of {who} {n}")
    for who in {*found, *acknowledged}:
        known = acknowledged.get(who, set())
        wrong += [f"lost: {who} {n}" for n in sorted(known - found[who])]
        allowed = {max(known, default=-1) + 1} if last_unsure else set()
        wrong += [f"not acknowledged: {who} {n}" for n in sorted(found[who] - known - allowed)]
    return wrong
