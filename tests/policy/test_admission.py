"""Admission in virtual seconds: never much dearer than no cache, and what is worth keeping is kept."""

from __future__ import annotations

import pytest

from coeval.cache.admission import LOAN, MEMORY, MOST, SELDOM, SHARE, Admission, Costs
from coeval.cache.entry import Entry
from policy.trading import READ, WRITE, Trader, new, popular

POINT, SHORT, DEAR = 1.2e-6, 20e-6, 1e-3
READS = 20_000


def warmed(**options):
    """A trader whose statement has found out that nothing it keeps is ever hit."""
    trader = Trader(**options)
    trader.trade(new(4 * LOAN))
    assert trader.name in trader.tier.admission.passing
    return trader


# -- no hits at all: law 9 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [POINT, SHORT, 50e-6, 100e-6, 150e-6, 180e-6, 200e-6, DEAR])
def test_without_a_hit_it_costs_a_tenth_or_a_microsecond(rows):
    """Whatever the statement costs, and whatever it was like at first."""
    trader = Trader(lambda _: rows)
    trader.trade(new(LOAN * 4))
    total = trader.trade(new(READS, LOAN * 4))
    assert total.hits == 0
    assert total.over <= max(1e-6, 0.1 * total.uncached / total.reads)


def test_without_a_hit_only_samples_are_kept():
    """One in so many, and ever fewer."""
    trader = warmed()
    kept = trader.trade(new(READS, 10**6)).kept
    assert READS // SELDOM <= kept + 1 <= READS // SELDOM + 8


@pytest.mark.parametrize("rows", [POINT, SHORT, 50e-6])
@pytest.mark.parametrize(
    "events",
    [
        pytest.param(lambda: [(WRITE, 1), (READ, 1)] * READS, id="a hot key that is written before each read"),
        pytest.param(lambda: [(READ, n % 3000) for n in range(READS)], id="a cycle that memory does not hold"),
        pytest.param(lambda: popular(READS, 1.10, 5000, 0.2), id="a fifth are writes to the table"),
    ],
)
def test_where_what_is_kept_is_thrown_away(events, rows):
    """Disproved or evicted before its first hit: hardly more than what looking costs, and the stamps of what was disproved."""
    trader = Trader(lambda _: rows, limit=1_000_000)
    trader.trade(events())
    total = trader.trade(events())
    assert total.over <= max(1.1e-6, 0.1 * total.uncached / total.reads)


def test_a_tier_that_takes_nothing_is_given_up():
    """Results too large for it cost what keeping costs, and earn nothing."""
    trader = Trader(limit=0)
    trader.trade(new(READS))
    assert trader.total.passed > READS * 0.98


# -- what is worth keeping --------------------------------------------------------------------------------------------


def test_at_first_everything_is_kept():
    """The second time is a hit, as everybody expects of a cache."""
    trader = Trader()
    for key in range(LOAN - 1):
        assert not trader.read(key)
        assert trader.read(key)
    assert trader.total.passed == 0


def test_what_is_dear_is_always_kept_at_once():
    """However long it had no hit: keeping is a small part of what it costs."""
    trader = Trader(lambda _: DEAR)
    total = trader.trade(new(READS))
    assert (total.passed, total.kept) == (0, READS)


@pytest.mark.parametrize("before", [1, 2, 3, 50])
def test_a_key_that_becomes_hot_is_soon_a_hit(before):
    """After thousands of reads without any."""
    trader = warmed()
    trader.trade(new(READS + before, 10**6))
    answers = [trader.read("hot") for _ in range(100)]
    assert True in answers[:100]
    assert all(answers[answers.index(True) :])
    assert answers.index(True) <= 5


def test_a_hot_key_among_new_ones_is_soon_a_hit():
    """Others that are never read again do not keep it out."""
    trader = warmed()
    answers = []
    for n in range(200):
        trader.read(("cold", n))
        answers.append(trader.read("hot"))
    assert all(answers[100:])


def test_even_where_writes_threw_all_away_a_hot_key_is_soon_a_hit():
    """The account is empty then; the share of what reads cost fills it."""
    trader = Trader()
    trader.trade([(WRITE, 1), (READ, 1)] * READS)
    assert trader.name in trader.tier.admission.passing
    answers = [trader.read(1) for _ in range(100)]
    assert True in answers


