"""Functions whose answers are kept: the decorator, and its blocking shell.

Ring: shell.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar

from .around import busy, quiet
from .blocking import run, stamps_for
from .bound import BoundMethod
from .cache.arguments import Arguments
from .cache.canonical import NotCanonical, canonical
from .cache.counts import Counts
from .cache.flights import Flight, Landed
from .cache.identity import identity_of, name_of
from .cache.kept_call import KeptCall, Raised
from .cache.key import PLAIN, Key
from .cache.options import Named, Vary, gives_coroutine, named_of
from .cache.private import Unkeepable, given
from .cache.tracked import Shell, answer, peek, refresh, renew
from .call import Call
from .coherence.proof import Witness
from .coherence.scopes import Scope, function_scope, tag_scopes
from .coherence.stamps import Seen
from .errors import ConfigError, KeyArgumentError
from .passing import past
from .snapshot import Snapshot
from .sqlite.place import running_loop
from .unit import current, joined
from .witnessing import carry_into_threads, refuse_writes, watch_by, witness

if TYPE_CHECKING:
    from .cache.admission import Account
    from .config import Settings
    from .database import Database
    from .engine import Engine

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("coeval")


#: Of calls that pass one in so many, less one, is timed: a power of two.
TIMED = 7


#: A single argument of these types is its own part of the key.
EXACT = PLAIN - {float}


class CacheInfo(NamedTuple):
    """What became of the calls of one function in this process."""

    hits: int
    misses: int  #: computed
    joined: int  #: shared another's computation
    stale: int  #: answered with an old value, as `stale_while_revalidate` allows
    unkept: int  #: computed, and not kept: the log says why


def decorated(db: Database, function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:
    """What `Database.cached` gives: the function with its answers kept, or a decorator where there is none yet."""
    named = named_of(options)

    def decorate(function: Callable[..., Any]) -> Any:
        if isinstance(function, staticmethod | classmethod):
            raise ConfigError(
                f"@cached stands above @{type(function).__name__}", hint=f"Write @{type(function).__name__} first."
            )
        if isinstance(function, type) or not callable(function):
            raise ConfigError(
                f"@cached takes a function, not {function!r}",
                hint="Give options by name, as in db.cached(ttl=60), and decorate the functions of a class one by one.",
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigError(
                f"{function.__qualname__} is a generator, whose results can be read once", hint="Return a list."
            )
        if gives_coroutine(function):
            from .aio.cached import CachedCoroutine

            return CachedCoroutine(function, db.aio, named)
        return CachedFunction(function, db, named)

    return decorate if function is None else decorate(function)


class Tracked:
    """A function with its options and the keys of its calls, whatever the face."""

    firm = may_pass = False
    _vary: tuple[Vary, ...] = ()

    def __init__(self, function: Callable[..., Any], named: Named, settings: Settings) -> None:
        """Raises KeyArgumentError."""
        self.function = function
        self.options = named.options
        self.name = name_of(function)
        self.tags: tuple[Scope, ...] = tag_scopes(named.options.tags)
        #: what `invalidate` gives another stamp; only that of an answer that may depend on more than this database
        self.own: Scope | None = function_scope(self.name) if named.options.tags or named.options.ttl < inf else None
        self.scopes = self.tags if self.own is None else tuple(sorted({*self.tags, self.own}))
        #: an answer that is not worth keeping is not kept: nothing in the options says that it is wanted all the same
        self.may_pass = not (
            named.options.tags or named.options.ttl < inf or named.options.stale or named.options.errors
        )
        self.counts = Counts()
        self.identity = identity_of(function, (settings.version, named))
        self._vary = named.vary
        self._key = named.key
        self._arguments = None if named.key else Arguments(function, self.identity, named.leave_out)
        #: the number of arguments of calls that are their own keys; -1: none are
        self.plain = -1 if self._arguments is None or named.vary else self._arguments.plain

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        """The key of a call. Raises KeyArgumentError, and TypeError where the call itself would."""
        if self._arguments is not None:
            key = self._arguments.key(args, kwargs)
        else:
            assert self._key is not None
            key = (self.identity, *chosen(self.name, "key", self._key(*args, **kwargs)))
        if self._vary:
            parts = tuple(one.get(None) if isinstance(one, ContextVar) else one() for one in self._vary)
            key = (self.identity, "vary", key[1:], *chosen(self.name, "vary", parts))
        return key

    def differs(self, key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call with the arguments as they are now, made here, has another key: they may have been changed since."""
        if not self._vary and PLAIN.issuperset(map(type, args)) and PLAIN.issuperset(map(type, kwargs.values())):
            return False
        try:
            return self.key(args, kwargs) != key
        except Exception:  # they make no key any more; or `vary` looks at what there is only in the caller's thread
            return True

    def tier(self, engine: Engine) -> Any:
        """Where its values are kept."""
        return engine.tier

    def info(self) -> CacheInfo:
        """The counts."""
        counts = self.counts
        return CacheInfo(counts.hits, counts.misses, counts.joined, counts.stale, counts.unkept)


