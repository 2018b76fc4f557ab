"""A process that looks after the file through Coeval: VACUUM, checkpoints, schema, tracked columns, and restoring older copies.

Ring: shell.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import coeval
from torture.board import RESTORES, Board, Publisher
from torture.passage import Passage
from torture.tally import Tally
from torture.world import MOODY, TABLES, group_of

_COPY = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=10).execute('VACUUM INTO ?', (sys.argv[2],))"


class Keeper:
    """Its deeds, one after another."""

    def __init__(self, board: Board, folder: Path, db: coeval.Database, tally: Tally, seed: object) -> None:
        self._board = board
        self._folder = folder
        self._db = db
        self._tally = tally
        self._chance = random.Random(str(seed))
        self._passage = Passage(board, folder)
        self._publisher = Publisher(board, folder)
        self._deeds = [self._vacuum, self._checkpoint, self._index, self._view, self._restore, self._restore]
        if hasattr(db, "track"):
            self._deeds += [self._track] * 3

    def keep(self) -> None:
        """One of them."""
        deed = self._chance.choice(self._deeds)
        try:
            deed()
        except coeval.Error as error:
            self._tally.failed(deed.__name__, error)

    def _vacuum(self) -> None:
        self._db.vacuum()

    def _checkpoint(self) -> None:
        self._db.checkpoint(truncate=self._chance.random() < 0.5)

    def _index(self) -> None:
        there = self._db.first("SELECT 1 FROM sqlite_schema WHERE name = 'by_version'")
        self._db.execute("DROP INDEX by_version" if there else "CREATE INDEX by_version ON solo (ver)")

    def _view(self) -> None:
        self._db.script("DROP VIEW IF EXISTS newest; CREATE VIEW newest AS SELECT max(ver) AS ver FROM solo")

    def _track(self) -> None:
        """Columns that reads are narrowed by, in and out of use."""
        db: Any = self._db
        with self._passage.shared():
            table, column = self._chance.choice((("item", "grp"), ("item", "id"), ("solo", "id"), ("child", "parent")))
            if self._chance.random() < 0.7:
                db.track(table, by=[column])
            else:
                db.untrack(table)

    def _restore(self) -> None:
        """An older copy, or one of this moment, with rows that are newer than any, and with the stamps of the copy."""
        source = self._folder / "source.db"
        board, versions = self._board, {}
        with self._passage.alone():
            source.unlink(missing_ok=True)
            if self._chance.random() < 0.5:
                subprocess.run([sys.executable, "-c", _COPY, self._folder / "app.db", source], check=True)
            else:
                source.write_bytes((self._folder / "old.db").read_bytes())
            copy = sqlite3.connect(source, isolation_level=None)
            try:
                versions = self._renew(copy)
            finally:
                copy.close()
            for at, version in versions.items():
                board.begin(at, version)
            board.event()
            self._db.restore(source)
            self._publisher.commits(versions)
            board.fields[RESTORES] += 1

    def _renew(self, copy: sqlite3.Connection) -> dict[int, int]:
        """New versions for all rows of the copy, whose stamps stay as they are; what will be known."""
        board, versions = self._board, {}
        copy.execute("BEGIN")
        stamps = copy.execute("SELECT id, stamp FROM _coeval_stamps").fetchall()
        for name in MOODY:
            copy.execute(f"DROP TRIGGER IF EXISTS {name}")
        for name in ("solo", "item", "child", "east", "west", "left_side"):
            table = TABLES["pair" if name == "left_side" else name]
            for number in range(table.size):
                at = table.first + number
                version = (board.begun[at] | 1) + 1
                more = {"item": f", grp = {group_of(version)}", "left_side": ""}.get(name, "")
                more += "" if name == "left_side" else f", note = '{number}:{version}'"
                there = copy.execute(f"UPDATE {name} SET ver = {version}{more} WHERE id = {number}").rowcount
                versions[at] = version if there else (board.begun[at] + 1) | 1
        copy.executemany("UPDATE _coeval_stamps SET stamp = ?2 WHERE id = ?1", stamps)
        copy.execute("COMMIT")
        return versions
