"""Who may write while the file is being restored: writers hold a shared lock for each commit, the restorer the exclusive one.

A restore is a commit that rises every version; what others commit while it is prepared would be lost, and with it the order of versions.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from torture.board import PAUSE, Board

_SOON = 0.005


class Passage:
    """One thread's or task's place in it; the lock falls with the process."""

    def __init__(self, board: Board, folder: Path) -> None:
        self._board = board
        self._file = (folder / "passage").open("a")

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For one commit."""
        while self._board.fields[PAUSE] or not self._got(fcntl.LOCK_SH):
            time.sleep(_SOON)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @asynccontextmanager
    async def shared_by_task(self) -> AsyncIterator[None]:
        """The same, in a task."""
        while self._board.fields[PAUSE] or not self._got(fcntl.LOCK_SH):  # noqa: ASYNC110 - on other processes
            await asyncio.sleep(_SOON)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While nobody writes. Whoever kills this process sets ``PAUSE`` back."""
        self._board.fields[PAUSE] = os.getpid()
        try:
            while not self._got(fcntl.LOCK_EX):
                time.sleep(_SOON)
            yield
        finally:
            self._board.fields[PAUSE] = 0
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _got(self, how: int) -> bool:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
