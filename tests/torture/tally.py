"""What one thread has judged, and the evidence of what was wrong, on disk at once: its process may be killed at any moment.

Ring: shell.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from torture.board import ERRORS, Board
from torture.world import KIND, KINDS

_MOST = 20  #: pieces of evidence that one thread writes down


class Tally:
    """Counts of one thread, on the board."""

    def __init__(self, board: Board, folder: Path | None, slot: int) -> None:
        self._board = board
        self._folder = folder
        self._slot = slot
        self._written = 0

    def add(self, kind: str, judged: int, same: int = 0, raced: int = 0) -> None:
        """``judged`` reads of which ``same`` came from the cache and ``raced`` met a commit."""
        self._board.add(self._slot, KIND[kind], judged, same, raced, 0)

    def check(self, kind: str, wrong: str, **evidence: Any) -> bool:
        """Whether all is well; where ``wrong`` says what is not, it is counted and written down."""
        if not wrong:
            return True
        self._board.add(self._slot, KIND[kind], 0, 0, 0, 1)
        self._note("violations", {"wrong": wrong, "kind": kind, **evidence})
        return False

    def failed(self, what: str, error: BaseException) -> None:
        """A call raised."""
        self._board.fields[ERRORS] += 1
        self._note("errors", {"what": what, "error": type(error).__name__, "message": str(error)[:300]})

    def _note(self, name: str, facts: dict[str, Any]) -> None:
        self._written += 1
        if self._folder is not None and self._written <= _MOST:
            line = json.dumps({"pid": os.getpid(), "slot": self._slot, **facts}, default=repr) + "\n"
            with (self._folder / name).open("a") as file:
                file.write(line)


def evidence(folder: Path, name: str) -> list[dict[str, Any]]:
    """What all of them wrote down; a line that its writer was killed in is left out."""
    found = []
    path = folder / name
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


assert len(KINDS) == len(KIND), "two kinds have one name"
