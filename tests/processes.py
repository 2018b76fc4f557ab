"""Other programs that write to the file: one with the standard sqlite3 module, and the sqlite3 shell.

They are real processes, driven over pipes, and are killed when the test is over. Both wait up to ten seconds for a
lock, and neither checkpoints on its own where its library is older than 3.51.3.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE = 30.0

Value = None | int | float | str | bytes


class ForeignError(Exception):
    """The other program's SQLite refused: `kind` is the class of its error, `message` what it said."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class Process:
    """A child process that is spoken to in lines. Errors and log lines go to a file of their own, unless they are part of its answers."""

    def __init__(self, command: Sequence[str], environ: dict[str, str] | None = None, *, errors: bool = False) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else self._errors,
            bufsize=0,
            env=environ,
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._input = self._popen.stdin
        self._output = self._popen.stdout
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN | select.POLLHUP)
        self._heard = b""

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def pause(self) -> None:
        """Stop it where it stands; it keeps its locks."""
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash would; afterwards it is gone and its locks are free."""
        self._popen.kill()
        self._popen.wait(PATIENCE)
        self._input.close()
        self._output.close()
        self._errors.close()

    def write(self, text: str) -> None:
        """Send text as it is."""
        data = text.encode()
        while data:
            data = data[self._input.write(data) or 0 :]

    def read_until(self, mark: bytes, timeout: float = PATIENCE) -> str:
        """Return what it says before the mark, which is dropped."""
        end = time.monotonic() + timeout
        while mark not in self._heard:
            if not self._poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError(f"process {self.pid} did not answer within {timeout:g} s")
            data = os.read(self._output.fileno(), 1 << 16)
            if not data:
                self._errors.seek(0)
                words = (self._heard + self._errors.read()).decode(errors="replace")
                raise EOFError(f"process {self.pid} is gone; its last words: {words!r}")
            self._heard += data
        said, _, self._heard = self._heard.partition(mark)
        return said.decode()


class Foreign(Process):
    """A program with the standard sqlite3 module in autocommit mode, with the file open.

    It opens the file at its first statement. BEGIN and COMMIT are statements like any other.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 10.0) -> None:
        super().__init__([sys.executable, "-I", str(HERE / "foreign_child.py"), os.fspath(path)])
        self.timeout = timeout
        self.rowcount = -1
        self.version: tuple[int, ...] = tuple(json.loads(self.read_until(b"\n"))["version"])

    def execute(self, sql: str, *params: Value) -> list[tuple[Value, ...]]:
        """Run one statement; a write outside a transaction is committed when this returns. Return its rows."""
        self.send(sql, *params)
        return self.receive()

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run one statement for each row, each on its own unless BEGIN came before."""
        self._request("executemany", sql, [list(row) for row in rows])
        self.receive()

    def script(self, sql: str) -> None:
        """Run many statements; an open transaction is committed first, as sqlite3.executescript does."""
        self._request("script", sql, [])
        self.receive()

    def send(self, sql: str, *params: Value) -> None:
        """Start one statement without waiting for its end: `receive` does that."""
        self._request("execute", sql, list(params))

    def receive(self, timeout: float = PATIENCE) -> list[tuple[Value, ...]]:
        """Wait for the statement under way; return its rows, or raise what it met as ForeignError."""
        answer: dict[str, Any] = json.loads(self.read_until(b"\n", timeout), object_hook=_decoded)
        if "error" in answer:
            raise ForeignError(answer["error"], answer["message"])
        self.rowcount = answer.get("rowcount", -1)
        return [tuple(row) for row in answer.get("rows", ())]

    def disconnect(self) -> None:
        """Close its connection; the next statement opens the file, whatever is there then, anew."""
        self._request("disconnect", "", [])
        self.receive()

    def _request(self, do: str, sql: str, params: list[Any]) -> None:
        request = {"do": do, "sql": sql, "params": params, "timeout": self.timeout}
        self.write(json.dumps(request, default=_encoded) + "\n")


class Shell(Process):
    """The sqlite3 command line shell with the file open."""

    def __init__(self, path: str | os.PathLike[str], program: str) -> None:
        super().__init__([program, "-batch", "-init", os.devnull, os.fspath(path)], errors=True)
        self._count = 0
        self._ready = False
        self.version: tuple[int, ...] = shell_version(program)

    def execute(self, sql: str) -> list[tuple[Value, ...]]:
        """Run one or more statements; return the rows of all, or raise the first complaint as ForeignError."""
        if not self._ready:
            self._ready = True
            self._ask(".mode json\n.timeout 10000\n")
            if self.version < (3, 51, 3):
                self._ask("PRAGMA wal_autocheckpoint=0;\n")
        said = self._ask(f"{sql}\n;\n").strip()
        rows: list[tuple[Value, ...]] = []
        while said.startswith("["):
            decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: tuple(value for _, value in pairs))
            found, end = decoder.raw_decode(said)
            rows += found
            said = said[end:].strip()
        if said:
            kind, _, message = said.partition(": ")
            raise ForeignError(kind, message)
        return rows

    def _ask(self, text: str) -> str:
        self._count += 1
        mark = f"--- answer {self._count} of {self.pid} ends ---"
        self.write(f"{text}.print {mark}\n")
        return self.read_until(mark.encode() + b"\n")


def find_shell() -> str | None:
    """Return the sqlite3 shell of the PATH, or the one that the set-up of the tests unpacked."""
    return shutil.which("sqlite3") or shutil.which("sqlite3", path=str(HERE.parent / "build" / "servers" / "bin"))


def shell_version(program: str) -> tuple[int, ...]:
    """Return the SQLite version of a shell."""
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return tuple(int(part) for part in said.split()[0].split("."))


def _encoded(value: object) -> object:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    raise TypeError(f"a foreign program takes no {type(value).__name__}")


def _decoded(item: dict[str, Any]) -> object:
    return bytes.fromhex(item["bytes"]) if set(item) == {"bytes"} else item
