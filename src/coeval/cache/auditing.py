"""The path of an audit: an entry that was a hit is computed again in a snapshot in which it is valid, and compared (law 1).

The hit is not held up, so its snapshot is gone. One opened later serves as well, if the entry is valid in it: stamps never repeat, so
all that the entry depends on is as it was. Where it is not, nothing can be said, and the audit is skipped. So is it for

* statements whose rows or order the data leave open (`cache/audit.py`). Before anything is called a difference the statement runs a
  second time in the same snapshot with its scans turned round; it has to give the same. Which of several equals come before a cut
  is up to the plan, and the plan to ANALYZE, which no stamp tells of: where the file has statistics, a cut one makes no difference;
  nor does a call that has read several rows;
* calls whose answer is not made of the data alone: with ttl or tags, of an exception, or with arguments that the caller has
  changed since; and calls that raise or write. What their threads read is outside of the snapshot, so a difference counts only
  where the entry is valid after the call as well.

Ring: flow.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, NamedTuple, Protocol

from ..coherence.proof import Witness
from ..coherence.scopes import TAGS, Scope
from ..coherence.stamps import Seen, Stamp
from ..coherence.validity import valid_by_clock, valid_by_stamps
from .audit import comparable, look, same_rows, same_value
from .entry import Entry
from .kept_call import KeptCall, Raised
from .key import Key, asked
from .lookup import Request, Rows
from .options import Options
from .private import given


class Difference(NamedTuple):
    """A kept result that is not what was computed in a snapshot where it is valid."""

    statement: str  #: or the function's name
    parameters: Any  #: or the function's positional and named arguments
    #: what it depends on, with stamps; None: on everything, by the clock
    read_set: tuple[tuple[str, Stamp], ...] | None
    kept: Any
    computed: Any


class SkippedError(Exception):
    """Nothing can be said of an entry; the argument says why."""


class Moment(Protocol):
    """A snapshot in which nothing comes from the cache."""

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        """Stamps in it."""

    async def functions(self, request: Request) -> frozenset[str]:
        """Those that the statement calls, through views too."""

    async def rows(self, request: Request) -> Rows:
        """The statement's rows."""

    async def turned(self, request: Request) -> Rows:
        """The same, with every scan whose order is left open turned round."""

    async def counted(self) -> bool:
        """Whether there are statistics, by which SQLite may have chosen another plan before."""

    async def named(self, scopes: Iterable[Scope]) -> tuple[str, ...]:
        """What the scopes stand for."""


class Again(Protocol):
    """A call that can be made once more."""

    key: Key
    engine: object
    name: str
    options: Options

    async def pin(self) -> None:
        """From now on, until `unpin`, what it reads is computed, in one snapshot."""

    async def unpin(self) -> None:
        """Let the snapshot go, if there is one."""

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        """Stamps in the snapshot, or in a new one."""

    async def named(self, scopes: Iterable[Scope]) -> tuple[str, ...]:
        """What the scopes stand for."""

    async def undecided(self) -> bool:
        """Whether what it has read in the snapshot may have come in another order before."""

    async def invoke(self, witness: Witness) -> Any:
        """Run the function."""

    def changed(self) -> bool:
        """Whether its arguments are no longer those of its key."""

    def given(self) -> Any:
        """Its arguments."""


async def audit_statement(entry: Entry, moment: Moment) -> Difference | None:
    """Compare; None: it is as it should be. Raises SkippedError, and what computing raises."""
    sql, parameters, limit = asked(entry.key)
    wanted = Request(sql, parameters, entry.key, None if limit is None else limit + 1)  # one more: is it cut off?
    _check_valid(entry, await moment.seen(entry.scopes))
    text, functions = look(sql), await moment.functions(wanted)
    if comparable(text, functions, limit, ()) is None:
        raise SkippedError("parts of it are in no order")
    computed = comparable(text, functions, limit, await moment.rows(wanted))
    if computed is None:
        raise SkippedError("it is cut off, and in no order")
    if same_rows(entry.rows, computed):
        return None
    turned = comparable(text, functions, limit, await moment.turned(wanted))
    cut = text.cut or (limit is not None and len(computed) == limit)
    if turned is None or not same_rows(computed, turned) or (cut and await moment.counted()):
        raise SkippedError("the data leave open what it gives")
    return Difference(sql, parameters, await _read_set(entry, moment), entry.rows, tuple(computed))


async def audit_call(entry: KeptCall, call: Again) -> Difference | None:
    """Call the function again and compare; None: it is as it should be. Raises SkippedError, and what the call raises."""
    value: Any = entry.rows
    if isinstance(value, Raised):
        raise SkippedError("it is an exception")
    if entry.expires < inf or call.options.tags or any(scope <= TAGS for scope in entry.scopes or ()):
        raise SkippedError("it has a ttl or tags, so it depends on more than the data")
    _check_arguments(call)
    await call.pin()
    try:
        _check_valid(entry, await call.seen(entry.scopes))
        witness = Witness(call.engine)
        try:
            computed = await call.invoke(witness)
        finally:
            witness.close()
        kept = given(value)
        if same_value(kept, computed):
            return None
        if await call.undecided():
            raise SkippedError("the data leave open what it reads")
        read_set = await _read_set(entry, call)
    finally:
        await call.unpin()
    _check_arguments(call)
    _check_valid(entry, await call.seen(entry.scopes))
    return Difference(call.name, call.given(), read_set, kept, computed)


def _check_valid(entry: Entry, seen: Seen) -> None:
    if not (valid_by_clock(entry, seen.mark) or valid_by_stamps(entry, seen)):
        raise SkippedError("it is no longer valid")


def _check_arguments(call: Again) -> None:
    if call.changed():
        raise SkippedError("its arguments were changed")


async def _read_set(entry: Entry, moment: Moment | Again) -> tuple[tuple[str, Stamp], ...] | None:
    if entry.scopes is None:
        return None
    return tuple(zip(await moment.named(entry.scopes), entry.stamps, strict=True))