def chosen(name: str, what: str, value: Any) -> tuple[Any, Any]:
    """What stands in a key for what the function ``what`` of the decorator gave. Raises KeyArgumentError."""
    try:
        return canonical(value)
    except NotCanonical as error:
        raise KeyArgumentError(
            f"What {what} gave for {name}, a {type(value).__qualname__}, {error}",
            hint="Give a number, a text, or a tuple of such.",
        ) from None


def at_hand(entry: KeptCall, stale: float) -> bool:
    """Whether an entry under the present mark can be given as it is. One that may be given when it is old has its time noted elsewhere."""
    alive = entry.expires == inf or time.monotonic() < entry.expires
    return alive and not stale and type(entry.rows) is not Raised


def forget(engine: Engine, tracked: Tracked, key: Key) -> None:
    """Forget what is kept under ``key``. Where no stamp says so to the calls around it, they are forgotten with all others."""
    if tracked.own is not None and not engine.stampable:
        engine.tier.clear()
    engine.tier.forget(key)


def timed(account: Account, asked: int, function: Callable[..., R], args: Any, kwargs: Any) -> R:
    """`past`, which ``account`` knows of while it runs, and afterwards how long one in some has taken. ``asked``: the hash of the key."""
    begun = 0.0 if account.left & TIMED else time.monotonic()
    try:
        account.running.add(asked)
        found = past(function, args, kwargs)
    finally:
        account.running.discard(asked)
    if begun:
        account.ran(time.monotonic() - begun)
    return found


