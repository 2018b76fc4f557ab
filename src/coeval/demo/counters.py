"""What the workers of the application count, and the sum over all of them.

Each worker keeps a file ``stats-<pid>.json`` in the folder of the run: written under another name and renamed, so a
reader never sees half of one. Whoever wants the sum reads them all; no worker knows the others.

Ring: shell.
"""

from __future__ import annotations

import json
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import coeval

__all__ = ["BOUNDS", "Counters", "Publisher", "total"]

BOUNDS = tuple(round(0.02 * 1.25**step, 4) for step in range(60))
"""Upper bounds of the classes of latency in milliseconds, 0.02 ms to 13 s, each a quarter wider than the last."""

_EVERY = 0.25


class Counters:
    """Requests of one worker by how long they took."""

    def __init__(self) -> None:
        self.requests = 0
        self.latencies = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """One request took so long. Called by the event loop alone."""
        self.requests += 1
        self.latencies[bisect_left(BOUNDS, seconds * 1000)] += 1

    def snapshot(self, statistics: coeval.Statistics) -> dict[str, Any]:
        """Everything counted so far, ready for JSON."""
        database = asdict(statistics) | {"statements": statistics.statements}
        return {"requests": self.requests, "latencies": list(self.latencies), "database": database}


class Publisher:
    """A thread that keeps the worker's file new, and tells when the process that started the worker is gone."""

    def __init__(self, folder: Path, snapshot: Callable[[], dict[str, Any]], on_orphaned: Callable[[], None]) -> None:
        self._path = folder / f"stats-{os.getpid()}.json"
        self._snapshot = snapshot
        self._on_orphaned = on_orphaned
        self._parent = os.getppid()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coeval-demo-stats", daemon=True)

    def start(self) -> None:
        """Begins; the file is there when this returns."""
        self.publish()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and writes the file a last time. Call it before the database is closed."""
        self._ending.set()
        self._thread.join()
        self.publish()

    def publish(self) -> None:
        """Writes the file: whole, or not at all."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._snapshot()))
        os.replace(fresh, self._path)

    def _run(self) -> None:
        while not self._ending.wait(_EVERY):
            if os.getppid() != self._parent:
                self._on_orphaned()
                return
            self.publish()


def total(folder: Path, own: dict[str, Any] | None = None) -> dict[str, Any]:
    """The sum over all workers of the folder; ``own`` stands for the file of the worker that asks."""
    parts = [own] if own else []
    mine = f"stats-{os.getpid()}.json" if own else ""
    parts += [json.loads(path.read_text()) for path in sorted(folder.glob("stats-*.json")) if path.name != mine]
    database: dict[str, int] = {}
    for part in parts:
        for name, count in part["database"].items():
            database[name] = database.get(name, 0) + count
    reads = database.get("hits", 0) + database.get("revalidated", 0) + database.get("misses", 0)
    return {
        "workers": len(parts),
        "requests": sum(part["requests"] for part in parts),
        "latencies": [sum(column) for column in zip(*(part["latencies"] for part in parts), strict=True)],
        "bounds": BOUNDS,
        "database": database,
        "hit_rate": (database.get("hits", 0) + database.get("revalidated", 0)) / reads if reads else None,
        "at": time.time(),
    }
