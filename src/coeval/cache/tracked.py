"""The path of a tracked call: a kept value proved valid, or one computation whose reads are witnessed (laws 1, 2, 3 and 9).

In this order: an entry under the commit clock's present value (in place in the faces, because it is the hit path); a call that is not
worth keeping, made as if there were no cache (`passing`); an entry that its stamps prove; a flight that may be joined; computing. What the
function reads tells the call's `Witness`, which proves the value in the end. Inside a snapshot the entry must be valid there, nobody's
flight is joined, and only what is still the present is kept. Inside a transaction the function simply runs.

Ring: flow.
"""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple, Protocol

from ..coherence.proof import Proof, Witness
from ..coherence.scopes import TAGS, Scope
from ..coherence.stamps import Mark, Seen
from ..coherence.validity import valid_by_stamps, worth_keeping
from .admission import Account
from .counts import Counts
from .entry import Entry
from .flights import Flight, Flights, Landed
from .kept_call import KeptCall, Outcome, Raised, kept_call
from .key import Key
from .options import Options
from .private import Unkeepable, given, kept, unawaited

#: Seconds that a caller waits for another's computation of the same, before it makes its own.
PATIENCE = 5.0


class Run(NamedTuple):
    """When the function ran: the tier's epoch before, and time.monotonic() before anything, before and after it."""

    epoch: int
    asked: float
    began: float
    ended: float


class Shell(Protocol):
    """One call, as the flow needs it."""

    key: Key
    name: str
    outer: Witness | None
    options: Options
    scopes: tuple[Scope, ...]  #: of its tags, and of the function, or of itself where it is a plain value
    counts: Counts
    flights: Flights
    tier: Any

    @property
    def engine(self) -> object:
        """What the reads of the call are told of as."""

    alone: bool  #: nobody's flight is joined: inside a snapshot
    firm: bool  #: what was ended by a stamp of its tags, or its own, is not given even while a new value is made
    loop: object  #: the event loop that the caller is a task of

    async def invoke(self, witness: Witness) -> Any:
        """Run the function, its reads told to ``witness``."""

    def passes(self) -> Account | None:
        """Its account, where it is not worth keeping, and so is made as if there were no cache; else None."""

    async def pass_by(self) -> Any:
        """Run the function, which must not write, with nothing else around it."""

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        """Stamps in a snapshot opened now, or in that of the unit around the call."""

    async def wait(self, flight: Flight, seconds: float) -> Landed | None:
        """What ``flight`` came to; None where it takes longer, or waiting would stop it."""

    def now(self) -> Mark:
        """The commit clock."""

    def time(self) -> float:
        """time.monotonic()."""

    def lost(self, entry: Entry, seen: Seen) -> None:
        """``entry`` is not valid by ``seen``, and will be computed again."""

    def later(self) -> None:
        """Compute again, soon, beside the caller."""

    def changed(self) -> bool:
        """Whether its arguments are no longer those of its key."""

    def unkept(self, why: str) -> None:
        """Say why the value is not kept."""

    def failed(self, error: Exception) -> None:
        """Say that computing beside the caller failed."""

    def hit(self, entry: KeptCall) -> None:
        """The value of ``entry`` is given to the caller."""


async def answer(call: Shell) -> Any:
    """The call's value."""
    entry = await _valid(call, serve_stale=True)
    if entry is not None:
        try:
            return _use(call, entry)
        except Unkeepable:  # it could be copied once, and cannot any more (law 4)
            call.tier.drop(entry)
    account = call.passes()
    if account is not None:
        return await _past(call, account)
    if call.alone:
        return await _compute(call, None)
    mine = () if call.outer is None else call.outer.flights
    while True:
        boarding = call.flights.board(call.key, mine, call.loop)
        if boarding is None:
            return await _compute(call, None)
        flight, leads = boarding
        if leads:
            return await _lead(call, flight, mine)
        landed = await _wait(call, flight, mine)
        if landed is None:
            return await _compute(call, None)
        if landed.shared:
            call.counts.joined += 1
            try:
                return _pass(call, landed.value)
            except Unkeepable:
                return await _compute(call, None)


async def refresh(call: Shell) -> Any:
    """Compute, keep and give the value, whatever is kept already."""
    return await _compute(call, None)


