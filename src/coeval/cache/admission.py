"""Admission: whether what a statement gives is worth keeping (laws 9 and 10).

Each statement, and each cached function, has an account in seconds. Keeping a result costs (stamps are read, an entry is made); a hit on
it earns what computing takes longer than a hit, a revalidation likewise. A statement starts with a loan, so that what it gives is kept at
once; then it may spend what it has earned, and a share of what its computations take: one that is dear enough keeps all that it gives.

Where the account is empty, reads *pass*: memory is looked into as before, but what is not there is read as if there were no cache. A key
that is asked for again within a window is admitted all the same, which a table of hashes notices, and now and then any read, so that it
comes out when things change. None of this touches whether a result is true: a read that passes is of now.

Each tier has an admission of its own `Costs`. Counts may lose an update to another thread, and are estimates anyway.

Ring: policy. Seconds are measured by the caller.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .entry import Entry


class Costs(NamedTuple):
    """What a tier's work takes, in seconds."""

    hit: float
    revalidation: float  #: a hit whose stamps have to be compared
    keeping: float  #: what a miss that is kept takes longer than a read past the cache
    around: float  #: what a read past the cache takes besides making its rows: a reader, a snapshot
    byte: float = 0.0  #: beyond `keeping`, for each: memory taken anew, which the garbage collector looks through


#: Measured by benchmarks/reads.py and admission.py. ``keeping`` is where the running estimate begins; the others matter in proportion.
MEMORY = Costs(hit=0.3e-6, revalidation=4.8e-6, keeping=9e-6, around=2.8e-6, byte=0.3e-9)

#: The part of what its computations cost that a statement may spend on results that earn nothing. Law 9 allows a tenth.
SHARE = 0.05

#: Keepings that a statement starts with, and has at the most; those that it may save up without earnings.
LOAN, SAVED = 64, 8

#: Of reads that would pass one in so many goes through the cache: the least and, while that earns nothing, the most.
OFTEN, SELDOM = 16, 512

#: Kept entries whose hits are asked for while they live.
WATCHED = 32

#: Accounts kept at the most (the oldest half goes); and the places for hashes of keys asked for lately, less one: half a megabyte.
MOST, WINDOW = 2048, (1 << 16) - 1

#: A computation counts for at most so many times the usual: the machine may have been busy.
CLIPPED = 4.0

#: The first so many computations count by the least of them: a statement is compiled, and pages are read.
FIRST = 4


