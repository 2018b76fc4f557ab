"""Reads that belong together, through the blocking face: of a snapshot, of a transaction, after a rollback, of `write`.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torture import judge
from torture.functions import Functions
from torture.reading import GROUP, ITEM, LEFT, RIGHT, SUM, Reader, in_group, pair_version, row_version, versions
from torture.world import ACCOUNTS, GROUPS, TABLES, TOTAL, cell
from torture.writing import OWN, UndoneError, Writer

ACCOUNT = "SELECT amount FROM account WHERE id = ?"
ROUNDS = 6  #: snapshots of one batch


class Moments:
    """They are judged by the history as of the moment's beginning, and against each other."""

    def __init__(self, reader: Reader, functions: Functions, writer: Writer) -> None:
        self._reader = reader
        self._functions = functions
        self._writer = writer
        self._db = reader.db

    def snapshots(self) -> None:
        """Everything in one snapshot is of one moment, which lies in its entry."""
        reader, board, events = self._reader, self._reader.board, self._reader.board.fields
        raced = judged = 0
        for _ in range(ROUNDS):
            floors, before = board.known.tolist(), events[0]
            with self._db.snapshot() as snap:
                answers = Answers(floors, board.begun.tolist(), board.gone.tolist())
                self._read(snap, answers)
            raced += before != events[0]
            judged += len(answers.rows) + answers.others
            answers.judge(reader, "snapshot")
        reader.tally.add("snapshot", judged, 0, raced)

    def _read(self, snap: Any, answers: Answers) -> None:
        chance, functions = self._reader.chance, self._functions
        for number in range(TABLES["pair"].size):
            answers.pair(number, snap.scalar(LEFT, number), pair_version(snap.one(RIGHT, number), number))
        answers.total(snap.scalar(SUM))
        for number in chance.sample(range(TABLES["item"].size), 4):
            version = row_version(snap.query(ITEM, number), number)
            answers.item(number, version)
            answers.item(number, functions.item(number))
            answers.item(number, functions.nested(number))
        group = chance.randrange(GROUPS)
        answers.group(group, snap.query(GROUP, group))
        answers.amounts([snap.scalar(ACCOUNT, number) for number in range(ACCOUNTS)])

    def transactions(self) -> None:
        """Before its own write what anybody would read; after it its own, exactly; after a rollback nothing of it."""
        reader, db, writer, board = self._reader, self._db, self._writer, self._reader.board
        number = reader.chance.randrange(TABLES["pair"].size)
        at, doomed = cell("pair", number), reader.chance.random() < 0.6
        floor, version, settled = board.known[at], 0, {}
        with writer.passage.shared():
            try:
                with db.transaction() as tx:
                    before = db.scalar(LEFT, number)
                    reader.row("in a transaction", at, before, floor, answer=before, when="before its own write")
                    version = writer.pair(tx, number, doomed=doomed)
                    answers = (db.scalar(LEFT, number), tx.scalar(LEFT, number), tx.one(RIGHT, number)[1])
                    wrong = "" if answers == (version,) * 3 else "torn"
                    reader.tally.check("in a transaction", wrong, answers=answers, own=version, before=before)
                    if doomed:
                        raise UndoneError
                    settled = writer.mutations.settle(lambda sql: list(tx.iterate(sql)))
                    board.event()
                writer.publisher.commits(settled)
            except UndoneError:
                pass
            reader.tally.add("in a transaction", 4)
            floor = board.known[at]
            for answer in (db.scalar(LEFT, number), pair_version(db.one(RIGHT, number), number)):
                reader.row("after a rollback", at, answer, floor, answer=answer, own=version)
            reader.tally.add("after a rollback", 2)

    def writes(self) -> None:
        """What a function reads that is given to `write`, which may run it again."""
        reader, writer = self._reader, self._writer
        number = reader.chance.randrange(TABLES["item"].size)

        def function(tx: Any) -> None:
            answer = tx.query(ITEM, number)
            reader.row("in write(...)", cell("item", number), row_version(answer, number), floor, answer=answer)
            tx.execute("REPLACE INTO solo VALUES (?, ?, ?)", *row)
            # A trigger's RAISE(IGNORE) may have passed over it: what is there is asked for past the cache.
            answer, own = (tuple(map(tuple, rows)) for rows in (tx.query(OWN, row[0]), tx.iterate(OWN, row[0])))
            reader.tally.check("in write(...)", "" if answer == own else "stale", answer=answer, own=own)
            reader.tally.add("in write(...)", 2)

        with writer.passage.shared():
            row, floor = writer.draw(writer.number()), reader.board.known[cell("item", number)]
            reader.board.event()
            self._db.write(function)
            writer.confirm([row])

    def all(self) -> list[Callable[[], None]]:
        """As calls of a batch; the snapshots more often, which hold nobody up."""
        return [self.snapshots, self.snapshots, self.transactions, self.writes]


class Answers:
    """What was read in one moment."""

    def __init__(self, floors: list[int], begun: list[int], gone: list[int]) -> None:
        """What was known before it, and begun and gone once it was fixed."""
        self._history = (floors, begun, gone)
        self.rows: list[tuple[int, int | None]] = []
        self.others = 0
        self._group: tuple[int, Any] | None = None
        self._amounts: list[int] = []
        self._sums: list[int] = []

    def pair(self, number: int, left: int, right: int) -> None:
        """A row of left_side and of right_side."""
        self.rows += ((cell("pair", number), left), (cell("pair", number), right))

    def item(self, number: int, version: int | None) -> None:
        """A row of item."""
        self.rows.append((cell("item", number), version))

    def group(self, group: int, rows: Any) -> None:
        """The rows of a group."""
        self._group = group, rows
        self.others += 1

    def total(self, answer: int) -> None:
        """The sum over left_side."""
        self._sums.append(answer)
        self.others += 1

    def amounts(self, amounts: list[int]) -> None:
        """Of all accounts."""
        self._amounts = amounts
        self.others += len(amounts)

    def judge(self, reader: Any, kind: str) -> None:
        """Each by the history, and all against each other."""
        floors, begun, gone = self._history
        seen: dict[int, int | None] = {}
        check = reader.tally.check
        for at, version in self.rows:
            wrong = judge.cell(version, floors[at], begun[at], gone[at]).wrong
            if not wrong and seen.setdefault(at, version) != version:
                wrong = "torn"
            history = {"known before": floors[at], "begun at its start": begun[at], "gone": gone[at]}
            check(kind, wrong, cell=at, version=version, first=seen.get(at), **history)
        if self._amounts:
            check(kind, "" if sum(self._amounts) == TOTAL else "torn", amounts=self._amounts)
        pairs = sum(seen.get(cell("pair", number)) or 0 for number in range(TABLES["pair"].size))
        for answer in self._sums:
            check(kind, "" if answer == pairs else "torn", sum=answer, rows=pairs)
        if self._group is not None:
            group, rows = self._group
            items = slice(TABLES["item"].first, TABLES["item"].first + TABLES["item"].size)
            found = versions(rows)
            number, wrong = judge.members(found, floors[items], begun[items], gone[items], in_group(group))
            for at, version in self.rows:
                other = at - items.start
                if not wrong and 0 <= other < TABLES["item"].size and found.get(other, version) != version:
                    number, wrong = other, "torn"
            check(kind, wrong, row=number, group=group, answer=[*map(tuple, rows)])