async def renew(call: Shell) -> None:
    """Compute and keep, unless somebody is at it. What the function raises is logged: its caller has its answer."""
    boarding = None if call.changed() else call.flights.board(call.key, (), call.loop)
    if boarding is not None and boarding[1]:
        if boarding[0].before is not None:
            call.flights.land(boarding[0], Landed(False))
            return
        try:
            await _lead(call, boarding[0], (), look=True)
        except Exception as error:
            call.failed(error)


async def peek(call: Shell) -> Any:
    """The kept value, if it is valid now, as a one-tuple; else ()."""
    entry = await _valid(call, serve_stale=False)
    if entry is None or isinstance(entry.rows, Raised):
        return ()
    try:
        return (_use(call, entry),)
    except Unkeepable:  # it could be copied once, and cannot any more (law 4)
        call.tier.drop(entry)
        return ()


async def _lead(call: Shell, flight: Flight, mine: tuple[Flight, ...], *, look: bool = False) -> Any:
    """Compute for all who board. ``look``: unless there is a valid entry by now, as there may be behind another flight."""
    try:
        before = flight.before
        if before is not None:
            await _wait(call, before, mine)
        call.flights.depart(flight)  # before anything is looked at: who comes from now on may know more
        if before is not None or look:
            entry = await _valid(call, serve_stale=False)
            if entry is not None:
                found = Outcome(entry.rows, Proof(entry.schema, entry.scopes, entry.stamps, entry.mark), entry.expires)
                call.flights.land(flight, Landed(True, found))
                return _use(call, entry)
        return await _compute(call, flight)
    finally:
        call.flights.land(flight, Landed(False))


async def _wait(call: Shell, flight: Flight, mine: tuple[Flight, ...]) -> Landed | None:
    if not call.flights.wait(mine, flight):
        return None
    try:
        return await call.wait(flight, PATIENCE)
    except BaseException:
        _left_off(call)
        raise
    finally:
        call.flights.waited(mine, flight)


async def _valid(call: Shell, *, serve_stale: bool) -> KeptCall | None:
    """The entry, where it is valid in a snapshot opened now, or in the unit's; or old, where that is allowed and it is young enough."""
    entry = call.tier.find(call.key)
    if entry is None:
        return None
    time = call.time()
    over = entry.expires <= time
    if over and (call.alone or not serve_stale or time >= entry.expires + call.options.stale):
        if time >= entry.expires + entry.stale:
            call.tier.drop(entry)
        return None
    if not over and not call.alone and entry.mark is not None and entry.mark == call.now():
        entry.proved = time
        return entry  # type: ignore[no-any-return]
    seen = await call.seen(entry.scopes)
    valid = valid_by_stamps(entry, seen) or (entry.scopes is None and seen.mark is not None and entry.mark == seen.mark)
    if valid and not over:
        if not call.alone:
            entry.proved = time
            if seen.mark is not None:
                entry.mark = seen.mark
        entry.passed = -1
        if entry.account is not None:
            entry.account.revalidated(entry)
        return entry  # type: ignore[no-any-return]
    if call.alone or seen.schema is None:
        return None
    ended = call.firm and not valid and _ended(entry, seen)
    since = entry.expires if valid else min(entry.proved, entry.expires)
    # Another thread may have proved it since the time was looked at, so that a bound of 0 alone would let it pass.
    if call.options.stale and serve_stale and not ended and time < since + call.options.stale:
        call.counts.stale += 1
        call.later()
        return entry  # type: ignore[no-any-return]
    call.lost(entry, seen)
    if ended or time >= since + entry.stale:
        call.tier.drop(entry)
    return None


def _ended(entry: KeptCall, seen: Seen) -> bool:
    """Whether a stamp of its tags, or its own as a plain value, is another: what was set, deleted or invalidated."""
    return entry.scopes is None or any(
        scope <= TAGS and (now is None or then != now)
        for scope, then, now in zip(entry.scopes, entry.stamps, seen.stamps, strict=True)
    )


async def _past(call: Shell, account: Account) -> Any:
    """The function's own answer, which is not worth keeping: its reads are told to the call around it alone."""
    call.counts.misses += 1
    call.counts.unkept += 1
    asked, began = hash(call.key), call.time()
    try:
        account.running.add(asked)
        value = await call.pass_by()
    except Exception:
        raise
    except BaseException:
        _left_off(call)
        raise
    finally:
        account.running.discard(asked)
    account.ran(call.time() - began)
    return value


