"""The cached functions and kept values of a run, over one database; blocking ones and coroutines.

Ring: shell.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import coeval
from torture.board import Board
from torture.reading import ITEM, LEFT, row_version
from torture.world import OWNERS, TABLES


def tag(number: int) -> str:
    """The tag of a value outside the database."""
    return f"outside {number}"


class Functions:
    """Cached functions; made once for a database, and shared by its threads and tasks."""

    def __init__(self, board: Board, db: coeval.Database) -> None:
        outside = TABLES["outside"].first

        @db.cached
        def item(number: int) -> int | None:
            return item_of(db, number)

        @db.cached
        def both(number: int) -> tuple[int | None, int | None]:
            one = db.scalar(LEFT, number)
            row = db.first("SELECT id, ver, note FROM child WHERE id = ?", number)
            return one, row_version(() if row is None else (row,), number)

        @db.cached
        def nested(number: int) -> int | None:
            return item(number)

        @db.cached
        def slow(number: int) -> int | None:
            version = row_version(db.query(ITEM, number), number)
            time.sleep(0.001)  # commits fall into it
            db.scalar("SELECT count(*) FROM item")  # the same table once more, newer perhaps
            return version

        class Shop:
            """Has a cached method."""

            @db.cached(leave_out=["self"])
            def item(self, number: int) -> int | None:
                return item_of(db, number)

        @db.cached(negative=LookupError)
        def present(number: int) -> int:
            version = item_of(db, number)
            if version is None:
                raise LookupError(number)
            return version

        def present_or_none(number: int) -> int | None:
            try:
                return present(number)
            except LookupError:
                return None

        @db.cached
        def boxed(number: int) -> tuple[int | None]:
            return (item_of(db, number),)

        turn = itertools.count()

        def by_hand(number: int) -> int | None:
            now = next(turn) % 16
            if now == 0:
                return boxed.refresh(number)[0]
            if now == 1:
                boxed.invalidate(number)
            found = boxed.peek(number)
            return (boxed(number) if found is None else found)[0]

        @db.cached
        async def item_of_task(number: int) -> int | None:
            return row_version(await db.aio.query(ITEM, number), number)

        @db.cached
        async def nested_of_task(number: int) -> int | None:
            return await item_of_task(number)

        def tagged(number: int) -> Callable[[int], int]:
            return db.cached(tags=tag(number))(_reading(board, outside + number, number))

        self.item = item
        self.both = both
        self.nested = nested
        self.slow = slow
        self.method = Shop().item
        self.present = present_or_none
        self.by_hand = by_hand
        self.item_of_task = item_of_task
        self.nested_of_task = nested_of_task
        # Tags and kept values have stamps in the file, which coherence="clock" leaves as it is.
        stamps = db.settings.coherence == "stamps"
        self.tagged: list[Callable[[int], int]] = [tagged(number) for number in range(OWNERS)] if stamps else []
        self.values: list[Callable[[int], Any]] = []
        self.found: list[Callable[[int], Any]] = []
        self.found_by_task: list[Callable[[int], Any]] = []
        kept: Any = getattr(db, "cache", None)
        by_task: Any = getattr(db.aio, "cache", None)
        if stamps and hasattr(kept, "get_or_set"):
            self.found = [lambda number: kept.get_or_set(("item", number), lambda: item_of(db, number))]
            self.values = [_kept(kept, board, outside + number, number) for number in range(OWNERS)]
        if stamps and hasattr(by_task, "get_or_set"):

            async def found(number: int) -> Any:
                async def make() -> int | None:
                    return row_version(await db.aio.query(ITEM, number), number)

                return await by_task.get_or_set(("item of a task", number), make)

            self.found_by_task = [found]


def item_of(db: coeval.Database, number: int) -> int | None:
    """The version of an item, by a query."""
    return row_version(db.query(ITEM, number), number)


def _reading(board: Board, at: int, number: int) -> Callable[[int], int]:
    def outside(asked: int) -> int:
        return board.begun[at]

    outside.__qualname__ = f"outside_{number}"  # a function of its own: the name is a part of the key
    return outside


def _kept(cache: Any, board: Board, at: int, number: int) -> Callable[[int], Any]:
    def value(asked: int) -> Any:
        return cache.get_or_set(f"outside {number}", lambda: board.begun[at], tags=(tag(number),))

    return value
