"""Caches for functions as they are usually written: decorators over a dict. Each loses a race; the tests show that they see it.

All have `cached(function)`, for plain functions and coroutine functions, and most have `write(sql)`. Where they differ is when an entry is
taken for good, and what a write does to the entries. Their functions read past Coeval's cache.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import coeval

Key = tuple[Any, ...]


class Entry(NamedTuple):
    """A value, and what its cache has noted beside it."""

    value: Any
    note: Any


class Calls:
    """What is stored stays until it is deleted: a memory tier that is never told (races 10, 12, 14)."""

    def __init__(self, db: coeval.Database) -> None:
        self.db = db
        self.entries: dict[Key, Entry] = {}

    def fresh(self, key: Key) -> bool:
        """Whether the entry for ``key`` may be given."""
        return key in self.entries

    def begin(self) -> Any:
        """What is remembered while the function runs."""

    def note(self, value: Any, begun: Any) -> Any:
        """What is noted with a new entry, after the function has run."""

    def cached(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The decorator."""
        if inspect.iscoroutinefunction(function):

            async def later(*arguments: Any) -> Any:
                key = (function, *arguments)
                if not self.fresh(key):
                    begun = self.begin()
                    value = await function(*arguments)
                    self.entries[key] = Entry(value, self.note(value, begun))
                return self.entries[key].value

            return later

        def call(*arguments: Any) -> Any:
            key = (function, *arguments)
            if not self.fresh(key):
                begun = self.begin()
                value = function(*arguments)
                self.entries[key] = Entry(value, self.note(value, begun))
            return self.entries[key].value

        return call

    def write(self, sql: str) -> None:
        """Write, and do to the entries what this cache does."""
        self.db.execute(sql)


class DeletedAfterCommit(Calls):
    """A write commits and deletes the entries (races 1, 4, 6, 7, 12, 14)."""

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        self.entries.clear()


class DeletedBeforeWrite(Calls):
    """The entries are deleted first, and the write follows (race 3). ``between`` happens between the two."""

    between: Callable[[], object]

    def write(self, sql: str) -> None:
        self.entries.clear()
        self.between()
        self.db.execute(sql)


class StampedAfter(Calls):
    """A version number that writers raise, read after the function (race 2)."""

    version: Any = 0

    def fresh(self, key: Key) -> bool:
        return key in self.entries and self.entries[key].note == self.version

    def note(self, value: Any, begun: Any) -> Any:
        return self.version

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        self.version += 1


class PutBack(StampedAfter):
    """The version of before a block is put back when it ends (race 5)."""

    @contextmanager
    def block(self) -> Generator[None]:
        """A block that only reads."""
        before = self.version
        yield
        self.version = before


class MissingIsFresh(StampedAfter):
    """Where the version is missing, everything is taken for fresh (race 13)."""

    def fresh(self, key: Key) -> bool:
        return key in self.entries and (self.version is None or super().fresh(key))


class ForATime(Calls):
    """An entry is good for a minute (races 10, 12, 14). ``now`` is the time."""

    now = 0.0

    def fresh(self, key: Key) -> bool:
        return key in self.entries and self.now < self.entries[key].note

    def note(self, value: Any, begun: Any) -> Any:
        return self.now + 60


class ComparedByClocks(Calls):
    """An entry is good when it is younger than the last write; each side has its own clock (race 13)."""

    here, there, written = 100.0, 90.0, 0.0

    def fresh(self, key: Key) -> bool:
        return key in self.entries and self.entries[key].note > self.written

    def note(self, value: Any, begun: Any) -> Any:
        return self.here

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        self.written = self.there


class TaggedByRows(Calls):
    """An entry depends on the rows that it returned (race 8). ``touched``: the keys of those that a write touches."""

    touched: tuple[Any, ...] = ()

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        for key, entry in list(self.entries.items()):
            if any(row[0] in self.touched for row in entry.value):
                del self.entries[key]


class TaggedByConditions(Calls):
    """A write deletes the entries of the value that was there, read before the write, and of the new one (race 9)."""

    old: Any = None
    new: Any = None

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        for key in list(self.entries):
            if key[1] in {self.old, self.new}:
                del self.entries[key]


class WordsOfTheStatement(Calls):
    """A write deletes everything, if the table's name stands in its text (race 10). ``table``: what the functions read."""

    table = "t"

    def write(self, sql: str) -> None:
        self.db.execute(sql)
        if self.table in sql.replace("(", " ").split():
            self.entries.clear()


class TagSets(Calls):
    """A tag is a set of keys, read before the function runs and written back after it (race 11)."""

    def __init__(self, db: coeval.Database) -> None:
        super().__init__(db)
        self.members: frozenset[Key] = frozenset()

    def begin(self) -> Any:
        return self.members

    def cached(self, function: Callable[..., Any]) -> Callable[..., Any]:
        inner = super().cached(function)

        def call(*arguments: Any) -> Any:
            before = self.members
            known = self.fresh((function, *arguments))
            value = inner(*arguments)
            if not known:
                self.members = before | {(function, *arguments)}
            return value

        return call

    def invalidate(self) -> None:
        """Delete what the tag has."""
        for key in self.members:
            self.entries.pop(key, None)
        self.members = frozenset()


class JoinAnyFlight(Calls):
    """Nothing is kept, but callers share a call that is under way, however old (hole 5)."""

    def __init__(self, db: coeval.Database) -> None:
        super().__init__(db)
        self.lock = threading.Lock()
        self.flights: dict[Key, tuple[threading.Event, list[Any]]] = {}
        self.joined = threading.Event()

    def cached(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            key = (function, *arguments)
            with self.lock:
                leads = key not in self.flights
                ended, result = self.flights.setdefault(key, (threading.Event(), []))
            if not leads:
                self.joined.set()
                assert ended.wait(30)
                return result[0]
            result.append(function(*arguments))
            with self.lock:
                del self.flights[key]
            ended.set()
            return result[0]

        return call


class LockThatEnds(Calls):
    """One computes under a lock; who waits for it longer than ``patience`` gets an error (race 15)."""

    patience = 0.05

    def cached(self, function: Callable[..., Any]) -> Callable[..., Any]:
        lock, inner = threading.Lock(), super().cached(function)

        def call(*arguments: Any) -> Any:
            if not lock.acquire(timeout=self.patience):
                raise TimeoutError("somebody else is computing this")
            try:
                return inner(*arguments)
            finally:
                lock.release()

        return call


class KeysOfText(Calls):
    """Keys are made as text, and deleted by how they begin (race 17)."""

    def cached(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            key = (f"{function.__name__}:{':'.join(map(str, arguments))}",)
            if key not in self.entries:
                self.entries[key] = Entry(function(*arguments), None)
            return self.entries[key].value

        return call

    def delete(self, beginning: str) -> None:
        """Delete every key that begins so."""
        for key in list(self.entries):
            if key[0].startswith(beginning):
                del self.entries[key]
