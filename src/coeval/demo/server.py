"""Our side of ``workers.py``: starts the application, waits until it answers, ends it by its own process id.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import time
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from ..errors import ConfigError, Error

__all__ = ["APPLICATION", "Server", "ServerError"]

HOST = "127.0.0.1"
_PATIENCE = 60.0
_PATIENCE_IN_TROUBLE = 5.0
APPLICATION = "coeval.demo.app:create"


class ServerError(Error):
    """The application did not start, or ended early."""


class Server:
    """The application under uvicorn in processes of its own, on one port of this machine."""

    def __init__(
        self,
        database: Path,
        folder: Path,
        *,
        cache: bool,
        port: int = 0,
        workers: int = 2,
        application: str = APPLICATION,
    ) -> None:
        self.url = ""
        self._arguments = (str(port), str(workers), application)
        self._port = port
        self._folder = folder
        self._settings = {
            "COEVAL_DEMO_DATABASE": str(database),
            "COEVAL_DEMO_CACHE": "memory" if cache else "off",
            "COEVAL_DEMO_FOLDER": str(folder),
        }
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        _refuse_taken(self._port)
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C is for us, and we tell it to end.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "coeval.demo.workers", *self._arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._settings},
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.strip().isdigit():
            await self.close()
            raise self._failed()
        self.url = f"http://{HOST}:{int(line)}"
        try:
            await self._ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def wait(self) -> None:
        """Returns when the application has ended by itself, which is an error."""
        if self._process is not None:
            await self._process.wait()
        raise self._failed()

    async def _ready(self) -> None:
        """Returns when a worker answers. The log is empty unless something is wrong; then there is less patience,
        because uvicorn starts a worker that failed again and again."""
        begin = time.monotonic()
        async with aiohttp.ClientSession() as session:
            while time.monotonic() - begin < (_PATIENCE_IN_TROUBLE if self._log.stat().st_size else _PATIENCE):
                try:
                    async with session.get(f"{self.url}/health") as response:
                        if response.status == HTTPStatus.OK:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        raise self._failed()

    async def close(self) -> None:
        """Ends the application and its workers, each of which writes its figures first."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for end in (process.terminate, process.kill):
            try:
                await asyncio.wait_for(process.wait(), 8)
                return
            except TimeoutError:
                end()
        await process.wait()

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"

    def _failed(self) -> ServerError:
        said = self._log.read_text(errors="replace").strip().splitlines()[-12:]
        return ServerError("The application does not run.", hint="\n  ".join(["It said:", *said]) if said else "")


def _refuse_taken(port: int) -> None:
    """Says clearly that a port is taken, before anything is started. Port 0 means any that is free."""
    if not port:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = (
                "is in use by another program" if error.errno == errno.EADDRINUSE else f"is refused: {error.strerror}"
            )
            raise ConfigError(
                f"Port {port} of {HOST} {reason}.", hint="Name another with --port, or --port 0 for any that is free."
            ) from error
