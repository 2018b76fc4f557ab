"""One process of a run. Usage: python -m torture.child FOLDER ROLE SEED; it ends when the board says so, or is killed.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torture.board import Board
from torture.roles import ROLES, Role
from torture.tally import Tally


class Child:
    """What its threads share."""

    def __init__(self, folder: Path, role: Role, seed: str) -> None:
        self.folder = folder
        self.role = role
        self.seed = seed
        self.board = Board(folder)
        self._threads: list[threading.Thread] = []
        self._failed: list[BaseException] = []

    def tally(self, number: int) -> Tally:
        """The counts of its thread ``number``."""
        return Tally(self.board, self.folder, self.role.slot + number)

    def until_stopped(self, work: Callable[[], object], pause: float = 0.0) -> None:
        """``work`` again and again, in a thread, with pauses of about so many seconds."""
        chance = random.Random(f"{self.seed} {len(self._threads)}")

        def loop() -> None:
            try:
                while not self.board.stopped:
                    work()
                    if pause:
                        time.sleep(chance.random() * 2 * pause)
            except BaseException as error:
                self._failed.append(error)
                traceback.print_exc()
                os._exit(1)  # what nobody foresaw ends the run

        self._threads.append(threading.Thread(target=loop, daemon=True))

    def start(self, threads: list[threading.Thread]) -> None:
        """Further threads, which look at the board themselves."""
        self._threads += threads

    def run(self) -> None:
        """Run them to their end."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()


def run(child: Child) -> None:
    """Do what the role is."""
    role = child.role
    if role.does == "foreign":
        from torture.foreign import Foreign

        child.until_stopped(
            Foreign(child.board, child.folder, child.tally(0), role.owner, child.seed).write, role.pause
        )
        child.run()
    elif role.does == "hostile":
        from torture.foreign import Hostile

        child.until_stopped(Hostile(child.board, child.folder, child.tally(0), role.owner, child.seed).harm, role.pause)
        child.run()
    else:
        import coeval

        settings: Any = {"durability": "normal", "timeout": 20.0, **role.settings}
        with coeval.open(child.folder / "app.db", **settings) as db:
            auditor = child.tally(role.threads + role.writers)
            db.listen(lambda name, facts: auditor.check("audited in the background", _difference(name), **facts))
            _with(child, db)
            auditor.add("audited in the background", getattr(db.stats(), "audited", 0))
            count(child.folder, db)


def _with(child: Child, db: Any) -> None:
    from torture.functions import Functions
    from torture.keeper import Keeper
    from torture.moments import Moments
    from torture.reading import Reader
    from torture.unsound import run as unsound
    from torture.writing import Writer

    board, folder, role, seed = child.board, child.folder, child.role, child.seed
    if role.does == "keep":
        child.until_stopped(Keeper(board, folder, db, child.tally(0), seed).keep, role.pause)
    elif role.does.startswith("naive: "):
        child.start(unsound(role.does, db, board, folder, role.slot, role.owner))
    elif role.does == "tasks":
        functions = Functions(board, db)
        child.until_stopped(lambda: asyncio.run(_tasks(child, db, functions)))
    else:
        functions = Functions(board, db)
        for number in range(role.threads):
            writer = Writer(board, folder, db, child.tally(number), role.owner + number, f"{seed} {number}")
            reader = Reader(board, child.tally(number), db, f"{seed} {number}")
            child.until_stopped(_reads(reader, functions, Moments(reader, functions, writer)))
    for number in range(role.writers):
        at = role.threads + number
        writer = Writer(board, folder, db, child.tally(at), role.owner + at, f"{seed} {at}")
        child.until_stopped(writer.write, role.pause)
    child.run()


def _reads(reader: Any, functions: Any, moments: Any) -> Callable[[], None]:
    """A batch of one kind of reads; nearly all are of the kinds that the cache answers."""
    from torture.world import TABLES

    quick = reader.queries()
    alone = {
        "function": functions.item,
        "nested function": functions.nested,
        "slow function": functions.slow,
        "method": functions.method,
        "function with kept errors": functions.present,
        "refresh, invalidate, peek": functions.by_hand,
    }
    for kind, found in alone.items():
        quick.append(lambda kind=kind, found=found: reader.called(kind, [found], TABLES["item"]))
    quick.append(lambda: reader.called_for_two("function of two queries", functions.both))
    for kind, several, table in (
        ("function with a tag", functions.tagged, "outside"),
        ("value with a tag", functions.values, "outside"),
        ("value of a query", functions.found, "item"),
    ):
        if several:
            quick.append(lambda kind=kind, several=several, table=table: reader.called(kind, several, TABLES[table]))
    units = moments.all()

    def batch() -> None:
        import coeval

        chosen = units if reader.chance.random() < 0.03 else quick
        try:
            reader.chance.choice(chosen)()
        except coeval.Error as error:
            reader.tally.failed("read", error)

    return batch


async def _tasks(child: Child, db: Any, functions: Any) -> None:
    import coeval
    from torture.tasks import TaskReader
    from torture.writing import Writer

    board, role = child.board, child.role

    async def task(number: int) -> None:
        tally, seed = child.tally(number), f"{child.seed} {number}"
        writer = Writer(board, child.folder, db, tally, role.owner, seed)
        reader = TaskReader(board, tally, db, functions, writer, seed)
        while not board.stopped:
            try:
                await reader.chance.choice(reader.all())()
            except coeval.Error as error:
                tally.failed("read of a task", error)
            await asyncio.sleep(0)

    await asyncio.gather(*(task(number) for number in range(role.threads)))


def _difference(event: str) -> str:
    """What is wrong where Coeval's own auditor reports a difference."""
    return "stale" if event == "audit_difference" else ""


def count(folder: Path, db: Any) -> None:
    """Leave the statistics of a process that comes to its end."""
    found = db.stats()
    with (folder / "statistics").open("a") as file:
        file.write(f"{found.hits} {found.revalidated} {found.misses} {found.uncached}\n")


if __name__ == "__main__":
    faulthandler.enable()
    run(Child(Path(sys.argv[1]), ROLES[sys.argv[2]], sys.argv[3]))
