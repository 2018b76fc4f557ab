"""Another process that has the file open through Coeval, driven in lines like the foreign ones.

Usage: python neighbour.py PATH SETTINGS. One JSON list ``[method, sql, params]`` a line in, one JSON answer a line out.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from processes import Process


class Neighbour(Process):
    """A child process with `coeval.open` on a path."""

    def __init__(self, path: str | os.PathLike[str], **settings: Any) -> None:
        """Start it and wait until the file is open."""
        here = os.path.dirname(os.path.abspath(__file__))
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(here), *sys.path])}
        super().__init__([sys.executable, os.path.abspath(__file__), os.fspath(path), json.dumps(settings)], environ)
        assert json.loads(self.read_until(b"\n")) == "open"

    def call(self, method: str, *arguments: Any) -> Any:
        """Call one method of its database; rows come back as lists, an error as a RuntimeError."""
        self.write(json.dumps([method, *arguments]) + "\n")
        answer = json.loads(self.read_until(b"\n"))
        if isinstance(answer, dict):
            raise RuntimeError(answer["error"])
        return answer

    def execute(self, sql: str, *params: Any) -> Any:
        """Write, durably when this returns."""
        return self.call("execute", sql, *params)

    def query(self, sql: str, *params: Any) -> Any:
        """Read through its cache."""
        return self.call("query", sql, *params)


def main(path: str, settings: str) -> None:
    """Serve until the pipe closes."""
    import coeval

    with coeval.open(path, **json.loads(settings)) as db:
        answer: Any = "open"
        while True:
            sys.stdout.write(json.dumps(answer, default=str) + "\n")
            sys.stdout.flush()
            line = sys.stdin.readline()
            if not line:
                return
            method, *arguments = json.loads(line)
            try:
                found = getattr(db, method)(*arguments)
                answer = found if isinstance(found, tuple) else getattr(found, "rowcount", str(found))
            except coeval.Error as error:
                answer = {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(*sys.argv[1:])
