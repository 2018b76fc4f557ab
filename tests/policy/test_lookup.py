"""The path of a read over a source in plain code: what is asked in which order, what is kept, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from coeval.cache.entry import Entry
from coeval.cache.key import statement_key
from coeval.cache.lookup import Request, compute, read_within, revalidate
from coeval.coherence.stamps import Seen
from coeval.tiers.memory import MemoryTier

MARK, LATER = b"m" * 48, b"l" * 48
REQUEST = Request("SELECT x", (), statement_key("SELECT x", ()))
OLD, NEW = (("old",),), (("new",),)


@dataclass
class Plan:
    schema: int | None = 7
    scopes: tuple[int, ...] | None = (1,)
    cacheable: bool = True
    names: tuple[str, ...] = ()

    def scopes_for(self, parameters):
        return self.scopes


@dataclass
class Fake:
    """A store in plain code: each call is written down; the answers are what the test sets."""

    plans: list[Plan] = field(default_factory=lambda: [Plan()])
    sees: Seen = field(default_factory=lambda: Seen(7, (11,), MARK))
    gives: tuple = NEW
    fails: str = ""
    calls: list = field(default_factory=list)
    meanwhile: Callable[[], object] | None = None

    def _note(self, *call):
        self.calls.append(call)
        if call[0] == self.fails:
            raise ZeroDivisionError(self.fails)

    async def plan(self, request):
        self._note("plan")
        return self.plans[0]

    async def renew(self, request):
        self._note("renew")
        self.plans = self.plans[1:] or self.plans
        return self.plans[0]

    async def seen(self, scopes):
        self._note("seen", scopes)
        return self.sees

    async def rows(self, request):
        self._note("rows")
        if self.meanwhile:
            self.meanwhile()
        return self.gives

    async def begin(self):
        self._note("begin")
        return self

    def time(self):
        return 0.0

    async def end(self, reading):
        assert reading is self
        self._note("end")

    def asked(self):
        return [call[0] for call in self.calls]


def run(flow):
    """The driver: a flow over a source that never waits runs to its end at once."""
    try:
        flow.send(None)
    except StopIteration as done:
        return done.value
    flow.close()
    raise AssertionError("the flow waited")


class World:
    def __init__(self, source=None, limit=10**6):
        self.source = source or Fake()
        self.tier = MemoryTier(limit)
        self.told = []

    def keep(self, *, scopes=(1,), schema=7, stamps=(11,), mark=None, rows=OLD):
        """Put an entry for the request."""
        entry = Entry(REQUEST.key, rows, scopes=scopes, schema=schema, stamps=stamps, mark=mark, size=10)
        assert self.tier.put(entry, self.tier.epoch)
        return entry

    def kept(self):
        return self.tier.find(REQUEST.key)

    def read(self):
        """As a face reads: an entry with a read set is compared with the stamps of now, else the rows are computed."""
        entry = self.kept()
        if entry is not None and entry.scopes is not None and revalidate(entry, run(self.source.seen(entry.scopes))):
            self.tell("revalidated")
            return entry.rows
        return run(compute(REQUEST, self.source, self.tier, self.tell))

    def read_within(self, now=MARK):
        return run(read_within(REQUEST, self.source, lambda: now, self.tier, self.tell))

    def tell(self, name, **facts):
        self.told.append(name)


# -- a read of the present --------------------------------------------------------------------------------------------


def test_a_miss_reads_stamps_first():
    """In one snapshot: stamps, then rows, which are kept with exactly those stamps (law 2)."""
    world = World()
    assert NEW == world.read()
    assert [("plan",), ("begin",), ("seen", (1,)), ("rows",), ("end",)] == world.source.calls
    kept = world.kept()
    assert (NEW, (1,), 7, (11,), MARK) == (kept.rows, kept.scopes, kept.schema, kept.stamps, kept.mark)
    assert ["miss"] == world.told
    assert 0 < kept.size


def test_equal_stamps_give_the_entry_and_mark_it():
    """No row is read; the entry carries the present's mark from now on."""
    world = World()
    entry = world.keep()
    assert OLD == world.read()
    assert ([("seen", (1,))], MARK, ["revalidated"]) == (world.source.calls, entry.mark, world.told)


