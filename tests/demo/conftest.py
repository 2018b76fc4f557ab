"""The small data file: one for all tests that only read, and fresh ones for those that write."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.flights import build


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete data file with few flights; it is to stay as it is."""
    return build(tmp_path_factory.mktemp("flights"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The same file once more, for a test that writes to it."""
    return build(tmp_path)
