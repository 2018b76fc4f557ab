"""Another process that has the file open through Coeval."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from processes import PATIENCE, Process

HERE = Path(__file__).resolve().parent


class CompanionError(Exception):
    """The other process's Coeval raised; the message begins with the name of the error."""


class Companion(Process):
    """Asked by `ask`, or by `send` and `receive` where it takes its time."""

    def __init__(self, path: str | os.PathLike[str], **settings: Any) -> None:
        paths = os.pathsep.join(part for part in sys.path if part)
        super().__init__(
            [sys.executable, str(HERE / "companion_child.py"), os.fspath(path), json.dumps(settings)],
            {**os.environ, "PYTHONPATH": paths},
        )
        self.receive()

    def ask(self, name: str, *arguments: Any) -> Any:
        """Have it do something, and wait for the answer."""
        self.send(name, *arguments)
        return self.receive()

    def send(self, name: str, *arguments: Any) -> None:
        """Have it do something."""
        self.write(json.dumps([name, *arguments]) + "\n")

    def receive(self, timeout: float = PATIENCE) -> Any:
        """Wait for the answer; raises CompanionError where it is an error."""
        answer = json.loads(self.read_until(b"\n", timeout))
        if "error" in answer:
            raise CompanionError(f"{answer['error']}: {answer['message']}")
        return answer["value"]
