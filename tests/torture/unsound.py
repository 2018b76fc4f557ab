"""The naive caches under the same history and the same judge: what they get wrong shows that the judge can see it.

Each has a writer and readers in threads. A load takes a moment longer between its query and its store, as in a request
handler; that is where each of them loses its race.

Ring: shell.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import coeval
from coherence.naive import DeleteAfterCommit, JoinAnyFlight, StampAfterQuery, TimeToLive
from torture.board import Board
from torture.reading import Judging, row_version
from torture.tally import Tally
from torture.world import OWNED, TABLES, cell
from torture.writing import Owner

_ROUND = 20
_ROWS = 2  #: few, so that two readers want the same
_LOAD = 0.002


class _SlowLoads:
    """A database whose uncached reads take a moment to come back."""

    def __init__(self, db: coeval.Database) -> None:
        self._db = db
        self.execute = db.execute

    def iterate(self, sql: str) -> list[Any]:
        rows = list(self._db.iterate(sql))
        time.sleep(_LOAD)
        return rows


class _JoinAnyFlight(JoinAnyFlight):
    def write(self, sql: str) -> None:
        self.db.execute(sql)


class _TimeToLive(TimeToLive):
    def write(self, sql: str) -> None:
        self.db.execute(sql)


def cache_of(kind: str, db: coeval.Database) -> Any:
    """The naive cache that ``kind`` names."""
    slow: Any = _SlowLoads(db)
    return {
        "naive: delete after commit": lambda: DeleteAfterCommit(slow),
        "naive: stamp after the query": lambda: StampAfterQuery(slow),
        "naive: TTL only": lambda: _TimeToLive(slow, time.monotonic, 0.02),
        "naive: join any flight": lambda: _JoinAnyFlight(slow),
    }[kind]()


def write(kind: str, cache: Any, board: Board, folder: Path, owner: int) -> None:
    """Write the owner's rows through the cache until the run is over."""
    own = Owner(board, folder, owner, kind)
    while not board.stopped:
        row = own.draw(owner * OWNED + own.chance.randrange(_ROWS))
        board.event()
        cache.write(f"REPLACE INTO solo VALUES ({row[0]}, {row[1]}, '{row[2]}')")
        own.known(row)
        time.sleep(random.random() * 0.004)


def read(kind: str, cache: Any, board: Board, tally: Tally, owner: int, seed: object) -> None:
    """Read them, and judge."""
    judging, events, first = Judging(board, tally, seed), board.fields, TABLES["solo"].first
    while not board.stopped:
        raced = judged = 0
        for _ in range(_ROUND):
            number = owner * OWNED + judging.chance.randrange(_ROWS)
            sql = f"SELECT id, ver, note FROM solo WHERE id = {number}"
            if isinstance(cache, JoinAnyFlight):  # else both readers end one flight and begin the next together
                time.sleep(judging.chance.random() * _LOAD)
            floor, before = board.known[first + number], events[0]
            try:
                answer = cache.query(sql)
            except KeyError:  # deleted between its look and its answer: they are written like that
                continue
            judged += 1
            raced += before != events[0]
            judging.row(kind, cell("solo", number), row_version(answer, number), floor, sql=sql, answer=answer)
        tally.add(kind, judged, 0, raced)
        time.sleep(0.001)


def run(kind: str, db: coeval.Database, board: Board, folder: Path, slot: int, owner: int) -> list[threading.Thread]:
    """The threads of one naive cache, not started yet."""
    cache = cache_of(kind, db)
    readers = [
        threading.Thread(
            target=read, args=(kind, cache, board, Tally(board, folder, slot + at), owner, at), daemon=True
        )
        for at in range(2)
    ]
    return [threading.Thread(target=write, args=(kind, cache, board, folder, owner), daemon=True), *readers]
