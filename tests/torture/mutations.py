"""What writers do to the shared tables inside one transaction, in SQL that Coeval and plain sqlite3 run alike, and what came of it.

Versions are drawn while the write lock is held, so they rise in the order of commits. What a transaction leaves is not reckoned but
looked up in the file before its COMMIT: cascades, victims of REPLACE, rows that a trigger's RAISE(IGNORE) spared and statements that
failed half-way need no model.

Ring: flow.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from torture.board import Board
from torture.world import ACCOUNTS, GROUPS, PARENTS, TABLES, cell, group_of

#: The tables whose cells any transaction may write, with the statement that shows their versions.
SHARED = {
    "item": "SELECT id, ver FROM item",
    "child": "SELECT id, ver FROM child",
    "pair": "SELECT id, ver FROM left_side",
    "east": "SELECT id, ver FROM east",
    "west": "SELECT id, ver FROM west",
}

INSERT_ITEM = "INTO item (id, grp, key, ver, note) VALUES (?, ?, ?, ?, ?)"

#: By how much a statement over many rows raises their versions: into the next group.
_STEP = 4

Execute = Callable[..., object]


class Mutations:
    """Random changes, for one writer."""

    def __init__(self, board: Board, chance: random.Random, refused: tuple[type[Exception], ...]) -> None:
        """``refused``: what a statement raises that SQLite refuses, while its transaction goes on."""
        self._board = board
        self._chance = chance
        self._refused = refused
        self._doomed = False
        self._plain = (self._update, self._pair, self._transfer, self._compass, self._delete, self._move)
        self._clauses = (
            self._replace,
            self._ignore,
            self._fail,
            self._abort,
            self._upsert,
            self._takeover,
            self._family,
        )

    def some(self, execute: Execute, *, doomed: bool = False) -> None:
        """A few of them. ``doomed``: the transaction will be rolled back, and its versions are negative."""
        self._doomed = doomed
        for _ in range(self._chance.randint(1, 3)):
            self._chance.choice(self._plain if self._chance.random() < 0.6 else self._clauses)(execute)

    def draw(self, table: str, number: int, *, doomed: bool | None = None) -> int:
        """The version that a row gets next."""
        at = cell(table, number)
        version = self._board.next_row(at)
        if self._doomed if doomed is None else doomed:
            return -version
        self._board.begin(at, version)
        return version

    def settle(self, rows: Callable[[str], Iterable[Any]]) -> dict[int, int]:
        """Under the write lock, before COMMIT: what will be known after it. ``rows`` reads past every cache."""
        board, versions = self._board, {}
        for name, sql in SHARED.items():
            table = TABLES[name]
            found = {row[0]: row[1] for row in rows(sql)}
            for number in range(table.size):
                at, version = table.first + number, found.get(number)
                if version is None:
                    # It may be even in `begun` alone: who has committed the row before has not got to saying so.
                    if not board.known[at] & board.begun[at] & 1:
                        absence = board.next_absence(at)
                        board.begin(at, absence)
                        versions[at] = absence
                    continue
                # What was drawn above this never came about, and nobody else can have drawn meanwhile.
                board.begun[at] = version
                if board.gone[at] > version:
                    board.gone[at] = version - 1
                if board.known[at] != version:
                    versions[at] = version
        return versions

    # -- one by one ---------------------------------------------------------------------------------------------------

    def _item(self) -> tuple[int, int]:
        number = self._chance.randrange(TABLES["item"].size)
        return number, self.draw("item", number)

    def _row(self) -> tuple[int, int, str, int, str]:
        number, version = self._item()
        return number, group_of(abs(version)), f"k{number}:{version}", version, f"{number}:{version}"

    def _update(self, execute: Execute) -> None:
        number, version = self._item()
        execute(
            "UPDATE item SET ver = ?, grp = ?, note = ? WHERE id = ?",
            version,
            group_of(abs(version)),
            f"{number}:{version}",
            number,
        )

    def _replace(self, execute: Execute) -> None:
        execute(f"INSERT OR REPLACE {INSERT_ITEM}", *self._row())

    def _ignore(self, execute: Execute) -> None:
        execute(f"INSERT OR IGNORE {INSERT_ITEM}", *self._row())

    def _upsert(self, execute: Execute) -> None:
        execute(
            f"INSERT {INSERT_ITEM} ON CONFLICT (id) DO UPDATE SET ver = excluded.ver, grp = excluded.grp, note = excluded.note",
            *self._row(),
        )

    def _fail(self, execute: Execute) -> None:
        """The first row may stay, the second meets one that is there."""
        self._refusable(execute, f"INSERT OR FAIL {INSERT_ITEM}, (?, ?, ?, ?, ?)")

    def _abort(self, execute: Execute) -> None:
        self._refusable(execute, f"INSERT OR ABORT {INSERT_ITEM}, (?, ?, ?, ?, ?)")

    def _refusable(self, execute: Execute, sql: str) -> None:
        with suppress(*self._refused):  # what is left of it is looked up
            execute(sql, *self._row(), *self._row())

    def _takeover(self, execute: Execute) -> None:
        """A row takes the key of another, which goes."""
        number, version = self._item()
        victim = self._chance.randrange(TABLES["item"].size)
        execute(
            "UPDATE OR REPLACE item SET key = coalesce((SELECT key FROM item WHERE id = ?), key), ver = ?, grp = ?, note = ? WHERE id = ?",
            victim,
            version,
            group_of(abs(version)),
            f"{number}:{version}",
            number,
        )

    def _delete(self, execute: Execute) -> None:
        execute("DELETE FROM item WHERE id = ?", self._chance.randrange(TABLES["item"].size))

    def _move(self, execute: Execute) -> None:
        """Many rows at once, chosen by what they are."""
        group = self._chance.randrange(GROUPS)
        table = TABLES["item"]
        if self._doomed:
            execute("UPDATE item SET ver = -abs(ver) WHERE grp = ?", group)
            return
        for at in range(table.first, table.first + table.size):
            # Which rows are in the group is not known here: any might get it. `settle` takes back what did not come about.
            self._board.begun[at] = (self._board.begun[at] | 1) + 1 + 2 * _STEP
        execute(
            f"UPDATE item SET ver = ver + ?1, grp = ((ver + ?1) >> 2) % {GROUPS}, note = id || ':' || (ver + ?1) WHERE grp = ?2",
            _STEP,
            group,
        )

    def _family(self, execute: Execute) -> None:
        """A parent goes and takes its children along, and may come back with some."""
        parent = self._chance.randrange(PARENTS)
        execute("DELETE FROM parent WHERE id = ?", parent)
        if self._chance.random() < 0.8:
            execute("INSERT INTO parent (id) VALUES (?)", parent)
            for number in range(parent, TABLES["child"].size, PARENTS):
                if self._chance.random() < 0.8:
                    version = self.draw("child", number)
                    execute("INSERT INTO child VALUES (?, ?, ?, ?)", number, parent, version, f"{number}:{version}")

    def _pair(self, execute: Execute) -> None:
        number = self._chance.randrange(TABLES["pair"].size)
        execute("UPDATE left_side SET ver = ? WHERE id = ?", self.draw("pair", number), number)

    def _transfer(self, execute: Execute) -> None:
        one, other = self._chance.sample(range(ACCOUNTS), 2)
        amount = self._chance.randint(1, 50)
        execute("UPDATE account SET amount = amount - ? WHERE id = ?", amount, one)
        execute("UPDATE account SET amount = amount + ? WHERE id = ?", amount, other)

    def _compass(self, execute: Execute) -> None:
        table = self._chance.choice(("east", "west"))
        number = self._chance.randrange(TABLES[table].size)
        version = self.draw(table, number)
        execute(f"UPDATE {table} SET ver = ?, note = ? WHERE id = ?", version, f"{number}:{version}", number)

    def exchange(self, execute: Execute) -> None:
        """east and west exchange their names, and with them their rows: each is written for the other's cells first."""
        self._doomed = False
        for table, other in (("east", "west"), ("west", "east")):
            for number in range(TABLES[table].size):
                version = self.draw(other, number)
                execute(f"UPDATE {table} SET ver = ?, note = ? WHERE id = ?", version, f"{number}:{version}", number)
        for old, new in (("east", "passing"), ("west", "east"), ("passing", "west")):
            execute(f"ALTER TABLE {old} RENAME TO {new}")
