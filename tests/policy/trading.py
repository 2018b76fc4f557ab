"""Workloads traded in virtual seconds: what each read costs with admission, with everything kept, and without a cache."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from coeval.cache.admission import MEMORY
from coeval.cache.entry import Entry
from coeval.tiers.memory import MemoryTier

#: Seconds that a read past the cache takes longer where memory and admission were asked before it.
LOOKING = 0.7e-6

#: What happens: a read of a key, or a write (None: to the whole table).
READ, WRITE = "read", "write"
Event = tuple[str, Any]


@dataclass
class Traded:
    """What a workload came to."""

    reads: int = 0
    hits: int = 0
    revalidated: int = 0
    kept: int = 0
    passed: int = 0
    seconds: float = 0.0
    uncached: float = 0.0  #: what it would have taken without a cache

    @property
    def over(self) -> float:
        """Seconds that a read took longer than without a cache."""
        return (self.seconds - self.uncached) / self.reads


class Trader:
    """Reads of one statement through a memory tier; ``rows``: seconds that the rows of a key take."""

    def __init__(
        self,
        rows: Callable[[Any], float] = lambda _: 1.2e-6,
        *,
        limit: int = 64 << 20,
        size: int = 1000,
        always: bool = False,
        finely: bool = False,
        keeping: float = MEMORY.keeping,
    ) -> None:
        """``always``: keep everything. ``finely``: a write changes one key, not the table. ``keeping``: what that takes here."""
        self.keeping = keeping
        self.rows = rows
        self.size = size
        self.always = always
        self.finely = finely
        self.tier = MemoryTier(limit)
        self.stamps: dict[Any, int] = {}
        self.stamp = 0
        self.mark = 0
        self.name = "SELECT"
        self.total = Traded()

    def trade(self, events: Iterable[Event]) -> Traded:
        """What these events come to."""
        self.total = Traded()
        for what, key in events:
            if what == WRITE:
                self.mark += 1
                if key is None or not self.finely:
                    self.stamp += 1
                else:
                    self.stamps[key] = self.mark
            else:
                self.read(key)
        return self.total

    def read(self, key: Any) -> bool:
        """One read; whether it was a hit of either kind."""
        total, costs = self.total, MEMORY
        total.reads += 1
        seconds = self.rows(key)
        total.uncached += seconds + costs.around
        stamps = (self.stamp, self.stamps.get(key, 0))
        mark = self.mark.to_bytes(8, "big")
        entry = self.tier.find((self.name, key))
        if entry is not None:
            if entry.mark == mark:
                entry.hits += 1
                total.hits += 1
                total.seconds += costs.hit
                return True
            total.seconds += costs.revalidation
            if entry.stamps == stamps:
                entry.mark, entry.passed = mark, -1
                assert entry.account is not None
                entry.account.revalidated(entry)
                total.revalidated += 1
                return True
            self.tier.drop(entry)
        admission = self.tier.admission
        if not self.always and admission.passes(self.name, hash((self.name, key))):
            total.passed += 1
            total.seconds += seconds + costs.around + LOOKING
            return False
        total.seconds += seconds + costs.around + self.keeping
        account = admission.computed(self.name, seconds)
        entry = Entry(
            (self.name, key), (), scopes=(1,), schema=1, stamps=stamps, mark=mark, size=self.size,
            cost=account.whole(seconds), account=account,
        )  # fmt: skip
        if self.tier.put(entry, self.tier.epoch):
            total.kept += 1
        else:
            admission.refused(account)
        account.spent(self.keeping + costs.around)
        return False


def popular(count: int, slope: float, keys: int, writes: float = 0.0, seed: int = 1) -> Iterator[Event]:
    """Reads of ``keys`` by a Zipf law; a part of all are ``writes`` to such a key."""
    chance = random.Random(seed)
    weights = list(accumulate(1 / (n + 1) ** slope for n in range(keys)))
    for _ in range(count):
        key = bisect.bisect_left(weights, chance.random() * weights[-1])
        yield (WRITE if chance.random() < writes else READ), key


def new(count: int, start: int = 0) -> Iterator[Event]:
    """Reads of keys that were never read before."""
    return ((READ, ("new", n)) for n in range(start, start + count))