def test_equal_stamps_without_a_mark():
    """Where the clock proves nothing the entry is given, and keeps the mark it had."""
    world = World(Fake(sees=Seen(7, (11,), None)))
    entry = world.keep(mark=LATER)
    assert OLD == world.read()
    assert LATER == entry.mark


@pytest.mark.parametrize("sees", [Seen(7, (12,), MARK), Seen(8, (11,), MARK), Seen(7, (None,), MARK)])
def test_other_stamps_are_a_miss(sees):
    """The entry is not given, whatever else is true, and the new rows take its place where they can be proved."""
    world = World(Fake(plans=[Plan(schema=sees.schema)], sees=sees))
    world.keep()
    assert NEW == world.read()
    assert NEW == world.kept().rows if None not in sees.stamps else world.kept().rows in (OLD, NEW)
    assert "revalidated" not in world.told


def test_an_entry_by_the_clock_is_not_asked_for_stamps():
    """It has none, and no stamps prove it: it is computed anew."""
    assert not revalidate(
        Entry(REQUEST.key, OLD, scopes=None, schema=7, stamps=(), mark=MARK, size=1), Seen(7, (), MARK)
    )
    world = World(Fake(plans=[Plan(scopes=None)], sees=Seen(7, (), LATER)))
    world.keep(scopes=None, stamps=(), mark=MARK)
    assert NEW == world.read()
    assert (NEW, None, LATER) == (world.kept().rows, world.kept().scopes, world.kept().mark)


def test_a_plan_of_an_older_schema_is_renewed_once():
    """The snapshot has another schema than the plan: the plan is made anew, and a new snapshot is read."""
    world = World(Fake(plans=[Plan(schema=6), Plan(schema=7)]))
    assert NEW == world.read()
    assert ["plan", "begin", "seen", "end", "renew", "begin", "seen", "rows", "end"] == world.source.asked()
    assert (["miss"], 7) == (world.told, world.kept().schema)


def test_a_schema_that_never_settles_is_read_uncached():
    """After one renewal it is not tried again: the rows are right, and nothing is kept."""
    world = World(Fake(plans=[Plan(schema=6)]))
    assert NEW == world.read()
    assert 1 == world.source.asked().count("renew")
    assert ([], None, ["uncached"]) == ([c for c in world.told if c == "miss"], world.kept(), world.told)
    assert world.source.asked().count("begin") == world.source.asked().count("end")


def test_an_unverified_schema_is_read_uncached():
    """Where the triggers are not verified nothing is kept, after one attempt to have them verified (law 3)."""
    world = World(Fake(plans=[Plan(schema=None, cacheable=False)], sees=Seen(None, (None,), MARK)))
    assert NEW == world.read()
    assert (1, None, ["uncached"]) == (world.source.asked().count("renew"), world.kept(), world.told)


def test_a_schema_that_is_verified_by_the_renewal():
    """Where the attempt succeeds the result is kept."""
    world = World(Fake(plans=[Plan(schema=None, cacheable=False), Plan()]))
    assert NEW == world.read()
    assert (["miss"], NEW) == (world.told, world.kept().rows)


def test_what_is_not_cacheable_is_read_once_and_not_kept():
    """No snapshot with stamps, no renewal."""
    world = World(Fake(plans=[Plan(cacheable=False)]))
    assert NEW == world.read()
    assert (["plan", "rows"], None, ["uncached"]) == (world.source.asked(), world.kept(), world.told)


