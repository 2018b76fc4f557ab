"""How much a test does: the full count in `make soak`, a small one in `make test`."""

from __future__ import annotations

import os

SOAK = os.environ.get("COEVAL_SOAK") == "1"


def scaled(full: int, small: int) -> int:
    """Return `full` in a soak run, `small` otherwise."""
    return full if SOAK else small
