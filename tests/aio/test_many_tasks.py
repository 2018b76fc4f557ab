"""Ten thousand tasks with every kind of call leave nothing stuck, nothing lost, no thread and no process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import coeval
from aio import many_tasks


def test_ten_thousand_tasks(path: Path, scaled: Callable[[int, int], int]):
    """Reads and writes of every kind at once, a third of them cancelled at random: nothing is stuck or lost."""
    asyncio.run(asyncio.wait_for(many_tasks.many(path, scaled(10_000, 800)), 150))
    assert [thread.name for thread in many_tasks.threads() if thread.name == "coeval-worker"] == []


def test_ten_thousand_tasks_in_a_process(path: Path, scaled: Callable[[int, int], int]):
    """The same in a process that does nothing else: its threads end when the database is closed, and it ends by itself, in silence."""
    tests, source = Path(__file__).parents[1], Path(coeval.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(many_tasks.__file__)), str(path), str(scaled(10_000, 800))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(tests)])},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ("all judged\n", "", 0) == (done.stdout, done.stderr, done.returncode)
