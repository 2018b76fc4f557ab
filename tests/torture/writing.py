"""A thread that writes through Coeval: rows of its own by single statements of every sort, shared rows in transactions.

Ring: shell.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coeval
from coeval.errors import ConstraintError
from torture.board import Board, Publisher
from torture.functions import tag
from torture.mutations import Mutations
from torture.passage import Passage
from torture.tally import Tally
from torture.world import OWNED, cell

UPSERT = "INSERT INTO solo VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET ver = excluded.ver, note = excluded.note"
REPLACE = "INSERT OR REPLACE INTO solo VALUES (?, ?, ?)"
IGNORE = "INSERT OR IGNORE INTO solo VALUES (?, ?, ?)"
UPDATE = "UPDATE OR FAIL solo SET ver = ?2, note = ?3 WHERE id = ?1"
DELETE = "DELETE FROM solo WHERE id = ?"
OWN = "SELECT id, ver, note FROM solo WHERE id = ?"


class UndoneError(Exception):
    """Ends a transaction that is to be rolled back."""


class Owner:
    """Versions of the rows that one writer alone writes, and what is known of them."""

    def __init__(self, board: Board, folder: Path | None, owner: int, seed: object) -> None:
        self.board = board
        self.owner = owner
        self.chance = random.Random(str(seed))
        self.publisher = Publisher(board, folder)
        self._first = owner * OWNED

    def number(self) -> int:
        """One of its rows."""
        return self._first + self.chance.randrange(OWNED)

    def draw(self, number: int) -> tuple[int, int, str]:
        """The row's next version, as the values of the row."""
        at = cell("solo", number)
        version = self.board.next_row(at)
        self.board.begin(at, version)
        return number, version, f"{number}:{version}"

    def draw_absence(self, number: int) -> int:
        """The version of its absence."""
        at = cell("solo", number)
        version = self.board.next_absence(at)
        self.board.begin(at, version)
        return version

    def known(self, *rows: tuple[int, int, str]) -> None:
        """These are committed."""
        self.publisher.commits({cell("solo", number): version for number, version, _ in rows})

    def one(self, execute: Callable[..., int]) -> None:
        """One row by one statement that is a transaction of its own; ``execute`` gives how many rows it changed."""
        number = self.number()
        if self.chance.random() < 0.2:
            absence = self.draw_absence(number)
            self.board.event()
            if execute(DELETE, number) == 1:
                self.publisher.commits({cell("solo", number): absence})
            return
        row = self.draw(number)
        sql = self.chance.choice((UPSERT, REPLACE, IGNORE, UPDATE))
        self.board.event()
        if execute(sql, *row) == 1:
            self.known(row)


class Writer(Owner):
    """The writer, over one database."""

    def __init__(self, board: Board, folder: Path, db: coeval.Database, tally: Tally, owner: int, seed: object) -> None:
        super().__init__(board, folder, owner, seed)
        self.db = db
        self.tally = tally
        self.passage = Passage(board, folder)
        self.mutations = Mutations(board, self.chance, (ConstraintError,))
        self._ways = [self._one, self._one, self._many, self._load, self._script, self._function, *[self._shared] * 6]
        if db.settings.coherence == "stamps":
            self._ways += [self._outside] * 2

    def write(self) -> None:
        """One commit, or one that is rolled back."""
        way = self.chance.choice(self._ways)
        with self.passage.shared():
            try:
                way()
            except coeval.Error as error:
                self.tally.failed(way.__name__, error)

    def _one(self) -> None:
        self.one(lambda sql, *params: self.db.execute(sql, *params).rowcount)

    def _rows(self) -> list[tuple[int, int, str]]:
        first = self.owner * OWNED
        return [self.draw(first + at) for at in self.chance.sample(range(OWNED), 3)]

    def _many(self) -> None:
        rows = self._rows()
        self.board.event()
        self.db.executemany(UPSERT, rows)
        self.confirm(rows)

    def _load(self) -> None:
        rows = self._rows()
        self.board.event()
        self.db.load("solo", rows, upsert="id")
        self.confirm(rows)

    def _script(self) -> None:
        rows = self._rows()
        self.board.event()
        self.db.script(";".join(f"REPLACE INTO solo VALUES ({number}, {ver}, '{note}')" for number, ver, note in rows))
        self.confirm(rows)

    def confirm(self, rows: list[tuple[int, int, str]]) -> None:
        """Make known those that are there: a trigger's RAISE(IGNORE) may have passed over some, and nobody else writes them."""
        self.known(*(row for row in rows if row in {tuple(found) for found in self.db.iterate(OWN, row[0])}))

    def _function(self) -> None:
        row = self.draw(self.number())
        self.board.event()
        self.db.write(lambda tx: (tx.query(OWN, row[0]), tx.execute(UPSERT, *row)))
        self.confirm([row])

    def _outside(self) -> None:
        """A value outside the database, and then its tag."""
        at = cell("outside", self.owner)
        version = self.board.next_row(at)
        self.board.begin(at, version)
        self.board.event()
        if self.chance.random() < 0.5:
            self.db.invalidate(tag(self.owner))
        else:
            with self.db.transaction() as tx:
                self.db.invalidate(tag(self.owner))
                tx.scalar("SELECT count(*) FROM solo")
        self.publisher.commits({at: version})

    def _shared(self) -> None:
        doomed = self.chance.random() < 0.2
        versions: dict[int, int] = {}
        try:
            with self.db.transaction() as tx:
                self.mutations.some(tx.execute, doomed=doomed)
                if doomed:
                    raise UndoneError
                versions = self.mutations.settle(lambda sql: list(tx.iterate(sql)))
                self.board.event()
        except UndoneError:
            return
        self.publisher.commits(versions)

    def pair(self, tx: Any, number: int, *, doomed: bool) -> int:
        """Write a row of left_side in ``tx``; its version there."""
        version = self.mutations.draw("pair", number, doomed=doomed)
        tx.execute("UPDATE left_side SET ver = ? WHERE id = ?", version, number)
        return version
