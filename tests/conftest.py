"""Fixtures that every test may ask for, and the guard that only the installed wheel is tested.

`path`          a file name in a fresh folder; nothing is there yet
`foreign`       another process with the standard sqlite3 module, on `path`; `start_foreign(path)` for more of them
`shell`         the sqlite3 shell, on `path`; `start_shell(path)` for more
`soak`          whether the full counts are asked for; `scaled(full, small)` chooses between two counts
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from processes import Foreign, Shell, find_shell
from scale import SOAK
from scale import scaled as choose
from wheel import wheel_problem

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "scaled",
    max_examples=choose(2_000, 60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("scaled")


def pytest_configure() -> None:
    """Stop a run that was started to test the wheel and would test something else."""
    if os.environ.get("COEVAL_WHEEL") == "1":
        found = importlib.util.find_spec("coeval")
        problem = wheel_problem(found.origin if found else None, sys.prefix, ROOT)
        if problem:
            raise pytest.UsageError(problem)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file name for a database; nothing is there yet."""
    return tmp_path / "app.db"


@pytest.fixture
def start_foreign(path: Path) -> Iterator[Callable[..., Foreign]]:
    """Start programs with the standard sqlite3 module, on `path` or the path given; all are killed at the end."""
    started: list[Foreign] = []

    def start(file: str | os.PathLike[str] = path, **options: float) -> Foreign:
        started.append(Foreign(file, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def foreign(start_foreign: Callable[..., Foreign]) -> Foreign:
    """Another process with the standard sqlite3 module, on `path`."""
    return start_foreign()


@pytest.fixture
def start_shell(path: Path) -> Iterator[Callable[..., Shell]]:
    """Start sqlite3 shells, on `path` or the path given; all are killed at the end."""
    program = find_shell()
    if program is None:
        pytest.skip("the sqlite3 shell is missing: put `sqlite3` on the PATH")
    started: list[Shell] = []

    def start(file: str | os.PathLike[str] = path) -> Shell:
        started.append(Shell(file, program))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def shell(start_shell: Callable[..., Shell]) -> Shell:
    """The sqlite3 shell, on `path`."""
    return start_shell()


@pytest.fixture
def soak() -> bool:
    """Whether the full counts are asked for."""
    return SOAK


@pytest.fixture
def scaled() -> Callable[[int, int], int]:
    """Choose between a full and a small count."""
    return choose