@pytest.mark.parametrize(("slope", "keys"), [(1.10, 10_000), (0.77, 1682)])
@pytest.mark.parametrize("rows", [POINT, SHORT, 100e-6, DEAR])
def test_popular_keys_are_hits(slope, keys, rows):
    """Keys by popularity, few writes, room for all: most of what keeping everything would save is saved."""
    everything = Trader(lambda _: rows, always=True)
    trader = Trader(lambda _: rows)
    for one in (everything, trader):
        one.trade(popular(READS, slope, keys, seed=1))
        one.trade(popular(READS, slope, keys, seed=2))
    saved, most = (one.total.uncached - one.total.seconds for one in (trader, everything))
    assert saved >= 0.75 * most


@pytest.mark.parametrize(("slope", "keys"), [(1.10, 10_000), (0.77, 1682)])
def test_where_memory_is_short_admission_saves_more_than_keeping_everything(slope, keys):
    """What is asked for once does not push out what is asked for often, and costs nothing to keep."""
    everything = Trader(always=True, limit=keys * 100)
    trader = Trader(limit=keys * 100)
    for one in (everything, trader):
        one.trade(popular(READS, slope, keys, seed=1))
        one.trade(popular(READS, slope, keys, seed=2))
    assert trader.total.seconds < 0.75 * everything.total.seconds
    assert trader.total.seconds < trader.total.uncached


def test_what_reads_may_spend_is_not_saved_up():
    """After thousands of reads without a hit, a time of writes is met with a few keepings, not with hundreds."""
    trader = warmed()
    trader.trade(new(READS, 10**6))
    assert trader.trade([(WRITE, 1), (READ, 1)] * 500).kept <= 45


# -- when things change -----------------------------------------------------------------------------------------------


def test_a_statement_that_becomes_dear_is_kept_again():
    """An index was dropped: two samples say so, and then all is kept at once."""
    cost = [POINT]
    trader = warmed(rows=lambda _: cost[0])
    trader.trade(new(READS, 10**6))
    cost[0] = DEAR
    assert trader.trade(new(SELDOM + 2, 10**7)).passed <= SELDOM
    assert trader.trade(new(READS, 10**8)).passed == 0


def test_a_statement_that_becomes_cheap_is_not():
    """An index was made."""
    cost = [DEAR]
    trader = Trader(rows=lambda _: cost[0])
    trader.trade(new(1000))
    cost[0] = POINT
    trader.trade(new(2000, 10**6))
    assert trader.trade(new(READS, 10**7)).passed > 0.98 * READS


def test_one_slow_run_says_nothing():
    """The machine was busy: the statement is looked at again at once, and its cost stays what it was."""
    admission = Admission(MEMORY)
    account = admission.computed("s", POINT)
    for _ in range(20):
        admission.computed("s", POINT)
    usual = account.cost
    admission.computed("s", DEAR)
    assert account.cost == usual
    admission.computed("s", POINT)
    admission.computed("s", DEAR)
    assert account.cost == pytest.approx(usual)


def test_the_first_run_says_little():
    """It compiles the statement and reads its pages."""
    admission = Admission(MEMORY)
    account = admission.computed("s", DEAR)
    admission.computed("s", POINT)
    assert account.cost == pytest.approx(POINT + MEMORY.around)
    assert account.rate == pytest.approx(SHARE * account.cost)


def test_keys_that_are_soon_asked_for_again_open_the_door():
    """Samples at first sight were hit more than keeping costs: from then on all is kept at first sight again."""
    trader = warmed()
    name, passing = trader.name, trader.tier.admission.passing
    for n in range(20_000):
        for _ in range(12):
            trader.read(("twelve times", n))
        if name not in passing:
            break
    assert name not in passing


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_accounts_are_bounded():
    """The oldest go; one that comes back begins anew."""
    admission = Admission(MEMORY)
    for n in range(3 * MOST):
        admission.computed(n, POINT)
        assert len(admission) <= MOST
    assert not admission.passes(0, 1)


def test_what_is_forgotten_passes_no_more():
    """Nothing is left of it among those that pass."""
    trader = warmed()
    admission = trader.tier.admission
    for n in range(MOST):
        admission.computed(n, POINT)
    assert trader.name not in admission.passing
    assert len(admission.passing) <= len(admission)


