"""An exception of a signal handler that comes at a chosen step of a call."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from typing import Any

#: Where CPython looks for signals: as a function begins, and after a call.
MOMENTS = ("call", "c_return")

#: What the names of our own files have in them.
OURS = f"{os.sep}coeval{os.sep}"


class Interrupt(BaseException):
    """What a signal handler raises."""


def interrupted_at(
    number: int,
    work: Callable[[], object],
    within: Callable[[str], bool] = lambda name: OURS in name,
    but: Collection[tuple[str, str]] = (),
) -> bool:
    """Run ``work`` and raise Interrupt at the ``number``-th moment of its execution; whether it was so long.

    ``within``: the files, by name, whose moments count. ``but``: moments and functions that do not.
    """
    left = [number]

    def profile(frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        if event in MOMENTS and within(code.co_filename) and (event, code.co_name) not in but:
            left[0] -= 1
            if left[0] == 0:
                sys.setprofile(None)
                raise Interrupt

    sys.setprofile(profile)
    try:
        work()
    except Interrupt:
        pass
    finally:
        sys.setprofile(None)
    return left[0] <= 0
