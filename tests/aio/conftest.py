"""Fixtures of the tests of asyncio."""

from __future__ import annotations

import pytest

from loops import Trace


@pytest.fixture
def trace() -> Trace:
    """Who ran what where, for ``on_connect``."""
    return Trace()
