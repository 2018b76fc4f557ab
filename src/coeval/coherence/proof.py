"""What the reads of a tracked call prove together (laws 1, 2 and 3).

Each read is told here with the stamps of the snapshot that its rows are of. Kept is, for each scope, the stamp of the earliest read:
whatever was written after that makes the whole invalid. The commit clock's value is kept as long as all reads were under the same.

Ring: flow. The lock orders threads that the call has started; nothing is waited for in it.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, NamedTuple

from .scopes import Scope
from .stamps import Mark, Seen, Stamp


class Proof(NamedTuple):
    """Of one value: as the slots of an entry. ``scopes`` None: valid by the clock alone."""

    schema: Stamp
    scopes: tuple[Scope, ...] | None
    stamps: tuple[Stamp, ...]
    mark: Mark


class Witness:
    """The reads of one tracked call. Its methods may be called from any thread.

    What is read after `close`, by a thread or a task that the call has started, is no part of its value. The call around it may still
    use that, and hears of it.
    """

    def __init__(self, engine: object, outer: Witness | None = None) -> None:
        """``engine``: what the call is tracked for. ``outer``: the tracked call that this one is made from."""
        self.engine = engine
        self.outer = outer
        self.reads = 0  #: so far
        self.expires = float("inf")  #: the earliest end of what was used of limited life, as time.monotonic()
        self.flights: tuple[Any, ...] = ()  #: that this call and those around it lead
        self.reasons: dict[str, None] = {}  #: why nothing is proved
        self._lock = Lock()
        self._closed = False
        self._schema: Stamp = None
        self._stamps: dict[Scope, Stamp] = {}
        self._mark: Mark = None
        self._by_clock = False

    def shorten(self) -> None:
        """Let go of all calls around it that are closed: what they hear they tell those around them."""
        inner: Witness | None = self
        while inner is not None:
            outer = inner.outer
            while outer is not None and outer._closed:
                outer = outer.outer
            inner.outer = outer
            inner = outer

    def begin(self, scopes: tuple[Scope, ...], seen: Seen) -> None:
        """Before the call: stamps of ``scopes``, which are those of tags, in a snapshot that is older than all that it will read."""
        self._schema, self._mark = seen.schema, seen.mark
        self._stamps = dict(zip(scopes, seen.stamps, strict=True))
        if seen.schema is None:
            self.reasons["the schema could not be verified"] = None

    def expire(self, at: float) -> None:
        """Something was used whose life ends ``at``."""
        with self._lock:
            if not self._closed:
                self.expires = min(self.expires, at)
                return
        if self.outer is not None:
            self.outer.expire(at)

    def saw(self, engine: object, scopes: tuple[Scope, ...] | None, seen: Seen) -> None:
        """Rows were read of a snapshot with ``seen``, or of an entry with the same stamps."""
        if engine is not self.engine:
            self.refuse("it reads another database, whose changes nobody would notice")
            return
        with self._lock:
            if not self._closed:
                self._note(scopes, seen)
                return
        if self.outer is not None:
            self.outer.saw(engine, scopes, seen)

    def refuse(self, reason: str) -> None:
        """Something was read of which nothing is known."""
        with self._lock:
            if not self._closed:
                self.reads += 1
                self.reasons[reason] = None
                return
        if self.outer is not None:
            self.outer.refuse(reason)

    def close(self) -> Proof | None:
        """The call has returned: what it proves, or None with `reasons`. What is read later has no part in its value."""
        with self._lock:
            self._closed = True
            if self._by_clock and self._mark is None:
                self.reasons["something was committed while it read what is valid by the clock alone"] = None
            if None in self._stamps.values():
                self.reasons["a table that it reads, or a tag, has no stamp yet"] = None
            if self.reasons:
                return None
            if self._by_clock:
                return Proof(self._schema, None, (), self._mark)
            scopes = tuple(sorted(self._stamps))
            return Proof(self._schema, scopes, tuple(self._stamps[scope] for scope in scopes), self._mark)

    @property
    def closed(self) -> bool:
        """The call has returned, or raised."""
        return self._closed

    def _note(self, scopes: tuple[Scope, ...] | None, seen: Seen) -> None:
        self.reads += 1
        if seen.mark != self._mark:
            self._mark = None
        if seen.schema is None or seen.schema != self._schema:
            self.reasons["the schema was changed, or could not be verified, while it ran"] = None
        if scopes is None:
            self._by_clock = True
        else:
            for scope, stamp in zip(scopes, seen.stamps, strict=True):
                self._stamps.setdefault(scope, stamp)


class Watch:
    """A tracked call, as far as reads of ``engine`` have to do with it."""

    __slots__ = ("_engine", "_witness")

    def __init__(self, witness: Witness, engine: object) -> None:
        self._witness = witness
        self._engine = engine

    def saw(self, scopes: tuple[Scope, ...] | None, seen: Seen) -> None:
        """As `Witness.saw`."""
        self._witness.saw(self._engine, scopes, seen)

    def refuse(self, reason: str) -> None:
        """As `Witness.refuse`."""
        self._witness.refuse(reason)
