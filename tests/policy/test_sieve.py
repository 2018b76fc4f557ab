"""SIEVE against a slow model of it, and what makes it better than the order of arrival."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coeval.cache.entry import Entry
from coeval.tiers.sieve import Sieve


def entry(name):
    return Entry((name,), (), scopes=(), schema=1, stamps=(), mark=None, size=1)


class Model:
    """SIEVE in a list: oldest first; a hand, by name; what each entry's hits were when the hand last passed."""

    def __init__(self):
        self.order = []
        self.hand = None
        self.hits = {}
        self.passed = {}

    def add(self, name):
        self.order.append(name)
        self.hits[name] = self.passed[name] = 0

    def hit(self, name):
        self.hits[name] += 1

    def remove(self, name):
        place = self.order.index(name)
        if self.hand == name:
            self.hand = self.order[place + 1] if place + 1 < len(self.order) else None
        self.order.remove(name)

    def victim(self):
        if not self.order:
            return None
        place = self.order.index(self.hand) if self.hand is not None else 0
        while True:
            name = self.order[place]
            if self.hits[name] == self.passed[name]:
                self.hand = name
                return name
            self.passed[name] = self.hits[name]
            place = (place + 1) % len(self.order)


steps = st.lists(
    st.tuples(st.sampled_from(["add", "add", "hit", "hit", "hit", "evict", "evict", "remove"]), st.integers(0, 30)),
    max_size=80,
)


@given(steps)
def test_it_does_what_the_model_does(steps):
    """After any arrivals, hits, evictions and removals both choose the same victims, to the last."""
    sieve, model, entries = Sieve(), Model(), {}
    for number, (step, choice) in enumerate(steps):
        if step == "add":
            entries[number] = entry(number)
            sieve.add(entries[number])
            model.add(number)
            continue
        if step == "evict":
            found, expected = sieve.victim(), model.victim()
            assert expected == (found.key[0] if found else None)
            name = expected
        else:
            name = model.order[choice % len(model.order)] if model.order else None
        if name is None:
            continue
        if step == "hit":
            entries[name].hits += 1
            model.hit(name)
        else:
            sieve.remove(entries.pop(name))
            model.remove(name)
    while entries:
        found = sieve.victim()
        assert found is not None
        assert model.victim() == found.key[0]
        sieve.remove(entries.pop(found.key[0]))
        model.remove(found.key[0])
    assert None is sieve.victim()


@given(steps)
def test_what_was_hit_since_the_hand_passed_is_spared_once(steps):
    """A victim was never hit since the hand last passed it."""
    sieve, entries = Sieve(), []
    for step, choice in steps:
        if step == "add":
            entries.append(entry(object()))
            sieve.add(entries[-1])
        elif step == "hit" and entries:
            entries[choice % len(entries)].hits += 1
        elif entries:
            victim = sieve.victim()
            assert victim is not None
            assert victim in entries
            assert victim.hits == victim.passed
            sieve.remove(victim)
            entries.remove(victim)


def test_nothing_to_evict():
    """An empty order has no victim."""
    assert None is Sieve().victim()


def test_a_scan_does_not_push_out_what_is_used():
    """Entries that are hit stay while a thousand that are not pass through."""
    sieve = Sieve()
    used = [entry(f"used {n}") for n in range(10)]
    held = set()
    for one in used:
        sieve.add(one)
        held.add(one)
    for n in range(1000):
        for one in used:
            one.hits += 1
        new = entry(n)
        sieve.add(new)
        held.add(new)
        if len(held) > 20:
            victim = sieve.victim()
            assert victim is not None
            sieve.remove(victim)
            held.remove(victim)
    assert set(used) <= held


def test_an_entry_that_left_points_nowhere():
    """Removed entries keep no others alive."""
    sieve = Sieve()
    entries = [entry(n) for n in range(3)]
    for one in entries:
        sieve.add(one)
    sieve.remove(entries[1])
    assert (None, None) == (entries[1].older, entries[1].newer)
