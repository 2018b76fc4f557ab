"""What a test does in the middle of a tracked call, and is no part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coeval.witnessing import watch_by, witness


@contextmanager
def apart() -> Iterator[None]:
    """What is done in here is no part of the tracked call around it."""
    around = witness.get()
    witness.set(None)
    try:
        yield
    finally:
        if around is not None:
            watch_by(around)
