"""The path of a read: an entry proved valid, or rows computed in a snapshot whose stamps were read first (laws 1, 2 and 3).

A read is tried in this order: an entry whose mark is the commit clock's value (`valid_by_clock`, in place in the face, because it is the
hit path); an entry that `revalidate` proves by stamps; `compute`. The flows are written once for blocking and asyncio callers, over
the few calls of `Source` and `Reading`.

Ring: flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..coherence.scopes import Scope
from ..coherence.stamps import Mark, Seen, Stamp
from ..coherence.validity import valid_by_clock, valid_by_stamps, worth_keeping
from .admission import Account, Admission
from .entry import Entry
from .key import Key, statement_key
from .size import ENTRY, SCOPE, key_size, result_size

Rows = tuple[Any, ...]


@dataclass(slots=True)
class Request:
    """One read: the statement, its adapted parameters, its key, and how many rows are wanted (None: all). Never changed."""

    sql: str
    parameters: tuple[Any, ...] | Mapping[str, Any]
    key: Key
    limit: int | None = None

    def asked(self) -> int:
        """A hash for `Admission.passes`, which is quicker had than that of the key."""
        values = self.parameters
        return hash((self.sql, values)) if type(values) is tuple else hash(self.key)


def by_place(request: Request, names: tuple[str | None, ...]) -> Request:
    """The same with values that came by name in the order of the placeholders, as `blocking.in_order` makes them for the next call."""
    values = request.parameters
    if type(values) is tuple or not names or None in names:
        return request
    placed = tuple([values[name] for name in names])  # type: ignore[index, call-overload]
    return Request(request.sql, placed, statement_key(request.sql, placed, request.limit), request.limit)


class Plan(Protocol):
    """What the analysis of a statement says of keeping its results."""

    @property
    def cacheable(self) -> bool: ...
    @property
    def schema(self) -> Stamp: ...
    @property
    def names(self) -> tuple[str | None, ...]:
        """Of the placeholders; None where positional."""

    def scopes_for(self, parameters: tuple[Any, ...] | Mapping[str, Any], /) -> tuple[Scope, ...] | None:
        """What a call with ``parameters`` depends on; None: by the clock alone."""


class Reading(Protocol):
    """One snapshot."""

    async def plan(self, request: Request) -> Plan | None:
        """The analysis of the statement, if one holds for this snapshot's schema; refuses what cannot be read in it."""

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        """Stamps of ``scopes`` in this snapshot."""

    async def rows(self, request: Request) -> Rows:
        """The statement's rows in this snapshot."""

    def time(self) -> float:
        """Seconds, for what things cost."""


class Source(Protocol):
    """The store, as a read needs it."""

    async def plan(self, request: Request) -> Plan:
        """The analysis of the statement, remembered or made; refuses what cannot be read so."""

    async def renew(self, request: Request) -> Plan:
        """The analysis for the schema as it is now, after the triggers were verified if that can be done at once."""

    async def rows(self, request: Request) -> Rows:
        """The statement's rows in a new snapshot."""

    async def begin(self) -> Reading:
        """A new snapshot, not yet opened by a read; give it to `end`."""

    async def end(self, reading: Reading) -> None:
        """Let the snapshot go."""

    def time(self) -> float:
        """Seconds, for what things cost."""


class Tier(Protocol):
    """A place that keeps entries."""

    epoch: int
    find: Callable[[Key], Entry | None]
    admission: Admission

    def put(self, entry: Entry, epoch: int) -> bool: ...


class Watch(Protocol):
    """A tracked call, as far as one read has to do with it."""

    def saw(self, scopes: tuple[Scope, ...] | None, seen: Seen) -> None: ...
    def refuse(self, reason: str) -> None: ...


Tell = Callable[..., None]


def revalidate(entry: Entry, seen: Seen) -> bool:
    """Whether ``entry`` is valid in a snapshot that was opened after the call began; if so it is marked with that."""
    if not valid_by_stamps(entry, seen):
        return False
    if seen.mark is not None:
        entry.mark = seen.mark
    entry.passed = -1  # it was of use: the tier's hand spares it
    if entry.account is not None:
        entry.account.revalidated(entry)
    return True


