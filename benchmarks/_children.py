"""Sides in processes of their own: started, begun at one moment, and heard.

A benchmark starts itself anew as ``python FILE --child SIDE ARGUMENT...``. Such a child prepares, calls `begin`, which
says so and returns at the moment that all children of the side share, works for its window, and ends with `answer`.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

PATIENCE = 60.0  #: seconds beyond its window that a child may take


def together(script: str, side: str, count: int, *arguments: object) -> list[Any]:
    """What ``count`` processes of ``side`` answered that worked at the same time. None is left when this returns."""
    command = [sys.executable, "-P", script, "--child", side, *map(str, arguments)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        for child in children:
            _said(child, "ready")
        start = f"{time.monotonic() + 0.1!r}\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write(start)
            child.stdin.flush()
        return [json.loads(child.communicate(timeout=PATIENCE)[0]) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()


def _said(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout is not None
    heard = child.stdout.readline().strip()
    if heard != word:
        raise RuntimeError(f"a child said {heard!r} for {word!r}; its status is {child.poll()}")


def begin() -> float:
    """Say that this child is ready, and wait for the moment (`time.monotonic`) at which all begin."""
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    time.sleep(max(0.0, start - time.monotonic()))
    return start


def answer(facts: Any) -> int:
    """Send what was measured to the parent."""
    print(json.dumps(facts), flush=True)
    return 0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not pass; 1.0 gives the greatest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