def test_watched_entries_are_of_those_that_are_kept():
    """An entry that has left is not held by its account."""
    trader = Trader()
    trader.trade(popular(5000, 1.10, 1000, 0.1))
    account = trader.tier.admission.computed(trader.name, POINT)
    kept = {id(entry) for entry in trader.tier._entries.values()}
    assert account.trials.keys() | account.recent.keys() <= kept
    trader.tier.clear()
    assert not account.trials
    assert not account.recent


# -- other tiers ------------------------------------------------------------------------------------------------------


def test_a_tier_of_its_own_costs_decides_for_itself():
    """Where a hit costs more than the read, hits earn nothing: a shared tier is not worth a point read, and worth a report."""
    shared = Admission(Costs(hit=60e-6, revalidation=65e-6, keeping=80e-6, around=2.8e-6))

    def trade(name, seconds):
        for n in range(5000):
            if shared.passes(name, hash((name, n % 10))):
                continue
            account = shared.computed(name, seconds)
            entry = Entry((n,), (), scopes=(), schema=1, stamps=(), mark=None, size=1, cost=seconds, account=account)
            shared.kept(entry)
            entry.hits += 3

    trade("point", POINT)
    trade("report", 500e-6)
    assert "point" in shared.passing
    assert "report" not in shared.passing
    assert shared.why("report") is None
    assert "keeping the result 80 µs more" in (shared.why("point") or "")


def test_what_keeping_costs_is_measured():
    """On a slower machine, and for large results, a dearer statement is not worth keeping; one slow moment says little."""
    admission = Admission(MEMORY)
    account, other = admission.computed("large", SHORT), admission.computed("small", SHORT)
    for _ in range(1000):
        account.spent(MEMORY.around + 50e-6)
    assert account.keeping == pytest.approx(50e-6, rel=0.05)
    account.spent(10.0)
    assert account.keeping < 60e-6
    assert other.keeping == MEMORY.keeping


def test_large_results_that_push_others_out_are_not_kept_in_vain():
    """What is dear to compute and nearly as dear to keep: as without a cache, or a tenth more."""
    trader = Trader(lambda _: 300e-6, keeping=110e-6)
    trader.trade(new(READS // 10))
    total = trader.trade(new(READS, 10**6))
    assert total.over <= 0.1 * total.uncached / total.reads


def test_keeping_large_results_costs_memory():
    """So many bytes cost as much as the steps that keep them."""
    trader = Trader(lambda _: 300e-6, size=1_000_000, limit=1 << 40)
    trader.trade(new(READS // 10))
    assert trader.trade(new(READS // 10, 10**6)).passed > READS // 10 * 0.9
    again = [trader.read("again") for _ in range(100)]
    assert True in again
    small = Trader(lambda _: 300e-6, size=1000)
    assert small.trade(new(READS // 10)).passed == 0


# -- functions: what they take without a witness -------------------------------------------------------------------------


def passing_account(took):
    """An account that passes, of a function that takes so long without a witness."""
    admission = Admission(MEMORY)
    for _ in range(8):
        account = admission.computed("f", 60e-6)
    admission._pass(account)
    for _ in range(200):
        account.ran(took)
    return admission, account


def test_what_it_takes_without_a_witness_is_what_it_costs():
    """Though it takes far longer with one."""
    admission, account = passing_account(5e-6)
    for _ in range(100):
        admission.computed("f", 40e-6)
    assert account.cost == pytest.approx(5e-6, rel=0.1)


def test_what_has_become_far_dearer_is_found_out_with_a_witness_too():
    """The second time: once the machine may have been busy."""
    admission, account = passing_account(5e-6)
    admission.computed("f", 2e-3)
    assert account.cost < 1e-4
    admission.computed("f", 2e-3)
    assert account.cost == pytest.approx(2e-3, rel=0.1)
    assert account.rate >= account.keeping


def test_one_call_that_took_long_changes_little():
    """The machine was busy; and a function that has become dearer is known after some."""
    _, account = passing_account(5e-6)
    account.ran(1.0)
    assert account.past < 7e-6
    for _ in range(60):
        account.ran(2e-3)
    assert account.past > 1e-3


def test_one_that_asks_for_what_is_passing_does_not_pass():
    """Two at once are worth a flight."""
    _, account = passing_account(5e-6)
    assert account.passes_alone(1)
    account.running.add(2)
    left = account.left
    assert not account.passes_alone(2)
    assert left == account.left
    account.running.discard(2)
    assert account.passes_alone(2)
