"""CPython's own tests of `sqlite3` pass with `coeval.dbapi`, but for the differences that are listed with their reasons.

They come with the interpreter, where it brings its tests along; nothing of them is copied. A program of its own runs them, in which
`coeval.dbapi` stands in the place of `sqlite3`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import coeval
from dbapi import differences

HERE = Path(__file__).resolve().parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def has_tests() -> bool:
    """Whether this interpreter brings the tests of sqlite3; asked in a way that does not run them."""
    found = importlib.util.find_spec("test")
    folders = (found.submodule_search_locations if found else None) or []
    return any(Path(folder, "test_sqlite3", "__init__.py").exists() for folder in folders)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Each test's outcome, and what it said."""
    if not has_tests():
        pytest.skip(f"Python {platform.python_version()} at {sys.executable} comes without test.test_sqlite3")
    source = str(Path(coeval.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(HERE / "suite_child.py")],
        cwd=tmp_path_factory.mktemp("suite"),
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, tuple[str, str]] = json.loads(done.stdout)
    return found


def test_only_the_listed_differences_fail(outcomes: dict[str, tuple[str, str]]):
    """What fails is in the list, and what is in the list fails; what is skipped is skipped with sqlite3 too."""
    failed = {test: said for test, (outcome, said) in outcomes.items() if outcome == "failed"}
    known = differences.known(VERSION)
    surprising = "\n\n".join(f"{test}\n{said}" for test, said in failed.items() if test not in known)
    assert not surprising
    assert known == set(failed)
    skipped = {said for outcome, said in outcomes.values() if outcome == "skipped"}
    assert [] == [said for said in skipped if not said.startswith(differences.SKIPPED)]


def test_the_number_that_passes(outcomes: dict[str, tuple[str, str]]):
    """It is the recorded one, so that a test that vanishes, or is skipped, is noticed."""
    version = platform.python_version()
    if version not in differences.PASSING:
        pytest.skip(f"no number is recorded for Python {version}, whose tests may be others")
    assert differences.PASSING[version] == sum(outcome == "passed" for outcome, _ in outcomes.values())


def test_the_documentation_has_the_list():
    """docs/dbapi.md holds the differences as they are; `python tests/dbapi/differences.py` writes them there."""
    text = differences.PAGE.read_text(encoding="utf-8")
    assert differences.page(text) == text
