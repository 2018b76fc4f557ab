"""Plain values: `Database.cache`, for what does not come from SQL, and what both faces of it have in common.

A value is a tracked call whose function is what makes it, with one scope more: that of its key, whose stamp `set` and `delete` replace
durably. So what they end is invalid in every process of the machine from the moment they return, loads in flight included.

Ring: shell.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from .around import busy, quiet
from .blocking import run
from .cache.kept_call import kept_call
from .cache.key import Key
from .cache.options import Options, checked, gives_coroutine
from .cache.pending import Set
from .cache.plain import SPACE, plain_key, plain_scope
from .cache.private import Unkeepable, given, kept
from .cache.tracked import answer, peek
from .cached import Tracked, _Call
from .coherence.proof import Proof
from .coherence.scopes import tag_scopes
from .coherence.validity import valid_by_stamps
from .errors import ParameterError, UsageError
from .snapshot import Snapshot
from .sqlite import tags as stamps
from .tiers.memory import LARGEST
from .tiers.sets import LoadTier
from .transaction import Transaction
from .unit import current, joined
from .witnessing import carry_into_threads

if TYPE_CHECKING:
    from .direct import DirectWrites
    from .engine import Engine
    from .unit import Unit

T = TypeVar("T")

log = logging.getLogger("coeval")


class PlainValues:
    """Values that do not come from SQL, by key: `Database.cache`.

    A key is any text, or numbers, dates and the like, or a tuple of them; else KeyArgumentError. A value is what a cached function may
    return: shared where it cannot be changed, else a copy for each caller; None is a value. Values live in the memory of each process,
    within ``memory_limit``, so one may be gone at any time. But none is given that was ended: after `set`, `delete` or
    `Database.invalidate` has returned in any process of this machine, no call that begins later gives what was there before, whatever
    load was under way.

    Inside a transaction `set` and `delete` belong to it: its own calls see them at once, others when it has committed, nobody where it was
    rolled back. Inside a snapshot values are of its moment. With ``cache=None`` nothing is kept. All raise ClosedError, and those that
    write what `Database.execute` does; ConfigError with ``coherence="clock"``.
    """

    def __init__(self, db: DirectWrites) -> None:
        """Use `Database.cache`."""
        self._db = db

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``; ``default`` where there is none in this process. In a tracked call it is one of the reads.

        None may be a value: give a ``default`` of your own to tell the two apart.
        """
        engine = self._db._using()
        name = (SPACE, key) if type(key) is str else plain_key(key)
        if not busy.get() or quiet():
            entry: Any = engine.tier.find(name)
            if entry is None:
                return default
            if at_hand(engine, entry) and (found := taken(engine, entry)):
                return found[0]
        found = self._look(engine, name)
        return found[0] if found else default

    def set(self, key: Any, value: Any, *, ttl: float | None = None, tags: str | Iterable[str] = ()) -> None:
        """Make ``value`` that of ``key``, here; in other processes ``key`` has none then. Durable as `Database.invalidate`.

        ``ttl``: seconds after which it is gone. ``tags``: `Database.invalidate` ends it. Raises ParameterError for a value that cannot
        be kept (a generator, what cannot be copied), UsageError inside a snapshot, TrackedWriteError inside a tracked call; then
        nothing was changed.
        """
        engine = self._db._using()
        draft = Draft(engine, key, value, ttl, tags)
        unit = writing_unit(engine, "db.cache.set")
        one = self._db._settle("db.cache.set", draft.stamp if unit is None else draft.hold)
        if unit is None:
            draft.keep(one)

    def get_or_set(
        self,
        key: Any,
        make: Callable[[], T],
        *,
        ttl: float | None = None,
        tags: str | Iterable[str] = (),
        stale_while_revalidate: float = 0,
    ) -> T:
        """The value of ``key``, or what ``make()`` returns, which is kept. Of callers who want the same at the same time one computes.

        What ``make`` reads through this database is noted, as with `Database.cached`: when that changes, the value is made anew. It must
        not write (TrackedWriteError). A ``set``, ``delete`` or ``invalidate`` while it runs wins: what it made is returned and not kept.
        What cannot be kept is returned, and the log says so once. Inside a transaction it is made each time, unless it was set there
        or is kept already.

        ``ttl``, ``tags``: as of `set`, from the call that makes it. ``stale_while_revalidate``: for so many seconds after its ``ttl``,
        or since what it was made from was last known to be true, the old value is given while a new one is made beside; what was ended
        by hand is never given.
        """
        engine = self._db._using()
        name = plain_key(key)
        entry: Any = engine.tier.find(name)
        if (not busy.get() or quiet()) and at_hand(engine, entry) and (kept := taken(engine, entry)):
            return kept[0]  # type: ignore[no-any-return]
        if gives_coroutine(make) or not callable(make):
            raise no_make(make, "get_or_set(key, lambda: ...); a coroutine by `await db.aio.cache.get_or_set(...)`.")
        options = checked(ttl=ttl, tags=tags, stale_while_revalidate=stale_while_revalidate).options
        if engine.settings.cache is None:
            return make()
        carry_into_threads()
        load = Load(engine, name, make, options)
        unit = joined(engine)
        if isinstance(unit, Transaction):
            found = look_within(unit, engine, name)
            return found[0] if found else call(load, engine, name).within_transaction()  # type: ignore[no-any-return]
        return run(answer(call(load, engine, name, unit)))  # type: ignore[no-any-return]

    def delete(self, key: Any) -> None:
        """From now on ``key`` has no value, in any process. Durable as `Database.invalidate`; raises as `set`."""
        engine = self._db._using()
        name = plain_key(key)
        engine.check_tags()
        unit = writing_unit(engine, "db.cache.delete")
        number = self._db._settle("db.cache.delete", lambda own: end(own, engine, name))
        if unit is None:
            engine.sets.end(name, plain_scope(name), number, engine.tier)

    def _look(self, engine: Engine, name: Key) -> tuple[Any, ...]:
        if engine.settings.cache is None:
            return ()
        unit = joined(engine) if current.get() is not None else None
        if isinstance(unit, Transaction):
            return look_within(unit, engine, name)
        look = call(Load(engine, name, nothing, Options()), engine, name, unit)
        return noted(look, run(peek(look)))