@pytest.mark.parametrize(
    ("plan", "sees"),
    [
        (Plan(scopes=None), Seen(7, (), None)),
        (Plan(), Seen(7, (None,), MARK)),
        (Plan(scopes=(1, 2)), Seen(7, (1, None), MARK)),
    ],
)
def test_what_can_never_be_proved_again_is_not_kept(plan, sees):
    """By the clock without a mark, or by an absent stamp: the rows are given, and the refusal is told."""
    world = World(Fake(plans=[plan], sees=sees))
    assert NEW == world.read()
    assert (None, ["miss", "refused"]) == (world.kept(), world.told)


def test_a_full_tier_refuses():
    """What the tier does not take is given all the same."""
    world = World(limit=0)
    assert NEW == world.read()
    assert (None, ["miss", "refused"]) == (world.kept(), world.told)


def test_what_was_begun_before_everything_was_forgotten_is_not_kept():
    """A restore or a new function in the middle of the computation outdates it."""
    world = World()
    world.source.meanwhile = world.tier.clear
    assert NEW == world.read()
    assert (None, ["miss", "refused"]) == (world.kept(), world.told)


@pytest.mark.parametrize("fails", ["plan", "begin", "seen", "rows", "end"])
def test_an_error_goes_out_and_the_snapshot_is_let_go(fails):
    """Whatever fails, every snapshot that was begun is ended, and nothing wrong is kept."""
    world = World(Fake(fails=fails))
    with pytest.raises(ZeroDivisionError, match=fails):
        world.read()
    begun = "begin" in world.source.asked() and fails != "begin"
    assert begun is ("end" in world.source.asked())
    assert world.kept() is None or fails == "end"


# -- a read in a snapshot ---------------------------------------------------------------------------------------------


def test_within_a_snapshot_an_entry_is_proved_and_never_marked():
    """Equal stamps in an old snapshot say nothing about the present (hole 25)."""
    world = World()
    entry = world.keep(mark=LATER)
    assert OLD == world.read_within(now=LATER)
    assert (LATER, ["revalidated"]) == (entry.mark, world.told)


@pytest.mark.parametrize(("given_rows", "mark"), [(OLD, MARK), (NEW, LATER)])
def test_within_a_snapshot_an_entry_by_the_clock(given_rows, mark):
    """It is given only where its mark is the snapshot's own."""
    world = World(Fake(plans=[Plan(scopes=None)], sees=Seen(7, (), MARK)))
    world.keep(scopes=None, stamps=(), mark=mark)
    assert given_rows == world.read_within()


def test_within_a_snapshot_that_is_the_present_results_are_kept():
    """The clock has not moved since: what is computed is true of now."""
    world = World()
    assert NEW == world.read_within(now=MARK)
    assert (NEW, MARK) == (world.kept().rows, world.kept().mark)
    assert world.source.asked().index("seen") < world.source.asked().index("rows")


@pytest.mark.parametrize(
    ("now", "sees"), [(LATER, Seen(7, (11,), MARK)), (None, Seen(7, (11,), None)), (MARK, Seen(7, (11,), None))]
)
def test_within_an_old_snapshot_nothing_is_kept(now, sees):
    """A newer entry keeps its place, and an unknown moment is no present."""
    world = World(Fake(sees=sees))
    entry = world.keep(stamps=(99,), rows=OLD)
    assert NEW == world.read_within(now=now)
    assert entry is world.kept()


@pytest.mark.parametrize(
    ("plan", "sees"),
    [
        (Plan(cacheable=False), Seen(7, (11,), MARK)),
        (Plan(schema=6), Seen(7, (11,), MARK)),
        (Plan(schema=None), Seen(None, (11,), MARK)),
    ],
)
def test_within_a_snapshot_what_cannot_be_proved_is_not_kept(plan, sees):
    """Not cacheable, another schema, or none that is verified."""
    world = World(Fake(plans=[plan], sees=sees))
    assert NEW == world.read_within()
    assert (None, ["uncached"]) == (world.kept(), world.told)
