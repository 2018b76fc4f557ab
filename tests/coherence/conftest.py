"""What every test of coherence needs: an open database, a neighbour, a result that is known to be in the cache, and the truth.

`db`                    the file at `path`, open with default settings
`open_db(**settings)`   the same with settings; all are closed at the end
`neighbour`             another process with the file open through Coeval; `start_neighbour(**settings)` for more
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import coeval
from coherence.neighbour import Neighbour


@pytest.fixture
def open_db(path: Path) -> Iterator[Callable[..., coeval.Database]]:
    """Open `path` with settings; what was opened is closed at the end."""
    opened: list[coeval.Database] = []

    def open_(file: Any = None, **settings: Any) -> coeval.Database:
        opened.append(coeval.open(path if file is None else file, **settings))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def db(open_db: Callable[..., coeval.Database]) -> coeval.Database:
    """`path`, open with default settings."""
    return open_db()


@pytest.fixture
def start_neighbour(path: Path) -> Iterator[Callable[..., Neighbour]]:
    """Start processes that have `path` open through Coeval; all are killed at the end."""
    started: list[Neighbour] = []

    def start(file: Any = None, **settings: Any) -> Neighbour:
        started.append(Neighbour(path if file is None else file, **settings))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def neighbour(start_neighbour: Callable[..., Neighbour]) -> Neighbour:
    """Another process with `path` open through Coeval; the file must be there before."""
    return start_neighbour()
