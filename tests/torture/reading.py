"""Reads of one thread through the blocking face, each judged at once.

A loop notes what is known, asks, and compares. Where the very object comes back that was judged before, and nothing newer is known,
there is nothing more to judge: so the check costs less than the hit, and the run is one of hits. Everything else is looked at value
by value.

Ring: shell.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import coeval
from torture import judge
from torture.board import Board
from torture.tally import Tally
from torture.world import CELLS, GROUPS, NUMBERS, PARENTS, TABLES, Table, group_of

ITEM = "SELECT id, ver, note FROM item WHERE id = ?"
SOLO = "SELECT id, ver, note FROM solo WHERE id = ?"
GROUP = "SELECT id, ver, note FROM item WHERE grp = ?"
#: It goes on for a while after it has read its row, so that commits fall into it.
SLOW = (
    "SELECT id, ver, note FROM item WHERE id = ? AND "
    "(WITH RECURSIVE n(i) AS (SELECT id UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT count(*) FROM n) > 0"
)
#: What it reads beside its row has no stamp.
CLOCK = "SELECT id, ver, note FROM item WHERE id = ? AND (SELECT count(*) FROM sqlite_schema) > 0"
JOIN = "SELECT c.id, c.ver, c.note FROM parent p JOIN child c ON c.parent = p.id WHERE p.id = ?"
SUM = "SELECT sum(ver) FROM left_side"
LEFT = "SELECT ver FROM left_side WHERE id = ?"
RIGHT = "SELECT id, ver FROM right_side WHERE id = ?"
EAST = "SELECT id, ver, note FROM east WHERE id = ?"

#: Reads between two looks at whether the run is over.
BATCH = 400

_TORN = 1  #: a version that no row has


def row_version(rows: Sequence[Any], number: int) -> int | None:
    """The version that an answer of at most one row shows; None for no row."""
    if not rows:
        return None
    if len(rows) != 1:
        return _TORN
    found, version, note = rows[0]
    return version if found == number and note == f"{number}:{version}" else _TORN


def pair_version(row: Any, number: int) -> int:
    """The same of one row without a note."""
    return row[1] if row[0] == number else _TORN


def plain_version(answer: Any, number: int) -> int | None:
    """An answer that is a version."""
    return answer


def versions(rows: Sequence[Any]) -> dict[int, int]:
    """Versions by number, of rows with notes."""
    return {number: version if note == f"{number}:{version}" else _TORN for number, version, note in rows}


class Memory:
    """The last answer for each of some keys, and up to which known version it is proven."""

    def __init__(self, count: int) -> None:
        self.last: list[Any] = [self] * count
        self.proven = [-1] * count


class Judging:
    """What readers of both faces have in common."""

    def __init__(self, board: Board, tally: Tally, seed: object) -> None:
        self.board = board
        self.tally = tally
        self.chance = random.Random(str(seed))
        self._memories: dict[str, Memory] = {}
        self._orders = {table.size: self.chance.choices(range(table.size), k=4 * BATCH) for table in TABLES.values()}

    def memory(self, kind: str, count: int) -> Memory:
        """The memory of a kind of reads."""
        found = self._memories.get(kind)
        if found is None:
            found = self._memories[kind] = Memory(count)
        return found

    def order(self, table: Table) -> list[int]:
        """Numbers of rows to ask for, in no order."""
        start = self.chance.randrange(3 * BATCH)
        return self._orders[table.size][start : start + BATCH]

    def row(self, kind: str, at: int, version: int | None, floor: int, **evidence: Any) -> int:
        """Judge a row's version, ``floor`` being known before the call; up to which version it is proven, -1 where it is wrong."""
        begun, gone = self.board.begun[at], self.board.gone[at]
        verdict = judge.cell(version, floor, begun, gone)
        facts = {"cell": at, "version": version, "known before": floor, "begun after": begun, "gone": gone}
        return verdict.proven if self.tally.check(kind, verdict.wrong, **facts, **evidence) else -1

    def rows(self, kind: str, table: Table, rows: Sequence[Any], floors: list[int], belongs: Any, **more: Any) -> bool:
        """Judge the rows of a condition."""
        cells = slice(table.first, table.first + table.size)
        begun, gone = self.board.begun[cells].tolist(), self.board.gone[cells].tolist()
        number, wrong = judge.members(versions(rows), floors, begun, gone, belongs)
        if not wrong:
            return True
        history = {"known before": floors[number], "begun after": begun[number], "gone": gone[number]}
        return self.tally.check(kind, wrong, row=number, answer=[*map(tuple, rows)], **history, **more)


def in_group(group: int) -> Callable[[int, int], bool]:
    """Whether an item of a version is in ``group``."""
    return lambda _, version: group_of(version) == group


def of_parent(parent: int) -> Callable[[int, int], bool]:
    """Whether a child is ``parent``'s."""
    return lambda number, _: number % PARENTS == parent


