"""Asking the cache so that a test proves something: results known to be kept, and the truth beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import coeval

PATIENCE = 30.0


def keep(db: coeval.Database, sql: str, *params: Any) -> tuple[Any, ...]:
    """Read until the result is in the cache, and show that it is: the last read is a hit by the clock."""
    db.query(sql, *params)
    rows = db.query(sql, *params)
    hits = db.stats().hits
    assert rows is db.query(sql, *params), f"not kept: {db.explain(sql)}"
    assert hits + 1 == db.stats().hits, f"not kept: {db.explain(sql)}"
    return plain(rows)


def truth(db: coeval.Database, sql: str, *params: Any) -> tuple[Any, ...]:
    """What the statement gives without any cache."""
    return plain(db.iterate(sql, *params))


def plain(rows: Any) -> tuple[Any, ...]:
    """Rows as plain tuples."""
    return tuple(tuple(row) for row in rows)


def cached(db: coeval.Database, sql: str, *params: Any) -> tuple[Any, ...]:
    """What the cache gives."""
    return plain(db.query(sql, *params))


class Started:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Its result, waited for; what it raised is raised here."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the call never came to its end"
        if self._error is not None:
            raise self._error
        return self._result


class Pause:
    """A SQL function ``pause(x)`` that stops the first statement that calls it after `arm`, in the middle of its rows."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._go = threading.Event()
        self._armed = threading.Semaphore(0)

    def __call__(self, value: Any) -> Any:
        if self._armed.acquire(blocking=False):
            self._reached.set()
            assert self._go.wait(PATIENCE), "nobody let the statement go on"
        return value

    def stop(self, call: Callable[[], Any]) -> Started:
        """Start ``call`` in a thread; on return it stands in its first row."""
        self._armed.release()
        started = Started(call)
        assert self._reached.wait(PATIENCE), "the statement never came to its first row"
        return started

    def go(self) -> None:
        """Let it run on."""
        self._go.set()
