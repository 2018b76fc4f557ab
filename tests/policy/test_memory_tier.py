"""The memory tier: bounded in bytes under any sequence, and nothing begun before a forgetting is kept after it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.cache.entry import Entry
from coeval.tiers.memory import LARGEST, MemoryTier

LIMIT = 1000


def entry(name, size=10, scopes=(1,), mark=b"mark"):
    return Entry((name,), ((name,),), scopes=scopes, schema=1, stamps=(1,), mark=mark, size=size)


def test_what_is_put_is_found():
    """By its key, the newest of that key."""
    tier = MemoryTier(LIMIT)
    one, two = entry("a"), entry("a")
    assert tier.put(one, tier.epoch)
    assert one is tier.find(("a",))
    assert None is tier.find(("b",))
    assert tier.put(two, tier.epoch)
    assert two is tier.find(("a",))
    assert (1, 10) == (len(tier), tier.bytes)


def test_a_limit_of_zero_keeps_nothing():
    """memory_limit=0 is a cache that is always empty."""
    tier = MemoryTier(0)
    assert not tier.put(entry("a"), tier.epoch)
    assert (None, 0, 0) == (tier.find(("a",)), len(tier), tier.bytes)


def test_an_entry_too_large_pushes_nothing_out():
    """One that would take a large part of the limit is refused."""
    tier = MemoryTier(LIMIT)
    assert tier.put(entry("a"), tier.epoch)
    assert tier.put(entry("largest", LIMIT // LARGEST), tier.epoch)
    assert not tier.put(entry("larger", LIMIT // LARGEST + 1), tier.epoch)
    assert None is not tier.find(("a",))
    assert (0, 1) == (tier.evictions, tier.refused)


def test_a_refused_entry_leaves_the_older_one():
    """What cannot be kept takes nobody's place; the older entry has to prove itself anyway."""
    tier = MemoryTier(LIMIT)
    old = entry("a")
    tier.put(old, tier.epoch)
    assert not tier.put(entry("a", LIMIT), tier.epoch)
    assert tier.find(("a",)) in (old, None)


@pytest.mark.parametrize("forget", ["clear", "forget_marks"])
def test_what_was_begun_before_a_forgetting_is_not_kept_after_it(forget):
    """A computation remembers the epoch at its start."""
    tier = MemoryTier(LIMIT)
    epoch = tier.epoch
    getattr(tier, forget)()
    assert not tier.put(entry("late"), epoch)
    assert None is tier.find(("late",))
    assert tier.put(entry("new"), tier.epoch)


def test_clear():
    """Everything goes, and the counts of the past stay."""
    tier = MemoryTier(LIMIT)
    for name in "abc":
        tier.put(entry(name), tier.epoch)
        found = tier.find((name,))
        assert found is not None
        found.hits += 2
    tier.clear()
    assert (0, 0, 6) == (len(tier), tier.bytes, tier.hits)
    assert None is tier.find(("a",))


def test_forget_marks():
    """Entries with stamps stay without their mark; those that stand on the clock alone go."""
    tier = MemoryTier(LIMIT)
    tier.put(entry("stamped"), tier.epoch)
    tier.put(entry("by the clock", scopes=None), tier.epoch)
    tier.forget_marks()
    stamped = tier.find(("stamped",))
    assert stamped is not None
    assert None is stamped.mark
    assert None is tier.find(("by the clock",))
    assert (1, 10) == (len(tier), tier.bytes)


steps = st.lists(
    st.tuples(
        st.sampled_from(["put"] * 8 + ["hit"] * 4 + ["clear", "forget_marks"]),
        st.integers(0, 20),
        st.integers(0, LIMIT // 4),
    ),
    max_size=100,
)


@given(steps, st.sampled_from([0, 1, 100, LIMIT]))
def test_the_bound_holds_under_any_sequence(steps, limit):
    """Its bytes are the sum of its entries, never above the limit, and its hits are all the hits there were."""
    tier = MemoryTier(limit)
    kept, hits = {}, 0
    for step, name, size in steps:
        if step == "put":
            one = entry(name, size)
            if tier.put(one, tier.epoch):
                kept[name] = one
        elif step == "hit":
            found = tier.find((name,))
            if found is not None:
                assert kept[name] is found
                found.hits += 1
                hits += 1
        else:
            getattr(tier, step)()
        present = [found for other in kept if (found := tier.find((other,))) is not None]
        assert sum(one.size for one in present) == tier.bytes <= limit
        assert len(present) == len(tier)
        assert hits == tier.hits


def test_threads_that_put_and_forget(scaled):
    """The bound and the sums hold beside each other."""
    tier = MemoryTier(LIMIT)
    failures = []

    def work(who):
        try:
            for n in range(scaled(50_000, 1_500)):
                tier.put(entry((who, n % 50), n % 100), tier.epoch)
                found = tier.find((who, n % 50))
                if found is not None:
                    found.hits += 1
                assert tier.bytes <= LIMIT + 100
                if n % 100 == 0:
                    tier.forget_marks()
                if n % 350 == 0:
                    tier.clear()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    present = [found for who in range(4) for n in range(50) if (found := tier.find(((who, n),))) is not None]
    assert sum(one.size for one in present) == tier.bytes <= LIMIT
    assert len(present) == len(tier)
