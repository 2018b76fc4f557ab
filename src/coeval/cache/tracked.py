"""The path of a tracked call: a kept value proved valid, or one computation whose reads are witnessed (laws 1, 2, 3 and 9).

In this order: an entry under the commit clock's present value (`Tracked.at_hand`, in plain code); one that its stamps prove; a flight that
may be joined; computing. What the function reads tells the call's `Witness`, which proves the value in the end. Inside a snapshot the
entry must be valid there, nobody's flight is joined, and only what is still the present is kept. Inside a transaction the function simply runs.

Ring: flow.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from ..coherence.proof import Proof, Witness
from ..coherence.scopes import Scope
from ..coherence.stamps import Mark, Seen
from ..coherence.validity import valid_by_stamps, worth_keeping
from .entry import Entry
from .flights import Flight, Flights, Landed
from .key import Key
from .private import Unkeepable, given, kept, size
from .size import ENTRY

log = logging.getLogger("coeval")

#: Seconds that a caller waits for another's computation of the same, before it makes its own.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the decorator was told; see `Database.cached`."""

    ttl: float = inf
    tags: tuple[str, ...] = ()
    stale: float = 0.0
    nothing: bool = True  #: None is kept
    errors: tuple[type[Exception], ...] = ()


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception that is kept as the answer."""

    error: Exception

    def again(self) -> Exception:
        """A copy to raise: the one that is kept gathers no tracebacks."""
        try:
            return copy.copy(self.error).with_traceback(None)
        except Exception:  # one that needs other arguments than it keeps
            return self.error.with_traceback(None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a computation gave, for its passengers: what is kept, and its proof."""

    value: Any
    proof: Proof
    expires: float


class KeptCall(Entry):
    """The entry of a call. ``rows`` is its value, or what makes it."""

    __slots__ = ("expires", "proved")

    expires: float  #: time.monotonic() at which it ends; inf: never
    proved: float  #: when it was last known to be valid


@dataclass
class Counts:
    """What became of the calls of one function."""

    hits: int = 0
    misses: int = 0
    joined: int = 0
    stale: int = 0
    unkept: int = 0
    said: set[str] = field(default_factory=set)


class Shell(Protocol):
    """One call, as the flow needs it."""

    key: Key
    outer: Witness | None
    options: Options
    scopes: tuple[Scope, ...]  #: of its tags
    counts: Counts
    flights: Flights
    tier: Any
    engine: object
    name: str
    alone: bool  #: nobody's flight is joined: inside a snapshot
    loop: object  #: the event loop that the caller is a task of

    async def invoke(self, witness: Witness) -> Any:
        """Run the function, its reads told to ``witness``."""

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


async def answer(call: Shell) -> Any:
    """The call's value."""
    entry = await _valid(call, serve_stale=True)
    if entry is not None:
        return _use(call, entry)
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
            return _pass(call, landed.value)


async def refresh(call: Shell) -> Any:
    """Compute, keep and give the value, whatever is kept already."""
    return await _compute(call, None)


async def renew(call: Shell) -> None:
    """Compute and keep, unless somebody is at it."""
    boarding = call.flights.board(call.key, (), call.loop)
    if boarding is not None and boarding[1]:
        if boarding[0].before is not None:
            call.flights.land(boarding[0], Landed(False))
        else:
            await _lead(call, boarding[0], (), look=True)


async def peek(call: Shell) -> Any:
    """The kept value, if it is valid now, as a one-tuple; else ()."""
    entry = await _valid(call, serve_stale=False)
    return () if entry is None or isinstance(entry.rows, Raised) else (_use(call, entry),)


async def _lead(call: Shell, flight: Flight, mine: tuple[Flight, ...], *, look: bool = False) -> Any:
    """Compute for all who board. ``look``: unless there is a valid entry by now, as there may be behind another flight."""
    try:
        before = flight.before
        if before is not None:
            await _wait(call, before, mine)
        call.flights.depart(
            flight
        )  # before anything is looked at: who comes from now on may know more than what is seen
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
    finally:
        call.flights.waited(mine, flight)


async def _valid(call: Shell, *, serve_stale: bool) -> KeptCall | None:
    """The entry, where it is valid in a snapshot opened now, or in the unit's; or old, where that is allowed and it is young enough."""
    entry = call.tier.find(call.key)
    if entry is None:
        return None
    time = call.time()
    if entry.expires <= time:
        call.tier.drop(entry)
        return None
    if not call.alone and entry.mark is not None and entry.mark == call.now():
        entry.proved = time
        return entry  # type: ignore[no-any-return]
    seen = await call.seen(entry.scopes)
    if valid_by_stamps(entry, seen) or (entry.scopes is None and seen.mark is not None and entry.mark == seen.mark):
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
    if serve_stale and time < entry.proved + call.options.stale:
        call.counts.stale += 1
        call.later()
        return entry  # type: ignore[no-any-return]
    call.lost(entry, seen)
    if call.options.stale == 0:
        call.tier.drop(entry)
    return None


