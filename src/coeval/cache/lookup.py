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
from .entry import Entry
from .key import Key
from .size import ENTRY, SCOPE, key_size, result_size

Rows = tuple[Any, ...]


@dataclass(slots=True)
class Request:
    """One read: the statement, its adapted parameters, its key, and how many rows are wanted (None: all). Never changed."""

    sql: str
    parameters: tuple[Any, ...] | Mapping[str, Any]
    key: Key
    limit: int | None = None


class Plan(Protocol):
    """What the analysis of a statement says of keeping its results."""

    @property
    def cacheable(self) -> bool: ...
    @property
    def schema(self) -> Stamp: ...
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


class Tier(Protocol):
    """A place that keeps entries."""

    epoch: int
    find: Callable[[Key], Entry | None]

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
    return True


async def compute(request: Request, source: Source, tier: Tier, tell: Tell, watch: Watch | None = None) -> Rows:
    """Rows as of a moment after this call began, offered to ``tier`` with the stamps that were read before them.

    ``watch``: the tracked call that this read is part of, which hears of it.
    """
    epoch = tier.epoch
    plan = await source.plan(request)
    for again in (True, False):
        if not plan.cacheable and plan.schema is not None:
            break
        if plan.cacheable:
            scopes = plan.scopes_for(request.parameters)
            reading = await source.begin()
            try:
                seen = await reading.seen(scopes)
                if seen.schema is not None and seen.schema == plan.schema:
                    rows = await reading.rows(request)
                    tell("miss")
                    if watch is not None:
                        watch.saw(scopes, seen)
                    _keep(request, scopes, seen, rows, tier, epoch, tell)
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
    request: Request, reading: Reading, now: Callable[[], Mark], tier: Tier, tell: Tell, watch: Watch | None = None
) -> Rows:
    """Rows as of the snapshot ``reading``, which may be old.

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
            return entry.rows
    epoch = tier.epoch
    plan = await reading.plan(request)
    scopes = () if plan is None else plan.scopes_for(request.parameters)
    seen = await reading.seen(scopes)
    rows = await reading.rows(request)
    if plan is None or not plan.cacheable or seen.schema is None or seen.schema != plan.schema:
        tell("uncached")
        if watch is not None:
            watch.refuse(unprovable(request.sql))
        return rows
    tell("miss")
    if watch is not None:
        watch.saw(scopes, seen)
    if seen.mark is not None and seen.mark == now():
        _keep(request, scopes, seen, rows, tier, epoch, tell)
    return rows


def _keep(
    request: Request, scopes: tuple[Scope, ...] | None, seen: Seen, rows: Rows, tier: Tier, epoch: int, tell: Tell
) -> None:
    if worth_keeping(seen, scopes):
        entry = Entry(
            request.key,
            rows,
            scopes=scopes,
            schema=seen.schema,
            stamps=seen.stamps,
            mark=seen.mark,
            size=ENTRY + SCOPE * len(scopes or ()) + key_size(request.sql, request.parameters) + result_size(rows),
        )
        if tier.put(entry, epoch):
            return
    tell("refused")