class Account:
    """What one statement earns and spends, in seconds."""

    __slots__ = (
        "balance", "computed", "cost", "costs", "decided", "door", "every", "high", "keeping",
        "kept", "left", "loan", "name", "passed", "past", "rate", "recent", "running", "size",
        "span", "trials", "yields",
    )  # fmt: skip

    def __init__(self, name: Hashable, admission: Admission) -> None:
        self.name = name
        self.costs = admission.costs
        self.door = admission.door
        self.keeping = admission.costs.keeping  #: what keeping costs, as measured: more for large results
        self.balance = 0.0
        self.loan = LOAN  #: keepings to come that cost it nothing, however long they take: the machine may be busy
        self.cost = 0.0  #: of a read past the cache
        self.past = 0.0  #: the same, as measured where it is one; 0: it was not
        self.high = 0.0  #: the last one, where that took far longer
        self.rate = 0.0  #: what each read may spend
        self.computed = 0
        self.kept = 0
        self.size = 0  #: bytes of the last one
        self.passed = 0
        self.every = OFTEN  #: of so many reads that would pass one goes through the cache,
        self.left = 0  #: in so many reads; 0: the next
        self.span = 0  #: `left` when those that have passed were last counted
        self.running: set[int] = set()  #: hashes of the keys of calls that pass now
        self.recent: dict[int, Entry] = {}  #: kept because they were asked for again
        self.trials: dict[int, Entry] = {}  #: kept at first sight: their earnings say whether that pays
        self.decided = 0  #: trials that have ended since reads began to pass
        self.yields = 0.0  #: what such a trial has earned

    def passes(self, asked: int) -> bool:
        """`Admission.passes`, for one whose reads pass now."""
        left = self.left
        if left <= 0:
            return False
        door = self.door
        slot = asked & WINDOW
        if door[slot] == asked:
            if self.balance + (self.span - left) * self.rate >= self.keeping:
                return False
            if self.span - left >= OFTEN:  # it may have earned more than is known
                self.count()
                self.settle_all()
        else:
            door[slot] = asked
        self.left = left - 1
        return True

    def ask_again(self, asked: int) -> None:
        """What was to pass could not, in the quick way, and `passes` will be asked once more: as if it had not been."""
        self.door[asked & WINDOW] = 0
        self.left += 1

    def count(self) -> None:
        """Count the reads that have passed since the last time, and what they may spend."""
        passed, self.span = self.span - self.left, self.left
        self.passed += passed
        self.balance += passed * self.rate

    def passes_alone(self, asked: int) -> bool:
        """`passes`, unless one that asks for the same is passing now: then they are worth a flight."""
        return asked not in self.running and self.passes(asked)

    def measured(self, seconds: float) -> float:
        """What computing takes, where it took ``seconds`` with a witness: as it does without, unless it has become far dearer."""
        past = self.past
        if not past or seconds > CLIPPED * (past + self.keeping):
            self.past = 0.0
            return seconds
        return past

    def ran(self, seconds: float) -> None:
        """A read past the cache took so long, which for a function is less than with a witness."""
        past = self.past or seconds
        self.past = past + (min(seconds, CLIPPED * past) - past) / 16

    def spent(self, seconds: float) -> None:
        """A miss that was kept took so long besides its rows, with whatever had to leave for it."""
        keeping, usual = self.keeping, self.costs.keeping
        seconds += self.size * self.costs.byte - self.costs.around
        if seconds > CLIPPED * keeping:
            seconds = CLIPPED * keeping
        elif seconds < usual / 4:
            seconds = usual / 4
        self.keeping = keeping + (seconds - keeping) / 32

    def whole(self, seconds: float) -> float:
        """What a read past the cache takes, whose rows take ``seconds``."""
        return seconds + self.costs.around

    def earn(self, seconds: float) -> None:
        """Hits have saved ``seconds``, or have cost them where that is negative."""
        self.balance = max(0.0, min(self.balance + seconds, LOAN * self.keeping))

    def revalidated(self, entry: Entry) -> None:
        """``entry`` was proved by its stamps."""
        self.earn(entry.cost - self.costs.revalidation)

    def disproved(self) -> None:
        """Stamps were compared in vain."""
        self.earn(-self.costs.revalidation)

    def settle(self, entry: Entry) -> float:
        """Credit the hits of ``entry`` since the last time; what they have earned."""
        new = entry.hits - entry.credited
        if new <= 0:
            return 0.0
        entry.credited = entry.hits
        earned = new * max(0.0, entry.cost - self.costs.hit)
        self.earn(earned)
        return earned

    def settle_all(self) -> None:
        """`settle` for all that is watched."""
        for one in (*list(self.trials.values()), *list(self.recent.values())):
            self.settle(one)

    def unwatch(self, entry: Entry) -> None:
        """``entry`` leaves, or makes room among the watched; where it was a trial, that has ended."""
        self.settle(entry)
        if self.trials.pop(id(entry), None) is None:
            self.recent.pop(id(entry), None)
            return
        earned = entry.hits * max(0.0, entry.cost - self.costs.hit)
        self.decided += 1
        self.yields += (earned - self.yields) / min(self.decided, WATCHED)


