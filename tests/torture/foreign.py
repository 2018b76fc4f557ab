"""Programs with the standard sqlite3 module and no idea of Coeval: one that writes, one that is hostile to the schema.

Never in a process that has Coeval open (law 8). Both stay inside law 1's boundary: triggers of ours are dropped and made again, and
columns, indexes, tables and triggers come and go, but always by SQL.

Ring: shell.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from torture.board import Board
from torture.mutations import Mutations
from torture.passage import Passage
from torture.tally import Tally
from torture.world import MOODY
from torture.writing import Owner

PATIENCE = 10.0


class Foreign(Owner):
    """The writer, by transactions and by statements alone."""

    def __init__(self, board: Board, folder: Path, tally: Tally, owner: int, seed: object) -> None:
        super().__init__(board, folder, owner, seed)
        self.tally = tally
        self.passage = Passage(board, folder)
        # It is made here and used by the one thread that writes.
        self.connection = sqlite3.connect(
            folder / "app.db", timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        self.execute("PRAGMA foreign_keys = ON")
        self.execute("PRAGMA synchronous = NORMAL")
        if sqlite3.sqlite_version_info < (3, 51, 3):
            # A checkpoint of such a library that meets a commit can corrupt the file.
            self.execute("PRAGMA wal_autocheckpoint = 0")
        self.mutations = Mutations(board, self.chance, (sqlite3.IntegrityError,))

    def execute(self, sql: str, *params: Any) -> list[Any]:
        """One statement to its end."""
        return self.connection.execute(sql, params).fetchall()

    def write(self) -> None:
        """One commit, or one that is rolled back."""
        with self.passage.shared():
            try:
                if self.chance.random() < 0.4:
                    self.one(lambda sql, *params: self.connection.execute(sql, params).rowcount)
                else:
                    self.transaction(self.mutations.some, doomed=self.chance.random() < 0.2)
            except sqlite3.Error as error:
                self.tally.failed("foreign write", error)
                if self.connection.in_transaction:
                    self.execute("ROLLBACK")

    def transaction(self, change: Any, *, doomed: bool = False) -> None:
        """``change(execute)`` in a transaction."""
        self.execute("BEGIN IMMEDIATE")
        if doomed:
            change(self.execute, doomed=True)
            self._undo()
            return
        change(self.execute)
        versions = self.mutations.settle(self.execute)
        self.board.event()
        self.execute("COMMIT")
        self.publisher.commits(versions)

    def _undo(self) -> None:
        """By ROLLBACK, or by a statement that fails and takes the transaction along."""
        if self.chance.random() < 0.5:
            with suppress(sqlite3.IntegrityError):
                self.execute("INSERT OR ROLLBACK INTO account (id, amount) SELECT id, 0 FROM account LIMIT 1")
        if self.connection.in_transaction:
            self.execute("ROLLBACK")


class Hostile(Foreign):
    """Changes of the schema, each with rows changed in the same transaction or beside it."""

    def __init__(self, board: Board, folder: Path, tally: Tally, owner: int, seed: object) -> None:
        super().__init__(board, folder, tally, owner, seed)
        self._deeds = (
            self._ignoring,
            self._ignoring,
            self._column,
            self._index,
            self._there_and_back,
            self._exchange,
            self._triggers,
            self._triggers_in_one,
            self._vacuum,
        )

    def harm(self) -> None:
        """One of them."""
        deed = self.chance.choice(self._deeds)
        with self.passage.shared():
            try:
                deed()
            except sqlite3.Error as error:
                self.tally.failed(deed.__name__, error)
                if self.connection.in_transaction:
                    self.execute("ROLLBACK")

    def _ignoring(self) -> None:
        """Triggers that make SQLite pass over some rows, before or after they are written, for a while."""
        when, rest = self.chance.choice(("BEFORE", "AFTER", "AFTER")), self.chance.randrange(3)

        def create(execute: Any) -> None:
            for name, (table, event) in MOODY.items():
                row = "OLD" if event == "DELETE" else "NEW"
                execute(
                    f"CREATE TRIGGER IF NOT EXISTS {name} {when} {event} ON {table} WHEN {row}.id % 3 = {rest} "
                    "BEGIN SELECT RAISE(IGNORE); END"
                )

        def drop(execute: Any) -> None:
            for name in MOODY:
                execute(f"DROP TRIGGER IF EXISTS {name}")

        self.transaction(create)
        self._pause(0.6)  # long enough for the schema to be verified, and results kept, while they stand
        self.transaction(drop)

    def _column(self) -> None:
        columns = [row[1] for row in self.execute("PRAGMA table_info(account)")]
        change = "DROP COLUMN spare" if "spare" in columns else "ADD COLUMN spare INTEGER DEFAULT 0"

        def deed(execute: Any) -> None:
            execute(f"ALTER TABLE account {change}")
            self.mutations.some(execute)

        self.transaction(deed)

    def _index(self) -> None:
        self.execute("CREATE INDEX IF NOT EXISTS by_group ON item (grp, ver)")
        self._pause()
        self.execute("DROP INDEX IF EXISTS by_group")

    def _there_and_back(self) -> None:
        """A table under another name for the length of a transaction, and written there."""

        def change(execute: Any) -> None:
            execute("ALTER TABLE west RENAME TO elsewhere")
            number = 1
            version = self.mutations.draw("west", number, doomed=False)
            execute("UPDATE elsewhere SET ver = ?, note = ? WHERE id = ?", version, f"{number}:{version}", number)
            execute("ALTER TABLE elsewhere RENAME TO west")

        self.transaction(change)

    def _exchange(self) -> None:
        self.transaction(self.mutations.exchange)

    def _ours(self) -> list[tuple[str, str]]:
        rows = self.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        return [row for row in rows if row[0].startswith("_coeval_")]

    def _triggers(self) -> None:
        """Triggers of Coeval are gone, rows are written, and the triggers come back, each a commit of its own."""
        some = self.chance.sample(found := self._ours(), len(found) // 3)
        for name, _ in some:
            self.execute(f"DROP TRIGGER IF EXISTS {name}")
        self.transaction(self.mutations.some)
        for _, sql in some:
            try:
                self.execute(sql)
            except sqlite3.OperationalError as error:  # Coeval was quicker, or the table has another name by now
                if "already exists" not in str(error) and "no such table" not in str(error):
                    raise

    def _triggers_in_one(self) -> None:
        """The same within one transaction: as if nothing had been."""

        def change(execute: Any) -> None:
            ours = self._ours()
            for name, _ in ours:
                execute(f"DROP TRIGGER {name}")
            self.mutations.some(execute)
            for _, sql in ours:
                execute(sql)

        self.transaction(change)

    def _vacuum(self) -> None:
        self.execute("VACUUM")

    def _pause(self, seconds: float = 0.05) -> None:
        time.sleep(self.chance.random() * seconds)
