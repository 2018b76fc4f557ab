"""Eviction by worth against SIEVE: seconds saved on mixes of cheap and dear, small and large; and how long a search may be."""

from __future__ import annotations

import random

import pytest

from coeval.cache.entry import Entry
from coeval.tiers import sieve
from coeval.tiers.memory import MemoryTier
from coeval.tiers.sieve import MOST, SEARCHED, Sieve
from policy.trading import popular

READS = 12_000

#: Bytes and seconds of a key, by chance.
MIXES = {
    "alike": lambda _: (1000, 1.0),
    "a fifth is a hundred times as dear": lambda chance: (1000, 100.0 if chance.random() < 0.2 else 1.0),
    "nine tenths are a hundred times as dear": lambda chance: (1000, 100.0 if chance.random() < 0.9 else 1.0),
    "a fifth is fifty times as large": lambda chance: (50_000 if chance.random() < 0.2 else 1000, 1.0),
    "cheap large ones and dear small ones": lambda chance: (20_000, 1.0) if chance.random() < 0.3 else (1000, 5.0),
    "any size at any cost": lambda chance: (int(500 * 2 ** chance.uniform(0, 6)), 2 ** chance.uniform(0, 8)),
}
#: Slope and number of keys, as in real traces; and the part of reads that are of keys read once.
TRACES = [(1.10, 1498, 0.0), (0.77, 1682, 0.0), (1.10, 1498, 0.3)]


class Plain(Sieve):
    """SIEVE as published."""

    def victim(self):
        one = self._hand or self._oldest
        while one is not None and one.hits != one.passed:
            one.passed = one.hits
            one = one.newer or self._oldest
        self._hand = one
        return one


def entry(key, size=1, cost=1.0):
    return Entry(key, (), scopes=(), schema=1, stamps=(), mark=None, size=size, cost=cost)


def saved(order, mix, slope, keys, once):
    """The part of all seconds that hits have saved, with room for a tenth of the keys."""
    chance = random.Random(3)
    props = {key: mix(chance) for key in range(keys)}
    room = sum(size for size, _ in props.values()) / 10
    kept: dict[object, Entry] = {}
    used, total, hits, new = 0, 0.0, 0.0, 0
    for _, key in popular(READS, slope, keys):
        if chance.random() < once:
            key = new = new - 1  # noqa: PLW2901 - one that was never read
            props[key] = mix(chance)
        size, cost = props[key]
        total += cost
        one = kept.get(key)
        if one is not None:
            one.hits += 1
            hits += cost
            continue
        kept[key] = entry(key, size, cost)
        order.add(kept[key])
        used += size
        while used > room:
            victim = order.victim()
            order.remove(victim)
            del kept[victim.key]
            used -= victim.size
    return hits / total


@pytest.mark.parametrize(("slope", "keys", "once"), TRACES)
@pytest.mark.parametrize("name", MIXES)
def test_it_saves_as_much_as_sieve_and_more_where_costs_are_mixed(name, slope, keys, once):
    """Seconds saved; where all are alike it is SIEVE."""
    mix = MIXES[name]
    ours, plain = (saved(order, mix, slope, keys, once) for order in (Sieve(), Plain()))
    if name == "alike":
        assert ours == plain
    else:
        assert ours >= plain - 0.001
    if name == "a fifth is a hundred times as dear" and not once:
        assert ours >= plain + 0.05


def test_the_cheap_and_large_leave_before_the_dear_and_small():
    """Of what nobody has hit: the tier keeps what took long to make, in whatever order they came."""
    tier = MemoryTier(100_000)
    names = [(kind, n) for n in range(60) for kind in ("dear", "cheap")]
    for kind, n in names:
        cost, size = (1.0, 1000) if kind == "dear" else (0.001, 4000)
        assert tier.put(entry((kind, n), size, cost), tier.epoch)
    left = [key for key in names if tier.find(key) is not None]
    assert sum(kind == "dear" for kind, _ in left) == 60
    assert tier.bytes <= 100_000


def test_the_dear_do_not_stay_for_ever():
    """Nobody reads them any more, and the others are hit: they go after so many rounds."""
    order = Sieve()
    dear, used = [entry(("dear", n), 1, 1000.0) for n in range(10)], []
    for one in dear:
        order.add(one)
    gone: set[Entry] = set()
    for n in range(3000):
        used.append(entry(n))
        order.add(used[-1])
        for one in used:
            one.hits += 1
        if len(used) + len(dear) - len(gone & set(dear)) > 50:
            victim = order.victim()
            assert victim is not None
            order.remove(victim)
            gone.add(victim)
            if victim in used:
                used.remove(victim)
    assert gone >= set(dear)


def test_a_hit_spares_a_dear_one_anew():
    """Its rounds begin again."""
    order = Sieve()
    dear = entry("dear", 1, 1000.0)
    order.add(dear)  # alone but for one that comes and goes, so that the hand passes each time
    for n in range(50 * MOST):
        order.add(entry(n))
        if n % (MOST - 2) == 0:
            dear.hits += 1
        victim = order.victim()
        assert victim is not None
        assert victim is not dear
        order.remove(victim)


@pytest.mark.parametrize("dear", [0.1, 0.5, 0.99])
def test_a_search_is_short(dear, monkeypatch):
    """Where nothing was hit a search looks at so many entries at the most, whatever they are worth."""
    looked: list[float] = []
    rounds = sieve._rounds

    def counted(above):
        looked.append(above)
        return rounds(above)

    monkeypatch.setattr(sieve, "_rounds", counted)
    chance, order = random.Random(1), Sieve()
    for n in range(5000):  # all the dear ones first
        order.add(entry(n, 1, 1000.0 if n < 5000 * dear else 1.0))
    total = 0
    for n in range(5000):
        looked.clear()
        victim = order.victim()
        assert victim is not None
        assert len(looked) <= SEARCHED
        total += len(looked)
        order.remove(victim)
        order.add(entry(("new", n), 1, 1000.0 if chance.random() < dear else 1.0))
    assert total <= 5000 * (MOST + 1)
