"""Caches as they are usually written, over plain uncached reads. Each loses a race; the tests show that they see it.

All have `query(sql)` and `write(sql)`. What happens between the steps of a write or of a load is where they differ.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import coeval
from coherence.asking import plain

Rows = tuple[Any, ...]


class DeleteAfterCommit:
    """Cache aside: a read stores what it loaded, a write commits and deletes the entry (races 1, 4, 12)."""

    def __init__(self, db: coeval.Database) -> None:
        self.db = db
        self.entries: dict[str, Rows] = {}

    def query(self, sql: str) -> Rows:
        if sql not in self.entries:
            self.entries[sql] = plain(self.db.iterate(sql))
        return self.entries[sql]

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        self.entries.clear()


class DeleteBeforeWrite(DeleteAfterCommit):
    """The entry is deleted first and the write follows (race 3). ``between`` happens between the two."""

    def __init__(self, db: coeval.Database, between: Callable[[], object]) -> None:
        super().__init__(db)
        self.between = between

    def write(self, sql: str) -> None:
        self.entries.clear()
        self.between()
        self.db.execute(sql)


class StampAfterQuery:
    """A version number that writers raise, read after the rows (race 2)."""

    def __init__(self, db: coeval.Database) -> None:
        self.db = db
        self.version = 0
        self.entries: dict[str, tuple[int, Rows]] = {}

    def query(self, sql: str) -> Rows:
        found = self.entries.get(sql)
        if found is None or found[0] != self.version:
            rows = plain(self.db.iterate(sql))
            found = self.entries[sql] = (self.version, rows)
        return found[1]

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        self.version += 1


class MissingIsFresh(StampAfterQuery):
    """An entry whose stamp is missing is taken for fresh (race 13)."""

    version: Any

    def query(self, sql: str) -> Rows:
        found = self.entries.get(sql)
        if found is not None and self.version is None:
            return found[1]
        return super().query(sql)


class TimeToLive:
    """An entry is good for a while (races 10, 12, 14). ``now`` is the time."""

    def __init__(self, db: coeval.Database, now: Callable[[], float], seconds: float = 60.0) -> None:
        self.db = db
        self.now = now
        self.seconds = seconds
        self.entries: dict[str, tuple[float, Rows]] = {}

    def query(self, sql: str) -> Rows:
        found = self.entries.get(sql)
        if found is None or found[0] <= self.now():
            found = self.entries[sql] = (self.now() + self.seconds, plain(self.db.iterate(sql)))
        return found[1]


class JoinAnyFlight:
    """Nothing is kept, but callers share a load that is under way, however old (hole 5)."""

    def __init__(self, db: coeval.Database) -> None:
        self.db = db
        self.lock = threading.Lock()
        self.flights: dict[str, tuple[threading.Event, list[Rows]]] = {}
        self.joined = threading.Event()

    def query(self, sql: str) -> Rows:
        with self.lock:
            flight = self.flights.get(sql)
            leader = flight is None
            if flight is None:
                flight = self.flights[sql] = (threading.Event(), [])
        ended, result = flight
        if not leader:
            self.joined.set()
            ended.wait(30)
            return result[0]
        result.append(plain(self.db.iterate(sql)))
        with self.lock:
            del self.flights[sql]
        ended.set()
        return result[0]


class CachedInTransaction(DeleteAfterCommit):
    """Reads inside a transaction fill the cache as any other (race 6)."""

    def query_within(self, tx: coeval.Transaction, sql: str) -> Rows:
        self.entries[sql] = plain(tx.iterate(sql))
        return self.entries[sql]


class TaggedByRows(DeleteAfterCommit):
    """An entry depends on the rows that it returned, and a write deletes the entries of the rows it touched (races 8, 9)."""

    def write_rows(self, sql: str, *touched: Any) -> None:
        self.db.execute(sql)
        for key, rows in list(self.entries.items()):
            if any(row[0] in touched for row in rows):
                del self.entries[key]


class DeleteValue:
    """Plain values by hand: a load stores what it made, deleting takes it away (race 1)."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get_or_set(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def get(self, key: str) -> Any:
        return self.kept.get(key)

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = value

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


class StampValueAfterLoad(DeleteValue):
    """Each key has a version, read when the value has been made (race 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, int] = {}

    def get_or_set(self, key: str, make: Callable[[], Any]) -> Any:
        if self.get(key) is None:
            value = make()
            self.kept[key] = (self.versions.get(key, 0), value)
        return self.get(key)

    def get(self, key: str) -> Any:
        version, value = self.kept.get(key, (None, None))
        return value if version == self.versions.get(key, 0) else None

    def set(self, key: str, value: Any) -> None:
        self.delete(key)
        self.kept[key] = (self.versions[key], value)

    def delete(self, key: str) -> None:
        self.versions[key] = self.versions.get(key, 0) + 1


class ValueForAWhile(DeleteValue):
    """Each process keeps a value for a while, and hears of nobody (races 10, 14)."""

    def __init__(self, now: Callable[[], float], seconds: float = 60.0) -> None:
        super().__init__()
        self.now = now
        self.seconds = seconds

    def get_or_set(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.kept or self.kept[key][0] <= self.now():
            self.kept[key] = (self.now() + self.seconds, make())
        return self.kept[key][1]
