"""Plain values in a tier, in the order in which they were set: nothing older takes the place of a value that was set later.

An entry with old stamps would never be given to anybody, but in the place of a newer one it would make that a miss. Numbers are taken
inside write transactions, so that their order is that of the commits.

Ring: shell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from ..cache.entry import Entry
from ..cache.key import Key
from ..cache.pending import Set
from ..coherence.scopes import Scope

if TYPE_CHECKING:
    from .memory import MemoryTier


class Sets:
    """The order of the sets of one database in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._last: dict[Scope, int] = {}  # by scope, of which there are no more than TAGS

    def number(self) -> int:
        """The next one, for who has the turn to write."""
        return next(self._numbers)

    def last(self, scope: Scope) -> int:
        """The number of what was last set or deleted in ``scope``; 0: nothing was."""
        return self._last.get(scope, 0)

    def keep(self, one: Set, tier: MemoryTier) -> bool:
        """Keep ``one``, whose transaction has committed, unless something of its scope was set after it."""
        with self._lock:
            if one.number < self.last(one.scope):
                return False
            self._last[one.scope] = one.number
            return tier.put(one.entry, tier.epoch)

    def end(self, key: Key, scope: Scope, number: int, tier: MemoryTier) -> None:
        """``key`` was deleted, and that has committed: forget its value, unless it was set after that."""
        with self._lock:
            if number < self.last(scope):
                return
            self._last[scope] = number
            entry = tier.find(key)
            if entry is not None:
                tier.drop(entry)

    def loaded(self, entry: Entry, scope: Scope, last: int, tier: MemoryTier, epoch: int) -> bool:
        """Keep ``entry``, computed by a load that began when `last` was so, unless something was set since."""
        with self._lock:
            return last == self.last(scope) and tier.put(entry, epoch)

    def after_fork_in_child(self) -> None:
        """The lock may be held by a thread that does not exist here."""
        self._lock = threading.Lock()


class LoadTier:
    """A tier as one load of a plain value has it."""

    def __init__(self, tier: MemoryTier, sets: Sets, scope: Scope) -> None:
        self._tier = tier
        self._sets = sets
        self._scope = scope
        self._last = sets.last(scope)  # before anything is looked for
        self.find: Callable[[Key], Any] = tier.find
        self.drop = tier.drop

    @property
    def epoch(self) -> int:
        """As of the tier."""
        return self._tier.epoch

    def put(self, entry: Entry, epoch: int) -> bool:
        """As of the tier; False too where the value was set meanwhile."""
        return self._sets.loaded(entry, self._scope, self._last, self._tier, epoch)