class Load(Tracked):
    """A plain value as a tracked call."""

    firm = True

    def __init__(self, engine: Engine, key: Key, make: Callable[[], Any], options: Options) -> None:
        """``make`` makes it."""
        self.function = make
        self.options = options
        self.scope = plain_scope(key)
        self.scopes = tuple(sorted({self.scope, *tag_scopes(options.tags)}))
        self.tags = self.scopes
        self.counts = engine.values
        self.name = named(key)

    def tier(self, engine: Engine) -> Any:
        """Where it is kept."""
        return LoadTier(engine.tier, engine.sets, self.scope)


class Draft:
    """A value that is about to be set."""

    def __init__(self, engine: Engine, key: Any, value: Any, ttl: float | None, tags: str | Iterable[str]) -> None:
        """Raises KeyArgumentError, ParameterError, ConfigError for what cannot be set so."""
        options = checked(ttl=ttl, tags=tags).options
        self.engine = engine
        self.counts = engine.values
        self.key = plain_key(key)
        self.name = named(self.key)
        self.scope = plain_scope(self.key)
        self.scopes = tuple(sorted({self.scope, *tag_scopes(options.tags)}))
        self._began = time.monotonic()
        self._expires = self._began + options.ttl
        engine.check_tags()
        try:
            self._kept = kept(value)
        except Unkeepable as error:
            raise ParameterError(
                f"The value for {key!r:.80} cannot be kept: {str(error).replace('it returned', 'it is')}",
                hint="Values are plain data, lists and dicts of it, and what copy.deepcopy can copy.",
            ) from error

    def stamp(self, own: Transaction) -> Set:
        """End what is there, in the transaction ``own``: the value with the stamps that this makes."""
        own._restamp((self.scope,))
        seen = own._seen(self.scopes)
        if None in seen.stamps:  # the first tag of this file
            stamps.make(own._ready())
            seen = own._seen(self.scopes)
        proof = Proof(seen.schema, self.scopes, seen.stamps, None)
        entry = kept_call(self.key, self._kept, proof, self._expires, self._began)
        return Set(entry, self.scope, self.engine.sets.number())

    def hold(self, own: Transaction) -> Set:
        """As `stamp`, for calls of this transaction to see, and to be kept at its end."""
        one = self.stamp(own)
        own._hold(one)
        return one

    def keep(self, one: Set) -> None:
        """Keep it: the transaction has committed."""
        tier = self.engine.tier
        if (
            not self.engine.sets.keep(one, tier)
            and self.engine.settings.cache
            and one.entry.size * LARGEST > tier.limit
        ):
            self.counts.unkept += 1
            why = f"it takes more than 1/{LARGEST} of memory_limit"
            if why not in self.counts.said:
                self.counts.said.add(why)
                log.warning("%s is not cached: %s", self.name, why)


