"""A run: prepare the file, start the processes, kill and restart some at random, end all, and say what was found.

Ends only processes that it has started. Every read that it reports was judged: the counts live on the board, whatever became of
the process.

Ring: shell.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coeval
from torture import judge
from torture.board import COMMITS, ERRORS, PAUSE, RESTORES, STOP, Board
from torture.mutations import SHARED
from torture.roles import ROLES
from torture.tally import evidence
from torture.world import CELLS, KINDS, NAIVE, SCHEMA, TABLES

_PATIENCE = 20.0
_LONGER = 60.0


@dataclass
class Found:
    """What a run found. ``kinds``: judged reads, those from the cache, those that raced a commit, violations."""

    seconds: float
    kinds: dict[str, tuple[int, ...]]
    commits: int
    errors: int
    restores: int
    kills: int
    #: hits, revalidated, misses, uncached, of processes that were not killed
    statistics: tuple[int, ...] = (0, 0, 0, 0)
    #: what ended by itself, with its last words, and what is wrong with the file
    died: list[str] = field(default_factory=list)
    violations: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)  #: calls that raised

    def total(self, number: int) -> int:
        """The sum of one count over all kinds but the naive ones."""
        return sum(counts[number] for kind, counts in self.kinds.items() if kind not in NAIVE)


def uncaught(kinds: dict[str, tuple[int, ...]]) -> set[str]:
    """The naive caches that got away with it, so far."""
    return {kind for kind in NAIVE if not kinds[kind][3]}


class Run:
    """One, in a folder of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._seed = seed
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0
        self._died: list[str] = []
        self.kills = 0
        with coeval.open(folder / "app.db") as db:
            db.script(SCHEMA)
        with coeval.open(folder / "app.db") as db:  # with the stamps of the new tables
            db.query("SELECT 1 FROM item")
            db.invalidate("any")
        shutil.copy(folder / "app.db", folder / "old.db")
        self.board = Board(folder)
        for cell in range(CELLS):
            self.board.known[cell] = self.board.begun[cell] = 2

    def attack(
        self,
        roles: tuple[str, ...],
        seconds: float,
        every: float = 0.0,
        enough: Callable[[dict[str, tuple[int, ...]]], bool] | None = None,
    ) -> Found:
        """Run ``roles`` for so many seconds, and kill one of them after about each ``every`` seconds; 0: none.

        ``enough``: it goes on, for a minute at the most, until this is content with the counts.
        """
        (self._folder / "statistics").unlink(missing_ok=True)
        for number in (STOP, COMMITS, ERRORS, RESTORES):
            self.board.fields[number] = 0
        try:
            for name in roles:
                self._start(name)
            started = time.monotonic()
            killing = started + every * (0.5 + self._chance.random())
            while not self._died:
                now = time.monotonic()
                if now > started + seconds and (
                    enough is None or enough(self._counts()) or now > started + seconds + _LONGER
                ):
                    break
                self._look()
                if every and now > killing:
                    killing = now + every * (0.5 + self._chance.random())
                    self._kill(self._chance.choice(roles))
                time.sleep(0.05)
            self.board.fields[STOP] = 1
            self._end()
        finally:
            for child in self._children.values():
                child.kill()
                child.wait()
            self._children.clear()
        seconds = time.monotonic() - started
        self._check_file()
        return self._found(seconds)

    def _start(self, name: str) -> None:
        self._starts += 1
        here = Path(__file__).resolve().parent.parent
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *filter(None, sys.path)])}
        command = [sys.executable, "-P", "-m", "torture.child", str(self._folder), name, f"{self._seed} {self._starts}"]
        with (self._folder / f"{name.replace(' ', '-')}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _kill(self, name: str) -> None:
        child = self._children[name]
        child.kill()
        child.wait()
        if self.board.fields[PAUSE] == child.pid:
            self.board.fields[PAUSE] = 0
        self.kills += 1
        self._start(name)

    def _look(self) -> None:
        for name, child in self._children.items():
            if child.poll() is not None:
                self._died.append(f"{name}, with {child.returncode}: {self._words(name)}")

    def _end(self) -> None:
        end = time.monotonic() + _PATIENCE
        for name, child in self._children.items():
            try:
                code = child.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._died.append(f"{name} did not end: {self._words(name)}")
                continue
            if code and not self._died:
                self._died.append(f"{name}, with {code}: {self._words(name)}")

    def _statistics(self) -> tuple[int, ...]:
        path = self._folder / "statistics"
        lines = path.read_text().splitlines() if path.exists() else []
        return tuple(
            sum(column) for column in zip((0, 0, 0, 0), *(map(int, line.split()) for line in lines), strict=True)
        )

    def _words(self, name: str) -> str:
        return (self._folder / f"{name.replace(' ', '-')}.log").read_text(errors="replace")[-2000:]

    def _check_file(self) -> None:
        """The file is sound, and holds of each row what is known, or what may have been committed since."""
        board = self.board
        with coeval.open(self._folder / "app.db", cache=None) as db:
            checked = db.check()
            if not checked.ok:
                self._died.append(f"the file: {checked}")
            for name, sql in {**SHARED, "solo": "SELECT id, ver FROM solo"}.items():
                table, found = TABLES[name], {row[0]: row[1] for row in db.iterate(sql)}
                for number in range(table.size):
                    at = table.first + number
                    wrong = judge.cell(found.get(number), board.known[at], board.begun[at], board.gone[at]).wrong
                    if wrong:
                        self._died.append(
                            f"the file: {name} {number} is {wrong}: {found.get(number)}, {board.known[at]}"
                        )

    def _counts(self) -> dict[str, tuple[int, ...]]:
        return {kind: self.board.counted(number) for number, kind in enumerate(KINDS)}

    def _found(self, seconds: float) -> Found:
        fields = self.board.fields
        return Found(
            seconds,
            self._counts(),
            fields[COMMITS],
            fields[ERRORS],
            fields[RESTORES],
            self.kills,
            self._statistics(),
            self._died,
            evidence(self._folder, "violations"),
            evidence(self._folder, "errors"),
        )


assert set(NAIVE) <= set(ROLES)
