"""The application of the demonstration behind a cache that is broken on purpose: answers live for a time, whatever is
written meanwhile. Workers import it by name; see test_load.py."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI

import coeval
from coeval.demo import app

LIFE = 0.3


class Remembering:
    """A database whose queries are answered from a dict for a while."""

    def __init__(self, db: coeval.Database) -> None:
        self._db = db
        self._known: dict[tuple[Any, ...], tuple[float, Any]] = {}

    def query(self, sql: str, *parameters: Any) -> Any:
        """The rows as they were at most 0.3 s ago."""
        born, rows = self._known.get((sql, *parameters), (0.0, ()))
        if time.monotonic() - born > LIFE:
            rows = self._db.query(sql, *parameters)
            self._known[sql, *parameters] = (time.monotonic(), rows)
        return rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def create() -> FastAPI:
    """What a worker runs."""
    return app.create(lambda: Remembering(app.open_database()))  # type: ignore[arg-type, return-value]