def no_make(make: Any, hint: str) -> ParameterError:
    """What is wrong with ``make``. A coroutine is closed: nobody will await it."""
    what = repr(make)
    if inspect.iscoroutine(make):
        what = f"a coroutine, which is what {make.__qualname__}() returned, and runs once"
        make.close()
    return ParameterError(f"get_or_set takes a function without arguments, not {what}", hint=hint)


def at_hand(engine: Engine, entry: Any) -> bool:
    """Whether the commit clock vouches for ``entry``, a `KeptCall` or None, and its time is not over; no statement is made."""
    if entry is None or entry.mark is None:
        return False
    try:
        if entry.mark != engine.now():
            return False
    except ValueError:  # the clock is just being closed
        return False
    if entry.stale or entry.expires != inf:
        now = time.monotonic()
        if entry.expires <= now:
            return False
        entry.proved = now
    entry.hits += 1
    engine.values.hits += 1
    return True


def taken(engine: Engine, entry: Any) -> tuple[Any, ...]:
    """The value of ``entry`` for one caller, in a one-tuple; () where it could be copied once and cannot any more (law 4)."""
    try:
        return (given(entry.rows),)
    except Unkeepable:
        engine.tier.drop(entry)
        return ()


def look_within(unit: Transaction, engine: Engine, key: Key) -> tuple[Any, ...]:
    """The value as the transaction sees it, in a one-tuple; else (). One that `Database.write` runs notes that it was looked at."""
    one = None if unit._pending is None else unit._pending.current(key, unit._seen)
    entry: Any = engine.tier.find(key) if one is None else one.entry
    if entry is None or entry.scopes is None:
        unit._seen((plain_scope(key),))
        return ()
    if one is None and not valid_by_stamps(entry, unit._seen(entry.scopes)):
        return ()
    return () if entry.expires <= time.monotonic() else taken(engine, entry)


def noted(look: Any, found: tuple[Any, ...]) -> tuple[Any, ...]:
    """``found``. That nothing was is no fact that a tracked call could rest on: the value may only have left this memory."""
    if not found and look.outer is not None:
        look.outer.refuse(f"{look.name} was asked for, and is not in this process's memory")
    return found


def end(own: Transaction, engine: Engine, key: Key) -> int:
    """End the value of ``key`` in the transaction ``own``; the number of that."""
    own._restamp((plain_scope(key),))
    return engine.sets.number()


def writing_unit(engine: Engine, what: str) -> Transaction | None:
    """The transaction around the call. Raises UsageError inside a snapshot."""
    unit = joined(engine)
    if isinstance(unit, Snapshot):
        raise UsageError(
            f"{what} was called inside a snapshot, which only reads and would not see it",
            hint="Call it after the block, or take `with db.transaction():`.",
        )
    return unit if isinstance(unit, Transaction) else None


def call(load: Load, engine: Engine, key: Key, unit: Unit | None = None) -> Any:
    """The tracked call, in the snapshot ``unit`` where that is one."""
    return _Call(load, engine, key, (), {}, unit if isinstance(unit, Snapshot) else None)


def named(key: Key) -> str:
    """The value of ``key``, for the log."""
    return f"The value {key[1]!r:.80} of db.cache"


def nothing() -> None:
    """For who only looks."""