async def _compute(call: Shell, flight: Flight | None) -> Any:
    call.counts.misses += 1
    epoch, asked = call.tier.epoch, call.time()
    witness = Witness(call.engine, call.outer)
    witness.flights = (() if call.outer is None else call.outer.flights) + (() if flight is None else (flight,))
    witness.begin(call.scopes, await call.seen(call.scopes))
    began = call.time()
    try:
        value = await call.invoke(witness)
    except BaseException as error:
        run = Run(epoch, asked, began, call.time())
        proof = witness.close()
        if isinstance(error, Exception):
            _tell_outer(call, witness, proof, began)
            if isinstance(error, call.options.errors):
                _keep(call, witness, proof, Raised(error), run, flight)
        else:
            _left_off(call)
        raise
    run = Run(epoch, asked, began, call.time())
    proof = witness.close()
    _tell_outer(call, witness, proof, began)
    if value is None and not call.options.nothing:
        call.counts.unkept += 1
        return value
    return _keep(call, witness, proof, value, run, flight)


def _keep(call: Shell, witness: Witness, proof: Proof | None, value: Any, run: Run, flight: Flight | None) -> Any:
    """Keep ``value`` where it is proved, and give it to the passengers; what the caller gets."""
    options = call.options
    if call.changed():
        return _unkept(call, value, "its arguments were changed, or vary gives something else where it is computed")
    if proof is None:
        return _unkept(call, value, ", ".join(witness.reasons))
    if not witness.reads and not call.scopes and options.ttl == inf:
        why = "it read nothing through this database, and has neither ttl nor tags"
        return _unkept(call, value, unawaited(value) or why)
    if not worth_keeping(Seen(*_seen(proof)), proof.scopes):
        return _unkept(call, value, "nothing could prove it valid again")
    try:
        what: Any = Raised(value.again()) if isinstance(value, Raised) else kept(value)
    except Unkeepable as error:
        return _unkept(call, value, str(error))
    expires = min(witness.expires, run.began + options.ttl)
    if call.alone and (proof.mark is None or proof.mark != call.now()):
        return value
    cost = run.ended - run.began
    account = None if call.firm else call.tier.admission.computed(call.name, cost)
    entry = kept_call(call.key, what, proof, expires, run.began, options.stale)
    entry.cost, entry.account = cost if account is None else account.whole(cost), account
    there = call.tier.find(call.key)
    if there is not None and there.began > run.began:
        pass  # by `refresh`, meanwhile: it may know more of what no stamp tells of
    elif not call.tier.put(entry, run.epoch):
        if account is not None:
            call.tier.admission.refused(account)
        call.counts.unkept += 1
    if account is not None:
        account.spent(call.time() - run.asked - cost)
    if flight is not None:  # after it was kept, so that nobody finds neither
        call.flights.land(flight, Landed(True, Outcome(what, proof, expires)))
    return value


def _seen(proof: Proof) -> tuple[Any, ...]:
    return proof.schema, proof.stamps, proof.mark


def _unkept(call: Shell, value: Any, why: str) -> Any:
    call.counts.unkept += 1
    if why not in call.counts.said and len(call.counts.said) < 100:
        call.counts.said.add(why)
        call.unkept(why)
    return value


def _use(call: Shell, entry: KeptCall) -> Any:
    """What the caller gets of a valid entry."""
    call.counts.hits += 1
    entry.hits += 1
    call.hit(entry)
    proof = Proof(entry.schema, entry.scopes, entry.stamps, entry.mark)
    return _pass(call, Outcome(entry.rows, proof, entry.expires))


def _pass(call: Shell, outcome: Outcome) -> Any:
    if call.outer is not None:
        call.outer.saw(call.engine, outcome.proof.scopes, Seen(*_seen(outcome.proof)))
        call.outer.expire(outcome.expires)
    if isinstance(outcome.value, Raised):
        raise outcome.value.again()
    return given(outcome.value)


def _left_off(call: Shell) -> None:
    """It was cancelled, perhaps by a time-out: what the call around it makes of that, it does not make of the data."""
    if call.outer is not None:
        call.outer.refuse(f"{call.name}, which it calls, was cancelled")


def _tell_outer(call: Shell, witness: Witness, proof: Proof | None, began: float) -> None:
    """The call around this one depends on what this one has read, and lives no longer than it would."""
    outer = call.outer
    if outer is None:
        return
    for reason in witness.reasons:
        outer.refuse(reason)
    expires = min(witness.expires, began + call.options.ttl)
    if proof is not None and (witness.reads or call.scopes or expires < inf):
        outer.saw(call.engine, proof.scopes, Seen(*_seen(proof)))
        outer.expire(expires)