async def compute(request: Request, source: Source, tier: Tier, tell: Tell, watch: Watch | None = None) -> Rows:
    """Rows as of a moment after this call began, offered to ``tier`` with the stamps that were read before them.

    Where keeping them is not worth it they are read as if there were no cache. ``watch``: the tracked call that this read is part of, which
    hears of it, and needs the stamps in any case.
    """
    epoch, time, admission = tier.epoch, source.time, tier.admission
    begun = time()
    plan = await source.plan(request)
    request = by_place(request, plan.names)
    passes = plan.cacheable and request.sql in admission.passing and admission.passes(request.sql, request.asked())
    if passes and watch is None:
        tell("passed")
        return await source.rows(request)
    for again in (True, False):
        if not plan.cacheable and plan.schema is not None:
            break
        if plan.cacheable:
            scopes = plan.scopes_for(request.parameters)
            reading = await source.begin()
            try:
                seen = await reading.seen(scopes)
                if seen.schema is not None and seen.schema == plan.schema:
                    if watch is not None:  # before the rows: that they cannot be had depends on the data, too
                        watch.saw(scopes, seen)
                    start = time()
                    rows = await reading.rows(request)
                    cost = time() - start
                    tell("miss")
                    if not passes:
                        account = _keep(request, scopes, seen, rows, cost, tier, epoch, tell)
                        account.spent(time() - begun - cost)
                    return rows
            finally:
                await source.end(reading)
        if again:
            plan = await source.renew(request)
    tell("uncached")
    if watch is not None:
        watch.refuse(unprovable(request.sql))
    return await source.rows(request)


def unprovable(sql: str) -> str:
    """Why a tracked call that made this read is not kept."""
    return f"the result of {' '.join(sql.split())[:80]} cannot be proved (see explain)"


async def read_within(
    request: Request,
    reading: Reading,
    now: Callable[[], Mark],
    tier: Tier,
    tell: Tell,
    watch: Watch | None = None,
    hit: Callable[[Entry], object] | None = None,
) -> Rows:
    """Rows as of the snapshot ``reading``, which may be old. ``hit`` hears of an entry whose rows are given.

    An entry is never marked here: the clock may have moved on since the snapshot (hole 25). What is computed is kept only where
    the snapshot is still the present, so that it never takes the place of a newer entry.
    """
    entry = tier.find(request.key)
    if entry is not None:
        seen = await reading.seen(entry.scopes)
        if valid_by_clock(entry, seen.mark) or valid_by_stamps(entry, seen):
            tell("revalidated")
            if watch is not None:
                watch.saw(entry.scopes, Seen(entry.schema, entry.stamps, seen.mark))
            if hit is not None:
                hit(entry)
            return entry.rows
    epoch = tier.epoch
    plan = await reading.plan(request)
    if plan is not None:
        request = by_place(request, plan.names)
    scopes = () if plan is None else plan.scopes_for(request.parameters)
    passes = plan is not None and plan.cacheable and tier.admission.passes(request.sql, request.asked())
    seen = await reading.seen(scopes)
    proved = plan is not None and plan.cacheable and seen.schema is not None and seen.schema == plan.schema
    if watch is not None:  # before the rows, as in `compute`
        if proved:
            watch.saw(scopes, seen)
        else:
            watch.refuse(unprovable(request.sql))
    start = reading.time()
    rows = await reading.rows(request)
    cost = reading.time() - start
    if not proved:
        tell("uncached")
        return rows
    tell("miss")
    if not passes and seen.mark is not None and seen.mark == now():
        _keep(request, scopes, seen, rows, cost, tier, epoch, tell)
    return rows


def _keep(
    request: Request,
    scopes: tuple[Scope, ...] | None,
    seen: Seen,
    rows: Rows,
    cost: float,
    tier: Tier,
    epoch: int,
    tell: Tell,
) -> Account:
    account = tier.admission.computed(request.sql, cost)
    if worth_keeping(seen, scopes):
        entry = Entry(
            request.key,
            rows,
            scopes=scopes,
            schema=seen.schema,
            stamps=seen.stamps,
            mark=seen.mark,
            size=ENTRY + SCOPE * len(scopes or ()) + key_size(request.sql, request.parameters) + result_size(rows),
            cost=account.whole(cost),
            account=account,
        )
        if tier.put(entry, epoch):
            return account
    tier.admission.refused(account)
    tell("refused")
    return account
