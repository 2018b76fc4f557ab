"""What tests of the asyncio face share: loops with a limit, and who ran which statement in which thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import apsw

import coeval
from coeval import AsyncDatabase

T = TypeVar("T")

PATIENCE = 30.0

#: A statement that runs until it is interrupted.
ENDLESS = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c WHERE x % ? = 1"


def loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What ``main()`` gives, on a loop of its own, within half a minute."""

    async def limited() -> T:
        async with asyncio.timeout(PATIENCE):
            return await main()

    return asyncio.run(limited())


async def until(true: Callable[[], object]) -> None:
    """Let the loop go round until ``true()`` is."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - what threads do sets no asyncio.Event
            await asyncio.sleep(0.001)


class Trace:
    """For ``on_connect``: in which thread each statement began."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, int]] = []

    def __call__(self, connection: apsw.Connection) -> None:
        """Listen to ``connection``."""
        connection.trace_v2(apsw.SQLITE_TRACE_STMT, self._heard)

    def _heard(self, event: dict[str, Any]) -> None:
        self.ran.append((event["sql"], threading.get_ident()))

    def threads(self, sql: str) -> list[int]:
        """The threads in which ``sql`` ran, in order."""
        return [thread for said, thread in self.ran if said == sql]


class Stall:
    """For ``on_connect``: a thread that has run ``sql`` stands still right after it, until it may go on."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.on = False
        self.there = threading.Event()
        self.go = threading.Event()

    def __call__(self, connection: apsw.Connection) -> None:
        """Listen to ``connection``."""
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._heard)

    def _heard(self, event: dict[str, Any]) -> None:
        if self.on and event["sql"] == self.sql:
            self.there.set()
            self.go.wait(PATIENCE)


async def filled(path: Path, rows: int = 10, **settings: Any) -> AsyncDatabase:
    """A database with a table of some rows."""
    db = await coeval.aopen(path, **settings)
    await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    await db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"n{i}") for i in range(1, rows + 1)])
    return db
