"""Reads of tasks through the asyncio face, judged as those of threads.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import coeval
from torture.board import Board
from torture.functions import Functions
from torture.moments import ACCOUNT, Answers
from torture.reading import BATCH, GROUP, ITEM, LEFT, RIGHT, SOLO, Judging, pair_version, row_version
from torture.tally import Tally
from torture.world import ACCOUNTS, GROUPS, TABLES, Table, cell
from torture.writing import UndoneError, Writer

_VALUE = "task: value of a query"


class TaskReader(Judging):
    """A task that reads."""

    def __init__(
        self, board: Board, tally: Tally, db: coeval.Database, functions: Functions, writer: Writer, seed: object
    ) -> None:
        super().__init__(board, tally, seed)
        self._db = db.aio
        self._functions = functions
        self._writer = writer

    async def queried(self, sql: str, table: Table) -> None:
        """Single rows by `query`."""
        known, events, memory = self.board.known, self.board.fields, self.memory(sql, table.size)
        last, proven, first, query = memory.last, memory.proven, table.first, self._db.query
        same = raced = 0
        for number in self.order(table):
            floor, before = known[first + number], events[0]
            answer = await query(sql, number)
            if before != events[0]:
                raced += 1
            if answer is last[number]:
                same += 1
                if floor <= proven[number]:
                    continue
            last[number] = answer
            proven[number] = self.row(
                "task: query", first + number, row_version(answer, number), floor, sql=sql, answer=answer
            )
        self.tally.add("task: query", BATCH, same, raced)

    async def called(self, name: str, function: Callable[[int], Awaitable[Any]], kind: str = "task: function") -> None:
        """Single versions by a cached coroutine function."""
        table = TABLES["item"]
        known, events, memory = self.board.known, self.board.fields, self.memory(name, table.size)
        last, proven, first = memory.last, memory.proven, table.first
        same = raced = 0
        for number in self.order(table):
            floor, before = known[first + number], events[0]
            answer = await function(number)
            if before != events[0]:
                raced += 1
            if answer is last[number]:
                same += 1
                if floor <= proven[number]:
                    continue
            last[number] = answer
            proven[number] = self.row(kind, first + number, answer, floor, name=name, number=number)
        self.tally.add(kind, BATCH, same, raced)

    async def snapshot(self) -> None:
        """Several reads of one moment."""
        board, events, functions = self.board, self.board.fields, self._functions
        floors, before = board.known.tolist(), events[0]
        async with self._db.snapshot() as snap:
            answers = Answers(floors, board.begun.tolist(), board.gone.tolist())
            for number in range(TABLES["pair"].size):
                left = await snap.scalar(LEFT, number)
                answers.pair(number, left, pair_version(await snap.one(RIGHT, number), number))
            for number in self.chance.sample(range(TABLES["item"].size), 2):
                answers.item(number, row_version(await snap.query(ITEM, number), number))
                answers.item(number, await functions.nested_of_task(number))
            group = self.chance.randrange(GROUPS)
            answers.group(group, await snap.query(GROUP, group))
            answers.amounts([await snap.scalar(ACCOUNT, number) for number in range(ACCOUNTS)])
        answers.judge(self, "task: snapshot")
        self.tally.add("task: snapshot", len(answers.rows) + answers.others, 0, before != events[0])

    async def transaction(self) -> None:
        """Its own write, seen in it and, where it is rolled back, never after it."""
        number = self.chance.randrange(TABLES["pair"].size)
        at, doomed, writer, kind = (
            cell("pair", number),
            self.chance.random() < 0.5,
            self._writer,
            "task: in a transaction",
        )
        floor, version, settled = self.board.known[at], 0, {}
        async with writer.passage.shared_by_task():
            try:
                async with self._db.transaction() as tx:
                    before = await self._db.scalar(LEFT, number)
                    self.row(kind, at, before, floor, answer=before, when="before its own write")
                    version = writer.mutations.draw("pair", number, doomed=doomed)
                    await tx.execute("UPDATE left_side SET ver = ? WHERE id = ?", version, number)
                    answers = (await self._db.scalar(LEFT, number), (await tx.one(RIGHT, number))[1])
                    wrong = "" if answers == (version,) * 2 else "torn"
                    self.tally.check(kind, wrong, answers=answers, own=version, before=before)
                    if doomed:
                        raise UndoneError
                    rows = {sql: [row async for row in tx.iterate(sql)] for sql in _shared()}
                    settled = writer.mutations.settle(rows.__getitem__)
                    self.board.event()
                writer.publisher.commits(settled)
            except UndoneError:
                pass
            floor, answer = self.board.known[at], await self._db.scalar(LEFT, number)
            self.row(kind, at, answer, floor, answer=answer, own=version, when="after it")
        self.tally.add(kind, 4)

    def all(self) -> list[Callable[[], Awaitable[None]]]:
        """As calls of a batch."""
        return [
            *[lambda: self.queried(ITEM, TABLES["item"])] * 3,
            *[lambda: self.queried(SOLO, TABLES["solo"])] * 3,
            *[lambda: self.called("item", self._functions.item_of_task)] * 2,
            *[lambda: self.called("nested", self._functions.nested_of_task)] * 2,
            *[lambda found=found: self.called("value", found, _VALUE) for found in self._functions.found_by_task],
            self.snapshot,
            self.transaction,
        ]


def _shared() -> list[str]:
    from torture.mutations import SHARED

    return list(SHARED.values())