class Admission:
    """The accounts of one tier, which calls `kept` and `left` under its lock; the rest is safe from any thread."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        #: the accounts of those whose reads pass now; never replaced
        self.passing: dict[Hashable, Account] = {}
        self._accounts: dict[Hashable, Account] = {}
        self.door = array("q", bytes(8 * (WINDOW + 1)))  #: hashes of keys asked for lately, each in its place

    def __len__(self) -> int:
        return len(self._accounts)

    def passes(self, name: Hashable, asked: int) -> bool:
        """Whether a read that finds nothing kept is to be made past the cache. ``asked``: the hash of its key.

        Once False, it stays so for this key until a result was kept or refused.
        """
        account = self.passing.get(name)
        return account is not None and account.passes(asked)

    def computed(self, name: Hashable, seconds: float) -> Account:
        """``name`` was computed in ``seconds``; its account, made if there is none."""
        account = self._accounts.get(name)
        if account is None:
            account = self._open(name)
        seconds = account.measured(seconds + self.costs.around)
        cost = account.cost
        count = account.computed = account.computed + 1
        if count <= FIRST:
            account.cost = cost = seconds if count == 1 else min(cost, seconds)
        elif seconds <= CLIPPED * cost:
            account.cost = cost = cost + (seconds - cost) / min(count, 16)
            account.high = 0.0
        elif account.high:
            account.cost = cost = min(seconds, account.high)
            account.high = 0.0
        else:
            account.high = seconds  # the machine may have been busy
        account.rate = rate = SHARE * cost
        if account.balance < LOAN * account.keeping:
            account.balance += rate
        return account

    def kept(self, entry: Entry) -> None:
        """``entry`` is kept for its account."""
        account = entry.account
        if account is None:
            return
        account.kept += 1
        account.size = entry.size
        if account.rate >= account.keeping:  # dear: it pays for each by itself, and needs no earnings
            entry.account = None
            if account.name in self.passing:
                self._leave(account)
            return
        watched = account.recent if account.left > 0 else account.trials
        watched[id(entry)] = entry
        if len(watched) > WATCHED:
            account.unwatch(next(iter(watched.values())))
        self._charge(account)

    def refused(self, account: Account) -> None:
        """What was computed last has cost what keeping costs, and could not be kept."""
        self._charge(account)

    def left(self, entry: Entry) -> None:
        """``entry`` is not kept any more."""
        if entry.account is not None:
            entry.account.unwatch(entry)
            entry.account = None

    def why(self, name: Hashable) -> str | None:
        """Why what ``name`` gives is not kept at first sight at the moment; None where it is."""
        account = self.passing.get(name)
        if account is None:
            return None
        return (
            f"computing takes {account.cost * 1e6:.0f} µs and keeping the result {account.keeping * 1e6:.0f} µs more, which hits have not "
            f"earned: so far {account.kept} were kept and {account.passed} not"
        )

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _open(self, name: Hashable) -> Account:
        if len(self._accounts) >= MOST:
            for old in list(self._accounts)[: MOST // 2]:
                self._accounts.pop(old, None)
                self.passing.pop(old, None)
        return self._accounts.setdefault(name, Account(name, self))

    def _charge(self, account: Account) -> None:
        account.count()
        if account.loan > 0:
            account.loan -= 1
            return
        account.balance -= account.keeping
        if account.name in self.passing:
            if account.left <= 0:
                self._look_again(account)
        elif account.balance <= 0 and account.rate < account.keeping:
            account.settle_all()
            if account.balance <= 0:
                self._pass(account)
        account.balance = max(0.0, account.balance)

    def _leave(self, account: Account) -> None:
        """From now on what it gives is kept at first sight again."""
        self.passing.pop(account.name, None)
        account.left = account.span = 0
        account.loan, account.past = LOAN, 0.0

    def _pass(self, account: Account) -> None:
        """From now on its reads pass."""
        account.every, account.decided, account.yields = OFTEN, 0, 0.0
        account.left = account.span = OFTEN
        if self._accounts.get(account.name) is account:  # else it was forgotten
            self.passing[account.name] = account

    def _look_again(self, account: Account) -> None:
        """A read that would have passed went through the cache: has anything changed?"""
        account.balance = max(0.0, min(account.balance, SAVED * account.keeping))
        # Not of trials: they have lain untouched for long, and to look at them would take as long as the read.
        earned = sum(map(account.settle, list(account.recent.values())))
        if account.decided >= OFTEN and account.yields > account.keeping:
            self._leave(account)
            return
        if earned > account.keeping:
            account.every = max(OFTEN, account.every // 2)
        else:
            account.every = min(SELDOM, account.every * 2)
        account.left = account.span = 0 if account.high else account.every  # far dearer than usual: at once again
