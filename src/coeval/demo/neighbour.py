"""Our side of ``foreign.py``: starts it, speaks its lines, and ends it by its own process id.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import Error

__all__ = ["Neighbour", "NeighbourError"]

_OLDEST = (3, 37, 0)
"""The first SQLite that can read STRICT tables."""

_LONGEST_LINE = 64 * 2**20


class NeighbourError(Error):
    """The other process refused, failed or died."""


class Neighbour:
    """Another process with the file open through the standard ``sqlite3``. One order at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sqlite = "?"
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        program = Path(__file__).with_name("foreign.py")
        # A session of its own: Ctrl-C is for us, and we tell it to end.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(program), str(self.path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        version = tuple((await self._read(self._process))["sqlite"])
        self.sqlite = ".".join(map(str, version))
        if version < _OLDEST:
            await self.close()
            raise NeighbourError(
                f"The sqlite3 module of this Python has SQLite {self.sqlite}, which cannot read STRICT tables.",
                hint="Run the demonstration with a Python whose sqlite3.sqlite_version is 3.37 or newer.",
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def write(self, flight: int, minutes: int, by: str) -> int:
        """Records a delay; it is committed when this returns, and the result is its number."""
        return int((await self._order({"write": [flight, minutes, by]}))["id"])

    async def ask(self, sql: str, *parameters: object) -> list[list[Any]]:
        """The rows of a statement."""
        rows: list[list[Any]] = (await self._order({"ask": [sql, list(parameters)]}))["rows"]
        return rows

    async def copy(self, target: Path) -> None:
        """A copy of the file as of one moment, made by SQLite."""
        await self._order({"copy": str(target)})

    async def close(self) -> None:
        """Ends the process: by closing its input, and by its process id when that is not enough."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        async with self._turn:
            process = self._process
            if process is None or process.stdin is None:
                raise NeighbourError("The other process has been ended.")
            try:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                await process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError) as error:
                raise NeighbourError("The other process ended early.") from error
            return await self._read(process)

    async def _read(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise NeighbourError("The other process ended early.", hint="Its own message stands above.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NeighbourError(f"The other process failed: {answer['error']}")
        return answer
