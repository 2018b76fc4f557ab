"""Plain values that a transaction has set: seen by itself at once, and by others when it has committed (laws 1 and 2).

Each is held with the stamps that its own write made. Where those are the stamps of the transaction still, the value is what was set
last. After a rollback to a savepoint they are not, and those from before are again, so none is forgotten before the end.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..coherence.scopes import Scope
from ..coherence.stamps import Seen
from .entry import Entry
from .key import Key


class Set(NamedTuple):
    """One value that was set: its entry, with the stamps that this made; its scope; and its number among those of the process."""

    entry: Entry
    scope: Scope
    number: int


class Pending:
    """What one transaction has set."""

    def __init__(self, limit: int) -> None:
        """``limit``: bytes that its values may take together; what is more is seen by nobody, and kept by nobody (law 10)."""
        self._limit = limit
        self._bytes = 0
        self._sets: dict[Key, list[Set]] = {}

    def add(self, one: Set) -> None:
        """The last of its key, from now on."""
        self._bytes += one.entry.size
        if self._bytes <= self._limit:
            self._sets.setdefault(one.entry.key, []).append(one)

    def current(self, key: Key, seen: Callable[[tuple[Scope, ...]], Seen]) -> Set | None:
        """What ``key`` is in the transaction, whose stamps ``seen`` tells; None where it was not set, or that was undone or ended."""
        for one in reversed(self._sets.get(key, ())):
            now = seen(one.entry.scopes or ())
            if one.entry.stamps == now.stamps and None not in now.stamps:
                one.entry.schema = now.schema  # it depends on these stamps alone, and no trigger has to do with them
                return one
        return None

    def surviving(self, seen: Callable[[tuple[Scope, ...]], Seen]) -> list[Set]:
        """What is to be kept once the transaction has committed, asked just before."""
        found = [self.current(key, seen) for key in self._sets]
        return [one for one in found if one is not None and one.entry.schema is not None]
