"""Functions whose answers are kept: the decorator, and its blocking shell.

Ring: shell.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import ContextVar, copy_context
from math import inf
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar

from .blocking import run, seen_now
from .cache.arguments import Arguments
from .cache.entry import Entry
from .cache.flights import Flight, Landed
from .cache.key import Key
from .cache.private import given
from .cache.tracked import Counts, Options, Raised, Shell, answer, peek, refresh, renew
from .coherence.proof import Witness
from .coherence.scopes import TAGS, Scope, tag_scope
from .coherence.stamps import Mark, Seen
from .errors import ConfigError, ParameterError
from .snapshot import Snapshot
from .sqlite.place import running_loop
from .transaction import Transaction
from .unit import current, joined
from .witnessing import carry_into_threads, watched, witness

if TYPE_CHECKING:
    from .database import Database
    from .engine import Engine

P = ParamSpec("P")
R = TypeVar("R")

Negative = bool | type[Exception] | tuple[type[Exception], ...]
Vary = Callable[[], Any] | ContextVar[Any]


class CacheInfo(NamedTuple):
    """What became of the calls of one function in this process."""

    hits: int
    misses: int  #: computed
    joined: int  #: shared another's computation
    stale: int  #: answered with an old value, as `stale_while_revalidate` allows
    unkept: int  #: computed, and not kept: the log says why


class Named(NamedTuple):
    """What the decorator was told, checked."""

    options: Options
    key: Callable[..., Any] | None
    vary: tuple[Vary, ...]
    version: str
    leave_out: tuple[str | type, ...]


def checked(
    *,
    ttl: float | None = None,
    tags: str | Iterable[str] = (),
    stale_while_revalidate: float = 0,
    key: Callable[..., Any] | None = None,
    vary: Vary | Iterable[Vary] = (),
    negative: Negative = True,
    version: str = "",
    leave_out: Collection[str | type] = (),
) -> Named:
    """The parameters of the decorator; raises ConfigError for what they cannot be."""
    if ttl is not None and not (type(ttl) in (int, float) and ttl > 0):
        raise ConfigError(f"ttl is a number of seconds above 0, not {ttl!r}", hint="Leave it out for no limit.")
    if type(stale_while_revalidate) not in (int, float) or not 0 <= stale_while_revalidate < inf:
        raise ConfigError(
            f"stale_while_revalidate is a number of seconds, not {stale_while_revalidate!r}",
            hint="0, the default, serves nothing old.",
        )
    errors = negative if isinstance(negative, tuple) else () if isinstance(negative, bool) else (negative,)
    if not all(isinstance(one, type) and issubclass(one, Exception) for one in errors):
        raise ConfigError(f"negative is True, or the exceptions to keep, not {negative!r}", hint="negative=LookupError")
    varies = (vary,) if callable(vary) or isinstance(vary, ContextVar) else tuple(vary)
    if key is not None and not callable(key):
        raise ConfigError(f"key is a function of the arguments, not {key!r}", hint="key=lambda user: user.id")
    options = Options(
        inf if ttl is None else float(ttl),
        tag_names(tags),
        float(stale_while_revalidate),
        negative is not False,
        errors,
    )
    return Named(options, key, varies, version, tuple(leave_out))


def tag_names(tags: str | Iterable[str]) -> tuple[str, ...]:
    """Tags as given, one or several; raises ParameterError for what is no text."""
    names = (tags,) if isinstance(tags, str) else tuple(tags)
    for one in names:
        if not isinstance(one, str) or not one:
            raise ParameterError(f"A tag is a text, not {one!r}", hint='tags=["orders"]')
    return names


def decorated(db: Database, function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:
    """What `Database.cached` gives: the function with its answers kept, or a decorator where there is none yet."""
    named = checked(**options)

    def decorate(function: Callable[..., Any]) -> Any:
        if isinstance(function, staticmethod | classmethod):
            raise ConfigError(
                f"@cached stands above @{type(function).__name__}", hint=f"Write @{type(function).__name__} first."
            )
        if not callable(function):
            raise ConfigError(f"@cached takes a function, not {function!r}", hint="Options are given by name.")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigError(
                f"{function.__qualname__} is a generator, whose results can be read once", hint="Return a list."
            )
        if inspect.iscoroutinefunction(function):
            from .aio.cached import CachedCoroutine

            return CachedCoroutine(function, db.aio, named)
        return CachedFunction(function, db, named)

    return decorate if function is None else decorate(function)


class Tracked:
    """A function with its options and the keys of its calls, whatever the face."""

    def __init__(self, function: Callable[..., Any], named: Named) -> None:
        """Raises KeyArgumentError."""
        self.function = function
        self.options = named.options
        self.scopes: tuple[Scope, ...] = tuple(sorted({tag_scope(tag) for tag in named.options.tags}))
        self.counts = Counts()
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._vary = named.vary
        self._key = named.key
        name = ("call", self.name, named.version)
        self._arguments = Arguments(named.key or function, name, () if named.key else named.leave_out)
        self._chosen = Arguments(_chosen, name, ())

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        """The key of a call. Raises KeyArgumentError, and TypeError where the call itself would."""
        if self._key is not None:
            key = self._chosen.key((self._key(*args, **kwargs),), {})
        else:
            key = self._arguments.key(args, kwargs)
        if self._vary:
            parts = tuple(one.get(None) if isinstance(one, ContextVar) else one() for one in self._vary)
            key = (*key, self._chosen.key((parts,), {})[1:])
        return key

    def info(self) -> CacheInfo:
        """The counts."""
        counts = self.counts
        return CacheInfo(counts.hits, counts.misses, counts.joined, counts.stale, counts.unkept)


def _chosen(value: Any) -> Any:
    """For the key of what `key` and `vary` give."""


class CachedFunction(Generic[P, R]):
    """What `Database.cached` makes of a function: it is called as before."""

    def __init__(self, function: Callable[P, R], db: Database, named: Named) -> None:
        functools.update_wrapper(self, function)
        self._tracked = Tracked(function, named)
        self._db = db
        carry_into_threads()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        db, tracked = self._db, self._tracked
        engine = db._using()
        if engine.settings.cache is None:
            return tracked.function(*args, **kwargs)  # type: ignore[no-any-return]
        key = tracked.key(args, kwargs)
        if current.get() is None and witness.get() is None:
            entry: Any = engine.find(key)
            if entry is not None and entry.mark is not None:
                try:
                    if entry.mark == engine.now() and (entry.expires == inf or time.monotonic() < entry.expires):
                        entry.hits += 1
                        tracked.counts.hits += 1
                        if not tracked.options.stale and type(entry.rows) is not Raised:
                            return given(entry.rows)  # type: ignore[no-any-return]
                except ValueError:  # the clock is just being closed
                    pass
        return self._answer(key, args, kwargs, answer)  # type: ignore[no-any-return]

    def _answer(self, key: Key, args: Any, kwargs: Any, flow: Callable[[Shell], Any]) -> Any:
        engine = self._db._using()
        unit = joined(engine) if current.get() is not None else None
        call = _Call(self._tracked, engine, key, args, kwargs, unit if isinstance(unit, Snapshot) else None)
        if isinstance(unit, Transaction):
            return call.within_transaction()
        return run(flow(call))

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute now, keep that, and give it."""
        return self._answer(self._tracked.key(args, kwargs), args, kwargs, refresh)  # type: ignore[no-any-return]

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """The kept value of such a call, if it is valid now; else None. Computes nothing."""
        found = self._answer(self._tracked.key(args, kwargs), args, kwargs, peek)
        return found[0] if found else None

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the value of such a call in this process; one under way is not kept."""
        self._db._engine.tier.forget(self._tracked.key(args, kwargs))

    def cache_info(self) -> CacheInfo:
        """What became of the calls so far, in this process."""
        return self._tracked.info()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else BoundMethod(self, instance)


class BoundMethod:
    """A cached method of an instance, which is the first argument, and part of the key."""

    def __init__(self, cached: Any, instance: Any) -> None:
        self.__self__ = instance
        self.__func__ = cached

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """As of the function."""
        return self.__func__.refresh(self.__self__, *args, **kwargs)

    def peek(self, *args: Any, **kwargs: Any) -> Any:
        """As of the function."""
        return self.__func__.peek(self.__self__, *args, **kwargs)

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """As of the function."""
        return self.__func__.invalidate(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)


class Face:
    """What blocking and asyncio calls have in common."""

    def __init__(
        self, tracked: Tracked, engine: Engine, key: Key, args: Any, kwargs: Any, snapshot: Snapshot | None
    ) -> None:
        self.key = key
        self.outer: Witness | None = watched()
        self.options = tracked.options
        self.scopes = tracked.scopes
        self.counts = tracked.counts
        self.flights = engine.flights
        self.tier = engine.tier
        self.engine = engine
        self.name = tracked.name
        self.alone = snapshot is not None
        self.loop = running_loop()
        self._tracked = tracked
        self._args = args
        self._kwargs = kwargs
        self._snapshot = snapshot

    def now(self) -> Mark:
        """The commit clock."""
        return self.engine.using(lambda store: store.mark())

    def time(self) -> float:
        """time.monotonic()."""
        return time.monotonic()

    def lost(self, entry: Entry, seen: Seen) -> None:
        """Count the work that it took."""
        self.engine.losses.lost(entry, seen)


class _Call(Face):
    """A call in the calling thread."""

    async def invoke(self, mine: Witness) -> Any:
        token = witness.set(mine)
        try:
            return self._tracked.function(*self._args, **self._kwargs)
        finally:
            witness.reset(token)

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        if self._snapshot is not None:
            return await self._snapshot._open().seen(scopes)
        if scopes and scopes[0] <= TAGS:
            self.engine.make_tags()
        return self.engine.using(lambda store: seen_now(store, store.readers, scopes))

    async def wait(self, flight: Flight, seconds: float) -> Landed | None:
        if flight.loop is not None and flight.loop is running_loop():
            return None  # it is a task of this thread's own loop
        try:
            return flight.future.result(seconds)
        except FutureTimeoutError:
            return None

    def later(self) -> None:
        context = copy_context()
        context.run(current.set, None)
        context.run(witness.set, None)
        call = context.run(_Call, self._tracked, self.engine, self.key, self._args, self._kwargs, None)
        self.engine.workers.chores.run(lambda: context.run(run, renew(call)))

    def within_transaction(self) -> Any:
        """The function's own answer, in the transaction around it; it must not write there either."""
        mine = Witness(self.engine, self.outer)
        try:
            return run(self.invoke(mine))
        finally:
            mine.close()