async def _compute(call: Shell, flight: Flight | None) -> Any:
    call.counts.misses += 1
    epoch = call.tier.epoch
    witness = Witness(call.engine, call.outer)
    witness.flights = (() if call.outer is None else call.outer.flights) + (() if flight is None else (flight,))
    witness.begin(call.scopes, await call.seen(call.scopes))
    began = call.time()
    try:
        value = await call.invoke(witness)
    except BaseException as error:
        proof = witness.close()
        if isinstance(error, Exception):
            _tell_outer(call, witness, proof, began)
            if isinstance(error, call.options.errors):
                _keep(call, witness, proof, Raised(error), epoch, began, flight)
        raise
    proof = witness.close()
    _tell_outer(call, witness, proof, began)
    if value is None and not call.options.nothing:
        call.counts.unkept += 1
        return value
    return _keep(call, witness, proof, value, epoch, began, flight)


def _keep(
    call: Shell, witness: Witness, proof: Proof | None, value: Any, epoch: int, began: float, flight: Flight | None
) -> Any:
    """Keep ``value`` where it is proved, and give it to the passengers; what the caller gets."""
    options = call.options
    if proof is None:
        return _unkept(call, value, ", ".join(witness.reasons))
    if not witness.reads and not options.tags and options.ttl == inf:
        return _unkept(call, value, "it read nothing through this database, and has neither ttl nor tags")
    if not worth_keeping(Seen(*_seen(proof)), proof.scopes):
        return _unkept(call, value, "nothing could prove it valid again")
    try:
        what = value if isinstance(value, Raised) else kept(value)
    except Unkeepable as error:
        return _unkept(call, value, str(error))
    expires = min(witness.expires, began + options.ttl)
    if call.alone and (proof.mark is None or proof.mark != call.now()):
        return value
    admission, name = call.tier.admission, call.key[0]
    cost = call.time() - began
    account = admission.computed(name, cost)
    asked_for = options.tags or options.ttl < inf or options.stale or isinstance(value, Raised)
    if not asked_for and admission.passes(name, hash(call.key)):
        call.counts.unkept += 1
        if flight is not None:
            call.flights.land(flight, Landed(True, Outcome(what, proof, expires)))
        return value
    entry = KeptCall(
        call.key,
        what,
        scopes=proof.scopes,
        schema=proof.schema,
        stamps=proof.stamps,
        mark=proof.mark,
        size=ENTRY + size(call.key) + size(what),
        cost=account.whole(cost),
        account=account,
    )
    entry.expires, entry.proved = expires, began
    if not call.tier.put(entry, epoch):
        admission.refused(account)
        call.counts.unkept += 1
    if flight is not None:  # after it was kept, so that nobody finds neither
        call.flights.land(flight, Landed(True, Outcome(what, proof, expires)))
    return value


def _seen(proof: Proof) -> tuple[Any, ...]:
    return proof.schema, proof.stamps, proof.mark


def _unkept(call: Shell, value: Any, why: str) -> Any:
    call.counts.unkept += 1
    if why not in call.counts.said and len(call.counts.said) < 100:
        call.counts.said.add(why)
        log.warning("%s is not cached: %s", call.name, why)
    return value


def _use(call: Shell, entry: KeptCall) -> Any:
    """What the caller gets of a valid entry."""
    call.counts.hits += 1
    entry.hits += 1
    proof = Proof(entry.schema, entry.scopes, entry.stamps, entry.mark)
    return _pass(call, Outcome(entry.rows, proof, entry.expires))


def _pass(call: Shell, outcome: Outcome) -> Any:
    if call.outer is not None:
        call.outer.saw(call.engine, outcome.proof.scopes, Seen(*_seen(outcome.proof)))
        call.outer.expire(outcome.expires)
    if isinstance(outcome.value, Raised):
        raise outcome.value.again()
    return given(outcome.value)


def _tell_outer(call: Shell, witness: Witness, proof: Proof | None, began: float) -> None:
    """The call around this one depends on what this one has read, and lives no longer than it would."""
    outer = call.outer
    if outer is None:
        return
    for reason in witness.reasons:
        outer.refuse(reason)
    expires = min(witness.expires, began + call.options.ttl)
    if proof is not None and (witness.reads or call.options.tags or expires < inf):
        outer.saw(call.engine, proof.scopes, Seen(*_seen(proof)))
        outer.expire(expires)
