"""A child that does one thing at a time to a database: above all, it holds the turn to write.

Arguments: ``path``, ``timeout``. Hears a list, the name of a method of `Holder` and its arguments, and says what that gives, or
"ErrorName: message".
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from typing import Any

import coeval
from faults.programs import arguments, hear, say


class Holder:
    """What it can do."""

    def __init__(self, path: str, timeout: float) -> None:
        self.db = coeval.open(path, timeout=timeout)
        self.transaction: Any = None

    def begin(self) -> str:
        """Take the turn, write, and keep it."""
        self.transaction = self.db.transaction()
        tx = self.transaction.__enter__()
        tx.execute("INSERT INTO t VALUES ('held')")
        return "held"

    def commit(self) -> str:
        """End what `begin` began."""
        self.transaction.__exit__(None, None, None)
        return "committed"

    def write(self, value: str) -> str:
        """One row, acknowledged."""
        self.db.execute("INSERT INTO t VALUES (?)", value)
        return "written"

    def statement(self) -> str:
        """A statement that goes on until the next line from the test."""

        def hold() -> str:
            say("held")
            hear()
            return "statement"

        self.db.create_function("hold", hold, 0)
        self.db.execute("INSERT INTO t VALUES (hold())")
        return "written"

    def fork(self, how: str) -> int:
        """Fork a child that sleeps, or leaves at once: by Python's whole end, with all finalisers, or by none; its number."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what this is about
            pid = os.fork()
        if pid == 0:
            signal.alarm(100)
            while how == "sleep":
                time.sleep(100)
            if how == "clean up":
                self.db.close()
                raise SystemExit
            os._exit(0)
        if how != "sleep":
            os.waitpid(pid, 0)
        return pid

    def threads(self) -> int:
        """How many threads it has."""
        return threading.active_count()


def main(path: str, timeout: float = 60.0) -> None:
    """Serve until the pipe closes."""
    holder = Holder(path, timeout)
    say("ready")
    while True:
        name, *rest = hear()
        try:
            say(getattr(holder, name)(*rest))
        except coeval.Error as error:
            say(f"{type(error).__name__}: {error.message}")


if __name__ == "__main__":
    main(**arguments())
