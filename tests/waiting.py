"""Waiting for what another thread or process does, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 30.0


def wait_until(true: Callable[[], object], what: str = "") -> None:
    """Return when ``true()`` is; fail after half a minute."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"still not so: {what or true}"
        time.sleep(0.002)
