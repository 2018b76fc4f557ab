"""The processes of the demonstration: they start, say clearly what is in the way, and are gone afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from coeval import errors
from coeval.demo.neighbour import Neighbour, NeighbourError
from coeval.demo.server import Server, ServerError


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until_gone(pids: set[int]) -> bool:
    for _ in range(200):
        if not any(alive(pid) for pid in pids):
            return True
        await asyncio.sleep(0.05)
    return False


async def workers_of(url: str, count: int) -> set[int]:
    """The process ids of the workers, from whom they answer."""
    seen: set[int] = set()
    deadline = time.monotonic() + 30
    while len(seen) < count and time.monotonic() < deadline:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
                seen.add(int(response.headers["X-Worker"]))
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    return seen


def test_workers_serve_and_are_gone_afterwards(own: Path, tmp_path: Path) -> None:
    """Two of them, on a free port of this machine; none is left when it is over."""

    async def scene() -> tuple[set[int], bool]:
        async with Server(own, tmp_path, cache=True) as server:
            assert server.url.startswith("http://127.0.0.1:")
            pids = await workers_of(server.url, 2)
        return pids, await until_gone(pids)

    pids, gone = asyncio.run(scene())
    assert 2 == len(pids)
    assert os.getpid() not in pids
    assert gone


def test_a_taken_port_is_named_before_anything_starts(own: Path, tmp_path: Path) -> None:
    """With the cure."""

    async def scene(port: int) -> None:
        async with Server(own, tmp_path, cache=True, port=port):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.ConfigError, match=f"Port {port} of 127.0.0.1 is in use") as caught:
            asyncio.run(scene(port))
    assert "--port" in caught.value.hint
    assert not list(tmp_path.glob("server.log"))


def test_an_application_that_cannot_start_says_why(own: Path, tmp_path: Path) -> None:
    """The end of its log is in the error."""

    async def scene() -> None:
        async with Server(own, tmp_path, cache=True, application="nothing_like_this:create"):
            pass

    with pytest.raises(ServerError, match="nothing_like_this"):
        asyncio.run(scene())


def test_no_server_outlives_a_killed_demonstration(own: Path, tmp_path: Path) -> None:
    """Whoever started it is killed without a word: launcher and workers end by themselves."""
    program = f"""
import asyncio
from pathlib import Path
from coeval.demo.server import Server

async def main():
    async with Server(Path({str(own)!r}), Path({str(tmp_path)!r}), cache=True) as server:
        print(server.url, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        pids = asyncio.run(workers_of(url, 2))
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    assert 2 == len(pids)
    assert asyncio.run(until_gone(pids))


def test_the_other_program_writes_as_the_application_does(own: Path, tmp_path: Path) -> None:
    """One number after the other, an error for a flight that is not there, and a copy of it all."""

    async def scene() -> tuple[int, int, list[list[object]], list[list[object]]]:
        copy = tmp_path / "copy.db"
        async with Neighbour(own) as other:
            numbers = await other.write(1, 45, "a test"), await other.write(2, -5, "a test")
            with pytest.raises(NeighbourError, match="no flight 999999"):
                await other.write(999_999, 5, "a test")
            with pytest.raises(NeighbourError, match="syntax error"):
                await other.ask("SELEC")
            await other.copy(copy)
        async with Neighbour(copy) as other:
            rows = await other.ask("SELECT id, flight_id, minutes, reported_by FROM delay_reports ORDER BY id")
            delays = await other.ask("SELECT minutes, reports FROM delays WHERE flight_id <= ? ORDER BY flight_id", 2)
        return *numbers, rows, delays

    first, second, rows, delays = asyncio.run(scene())
    assert (1, 2) == (first, second)
    assert [[1, 1, 45, "a test"], [2, 2, -5, "a test"]] == rows
    assert [[45, 1], [-5, 1]] == delays


def test_another_program_that_died_is_an_error(own: Path) -> None:
    """Not a hang."""

    async def scene() -> None:
        async with Neighbour(own) as other:
            assert other._process is not None
            other._process.kill()
            await other.ask("SELECT 1")

    with pytest.raises(NeighbourError, match="ended early"):
        asyncio.run(scene())