class CachedFunction(Generic[P, R]):
    """What `Database.cached` makes of a function: it is called as before."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[P, R], db: Database, named: Named) -> None:
        functools.update_wrapper(self, function)
        self._db = db
        self._tracked = Tracked(function, named, db.settings)
        # A class of its own, so that a call finds all that a hit needs in its closure: half the time of a hit.
        kind = type(self)
        self.__class__ = type(
            kind.__name__, (kind,), {"__call__": staticmethod(self._in_place()), "__doc__": kind.__doc__}
        )
        carry_into_threads()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._answer(None, args, kwargs, answer)  # type: ignore[no-any-return]

    def _in_place(self) -> Callable[..., Any]:
        """`__call__`, with the hit path in place."""
        db, engine, tracked, counts = self._db, self._db._engine, self._tracked, self._tracked.counts
        identity, plain, key_of, stale = tracked.identity, tracked.plain, tracked.key, tracked.options.stale
        noise, otherwise, nothing = busy.get, self._answer, (identity,)
        function, name, may_pass = tracked.function, tracked.name, tracked.may_pass

        def cached(*args: Any, **kwargs: Any) -> Any:
            key: Any = None
            passing: tuple[Account, int] | None = None
            if not noise() or quiet():
                try:
                    entry: Any = None
                    if kwargs or len(args) != plain:
                        pass
                    elif plain == 1:
                        (value,) = args
                        kind = type(value)
                        entry = db._find(quick := (identity, value, kind))
                        if entry is None and kind in EXACT:
                            key = quick
                    elif not args:
                        entry = db._find(nothing)
                    elif plain == 2:
                        value, other = args
                        entry = db._find((identity, value, type(value), other, type(other)))
                    else:
                        entry = db._find((identity, args, tuple(map(type, args))))
                    if entry is None and key is None:
                        key = key_of(args, kwargs)
                        entry = db._find(key)
                    if entry is None:
                        if (
                            may_pass
                            and (account := db._passing(name)) is not None
                            and account.passes_alone(asked := hash(key))
                        ):
                            passing = account, asked
                    elif entry.mark == engine.now():
                        if entry.shared:
                            entry.hits += 1
                            counts.hits += 1
                            return entry.rows
                        if at_hand(entry, stale):
                            entry.hits += 1
                            counts.hits += 1
                            return given(entry.rows)
                    elif entry.shared and db._proved(entry):
                        counts.hits += 1
                        return entry.rows
                except (
                    TypeError,
                    ValueError,
                    Unkeepable,
                ):  # an argument without a hash; the clock is just being closed
                    pass
            if passing is not None:
                counts.misses += 1
                counts.unkept += 1
                return timed(*passing, function, args, kwargs)
            return otherwise(key, args, kwargs, answer)

        return cached

    def _answer(self, key: Key | None, args: Any, kwargs: Any, flow: Callable[[Shell], Any]) -> Any:
        engine = self._db._using()
        if engine.settings.cache is None and flow is answer:
            return self._tracked.function(*args, **kwargs)
        if key is None:
            key = self._tracked.key(args, kwargs)
        unit = joined(engine) if current.get() is not None else None
        call = _Call(self._tracked, engine, key, args, kwargs, unit if isinstance(unit, Snapshot) else None)
        if unit is not None and unit._computes:
            return () if flow is peek else call.within_transaction()
        return run(flow(call))

    def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute now, keep that, and give it."""
        return self._answer(None, args, kwargs, refresh)  # type: ignore[no-any-return]

    def peek(self, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """The kept value of such a call, if it is valid now; else None. Computes nothing."""
        found = self._answer(None, args, kwargs, peek)
        return found[0] if found else None

    def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the value of such a call; one under way is not kept.

        Where the function has a ``ttl`` or ``tags`` its answers may depend on more than this database: then no process gives an older
        answer from now on, or, in a transaction, from its commit on, and all calls of the function are computed anew. Any other
        function's answers are never older than the data, so nothing is written for it. Raises as `Database.invalidate`.
        """
        engine, tracked = self._db._using(), self._tracked
        key = tracked.key(args, kwargs)
        refuse_writes(f"{tracked.name}.invalidate")
        if tracked.own is not None and engine.stampable:
            self._db._restamp(f"{tracked.name}.invalidate", (tracked.own,))
        forget(engine, tracked, key)

    def cache_info(self) -> CacheInfo:
        """What became of the calls so far, in this process."""
        return self._tracked.info()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else BoundMethod(self, instance)

    def __reduce__(self) -> str:  # pickled by name, as a function is
        return getattr(self, "__qualname__", self._tracked.name)

    def __repr__(self) -> str:
        return f"<cached {self._tracked.name}>"


class _Call(Call):
    """A call in the calling thread."""

    async def invoke(self, mine: Witness) -> Any:
        token = None
        try:
            token = watch_by(mine)
            return self._tracked.function(*self._args, **self._kwargs)
        finally:  # an interrupt may have come before there was a token
            witness.reset(token) if token is not None else witness.set(mine.outer)

    async def pass_by(self) -> Any:
        return past(self._tracked.function, self._args, self._kwargs)

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        if self._snapshot is not None:
            return await self._snapshot._open().seen(scopes)
        return stamps_for(self.engine, lambda store: store.readers, scopes)

    async def wait(self, flight: Flight, seconds: float) -> Landed | None:
        if flight.loop is not None and flight.loop is running_loop():
            return None  # it is a task of this thread's own loop
        try:
            return flight.future.result(seconds)
        except FutureTimeoutError:
            return None

    def later(self) -> None:
        context, call = self.beside(_Call)
        self.engine.workers.chores.run(lambda: context.run(run, renew(call)))

    def hit(self, entry: KeptCall) -> None:
        auditor = self.engine.auditor
        if auditor is not None and auditor.due():
            from .auditor import Sample
            from .pinned import CallAgain

            context, call = self.beside(CallAgain)
            auditor.take(Sample(entry, auditor.state, call, context))

    def within_transaction(self) -> Any:
        """The function's own answer, in the unit around it, which keeps nothing; it must not write there either."""
        with self.joining() as mine:
            return run(self.invoke(mine))
