"""Children with a fault in them: started as modules of this folder, spoken to in lines of JSON, killed at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from typing import Any

from processes import HERE, PATIENCE, Process


class Program(Process):
    """A module of this folder, run in a process of its own with one JSON object of arguments."""

    def __init__(self, module: str, *, before: tuple[str, ...] = (), **arguments: Any) -> None:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}
        command = [*before, sys.executable, "-P", "-m", f"faults.{module}", json.dumps(arguments, default=os.fspath)]
        super().__init__(command, environ)

    def hear(self, timeout: float = PATIENCE) -> Any:
        """The next thing that it says; what is not JSON, such as a traceback, fails the test with all of it."""
        try:
            line = self.read_until(b"\n", timeout)
        except EOFError as error:
            raise AssertionError(f"it ended with {self.wait()}: {error}") from None
        try:
            return json.loads(line)
        except ValueError:
            with suppress(EOFError, TimeoutError):
                self.read_until(b"\0 never said", 2.0)
            raise AssertionError(f"{line}\n{self._heard.decode(errors='replace')}") from None

    def expect(self, *said: Any, timeout: float = PATIENCE) -> None:
        """The next things that it says are these."""
        for one in said:
            assert one == self.hear(timeout)

    def say(self, what: object) -> None:
        """One line of JSON to it."""
        self.write(json.dumps(what) + "\n")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait until it ends; its exit code, negative where a signal ended it."""
        return self._popen.wait(timeout)


def arguments() -> Any:
    """In the child: what it was started with."""
    return json.loads(sys.argv[1])


def say(what: object) -> None:
    """In the child: one line to the test."""
    os.write(1, (json.dumps(what) + "\n").encode())


def hear() -> Any:
    """In the child: the next line from the test; its end ends this process."""
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    return json.loads(line)


@cache
def namespace() -> tuple[tuple[str, ...], str]:
    """What to put before a command so that it may mount file systems which vanish with it; or why that cannot be."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return (), "there is no unshare, or no mount, on the PATH"
    said = ""
    with tempfile.TemporaryDirectory() as folder:
        for prefix in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
            trial = [*prefix, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
            done = subprocess.run(trial, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                return prefix, ""
            said = done.stderr.strip()
    return (), said