class Reader(Judging):
    """A thread that reads."""

    def __init__(self, board: Board, tally: Tally, db: coeval.Database, seed: object) -> None:
        super().__init__(board, tally, seed)
        self.db = db

    def asked(
        self, kind: str, call: Callable[..., Any], sql: str, table: Table, version_of: Callable[..., Any] = row_version
    ) -> None:
        """Single rows, by ``call(sql, number)``."""
        known, events, memory = self.board.known, self.board.fields, self.memory(kind, table.size)
        last, proven, first = memory.last, memory.proven, table.first
        same = raced = 0
        for number in self.order(table):
            floor, before = known[first + number], events[0]
            answer = call(sql, number)
            if before != events[0]:
                raced += 1
            if answer is last[number]:
                same += 1
                if floor <= proven[number]:
                    continue
            last[number] = answer
            proven[number] = self.row(
                kind, first + number, version_of(answer, number), floor, sql=sql, number=number, answer=answer
            )
        self.tally.add(kind, BATCH, same, raced)

    def called(self, kind: str, functions: Sequence[Callable[[int], Any]], table: Table) -> None:
        """Single versions, by ``functions[number % …](number)``."""
        known, events, memory = self.board.known, self.board.fields, self.memory(kind, table.size)
        last, proven, first, many = memory.last, memory.proven, table.first, len(functions)
        same = raced = 0
        for number in self.order(table):
            call = functions[number % many]
            floor, before = known[first + number], events[0]
            answer = call(number)
            if before != events[0]:
                raced += 1
            if answer is last[number]:
                same += 1
                if floor <= proven[number]:
                    continue
            last[number] = answer
            proven[number] = self.row(kind, first + number, answer, floor, number=number)
        self.tally.add(kind, BATCH, same, raced)

    def called_for_two(self, kind: str, function: Callable[[int], tuple[int | None, int | None]]) -> None:
        """A row of left_side and one of child, by two queries in one function: each as new as if it had been asked for alone."""
        known, events, pair, child = self.board.known, self.board.fields, TABLES["pair"], TABLES["child"]
        memory = self.memory(kind, pair.size)
        last, proven = memory.last, memory.proven
        others = self.memory(f"{kind}, the second", pair.size).proven
        same = raced = 0
        for number in self.order(pair):
            one, other = pair.first + number, child.first + number
            floor, second, before = known[one], known[other], events[0]
            answer = function(number)
            if before != events[0]:
                raced += 1
            if answer is last[number]:
                same += 1
                if floor <= proven[number] and second <= others[number]:
                    continue
            last[number] = answer
            proven[number] = self.row(kind, one, answer[0], floor, number=number, answer=answer)
            others[number] = self.row(kind, other, answer[1], second, number=number, answer=answer)
        self.tally.add(kind, BATCH, same, raced)

    def listed(self, kind: str, sql: str, table: Table, keys: int, belongs: Callable[[int], Any]) -> None:
        """The rows of a condition."""
        board, events, turn = self.board, self.board.fields, NUMBERS[table.name]
        memory, query = self.memory(kind, keys), self.db.query
        last, proven, turns = memory.last, memory.proven, board.turns
        same = raced = 0
        floors, of = [0] * CELLS, -1
        for number in self.order(table):
            key = number % keys
            now = turns[turn]
            if now != of:
                floors, of = board.known[table.first : table.first + table.size].tolist(), now
            before = events[0]
            rows = query(sql, key)
            if before != events[0]:
                raced += 1
            if rows is last[key]:
                same += 1
                if proven[key] == of:
                    continue
            last[key] = rows
            good = self.rows(kind, table, rows, floors, belongs(key), sql=sql, key=key)
            proven[key] = of if good else -1
        self.tally.add(kind, BATCH, same, raced)

    def summed(self, kind: str) -> None:
        """The sum of the versions in left_side."""
        board, events, table = self.board, self.board.fields, TABLES["pair"]
        cells, scalar, turns, turn = (
            slice(table.first, table.first + table.size),
            self.db.scalar,
            self.board.turns,
            NUMBERS["pair"],
        )
        same = raced = 0
        floor, of, last, proven = 0, -1, None, -1
        for _ in range(BATCH):
            now = turns[turn]
            if now != of:
                floor, of = sum(board.known[cells]), now
            before = events[0]
            answer = scalar(SUM)
            if before != events[0]:
                raced += 1
            if answer is last:
                same += 1
                if proven == of:
                    continue
            begun = sum(board.begun[cells])
            wrong = judge.total(answer, (floor,), (begun,))
            good = self.tally.check(kind, wrong, answer=answer, **{"known before": floor, "begun after": begun})
            last, proven = answer, of if good else -1
        self.tally.add(kind, BATCH, same, raced)

    def queries(self) -> list[Callable[[], None]]:
        """The reads by statements, as calls of a batch."""
        db, tables = self.db, TABLES
        return [
            lambda: self.asked("query: one row", db.query, ITEM, tables["item"]),
            lambda: self.asked("query: an owned row", db.query, SOLO, tables["solo"]),
            lambda: self.listed("query: rows of a group", GROUP, tables["item"], GROUPS, in_group),
            lambda: self.listed("query: a join", JOIN, tables["child"], PARENTS, of_parent),
            lambda: self.summed("query: a sum"),
            lambda: self.asked("query: a slow one", db.query, SLOW, tables["item"]),
            lambda: self.asked("one", db.one, RIGHT, tables["pair"], pair_version),
            lambda: self.asked("scalar", db.scalar, LEFT, tables["pair"], plain_version),
            lambda: self.asked("a renamed table", db.query, EAST, tables["east"]),
            lambda: self.asked("by the clock alone", db.query, CLOCK, tables["item"]),
        ]
