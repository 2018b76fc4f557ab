"""What every test of faults needs.

`program(module, **arguments)`   a child process of this folder; all are killed at the end
`mounting`                       what to put before a command that mounts; the test is skipped, with the reason, where nobody may
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faults.programs import Program, namespace


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """Start modules of this folder; all are killed at the end."""
    started: list[Program] = []

    def start(module: str, **arguments: Any) -> Program:
        started.append(Program(module, **arguments))
        return started[-1]

    yield start
    for one in started:
        one.resume()
        one.kill()


@pytest.fixture
def mounting() -> tuple[str, ...]:
    """The beginning of a command that may mount."""
    prefix, problem = namespace()
    if problem:
        pytest.skip(f"NOT TESTED, BECAUSE NOTHING CAN BE MOUNTED HERE: {problem}")
    return prefix
