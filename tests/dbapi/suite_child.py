"""Run CPython's own `test.test_sqlite3` with `coeval.dbapi` in the place of `sqlite3`; print each test's outcome as JSON.

A program of its own, because it replaces a module of the standard library. Run it in an empty folder: the tests write files.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import os
import sys
import sysconfig
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import coeval.dbapi


def replace() -> None:
    """From here on `import sqlite3` gives coeval.dbapi, and the standard command line runs on it."""
    sys.modules["sqlite3"] = coeval.dbapi
    sys.modules["sqlite3.dbapi2"] = coeval.dbapi
    coeval.dbapi.dbapi2 = coeval.dbapi
    program = Path(sysconfig.get_path("stdlib"), "sqlite3", "__main__.py")
    if program.exists():  # since 3.12
        load("sqlite3.__main__", program)


def load(name: str, file: Path) -> ModuleType:
    """Import a file under a name."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Outcomes(unittest.TestResult):
    """Each test's outcome, and what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, tuple[str, str]] = {}

    def note(self, test: unittest.TestCase, outcome: str, said: str = "") -> None:
        name = test.id().removeprefix("test.test_sqlite3.").partition(" (")[0]
        if outcome != "passed" or name not in self.found:
            self.found[name] = (outcome, said)

    # The names are unittest's.

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.note(test, "passed")

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self.note(test, "failed", self._exc_info_to_string(err, test))  # type: ignore[attr-defined]

    addError = addFailure  # noqa: N815

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self.note(test, "passed")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        self.note(test, "failed", "unexpected success")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.note(test, "failed", f"{subtest}\n{self._exc_info_to_string(err, test)}")  # type: ignore[attr-defined]


def main(pattern: str = "") -> None:
    """Run all, or those whose name holds the pattern."""
    replace()
    said = io.StringIO()
    outcomes = Outcomes()
    with redirect_stderr(said), redirect_stdout(said):
        package = importlib.import_module("test.test_sqlite3")
        names = sorted(file.stem for file in Path(package.__path__[0]).glob("test_*.py"))
        suite = unittest.TestSuite()
        for name in names:
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(f"test.test_sqlite3.{name}"))
        run(suite, outcomes, pattern)
    json.dump(outcomes.found, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def run(suite: unittest.TestSuite, outcomes: Outcomes, pattern: str) -> None:
    """Run the tests of a suite that are asked for."""
    if not pattern:
        suite.run(outcomes)
        return
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            run(item, outcomes, pattern)
        elif pattern in item.id():
            item.run(outcomes)


if __name__ == "__main__":
    main(*sys.argv[1:])
