"""Coroutine functions whose answers are kept: the asyncio shell of the decorator.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from ..around import busy, quiet
from ..blocking import run, stamps_for
from ..bound import BoundMethod
from ..cache.flights import Flight, Landed
from ..cache.kept_call import KeptCall
from ..cache.key import Key
from ..cache.options import Named, Negative, Vary, gives_coroutine, named_of
from ..cache.private import Unkeepable, given
from ..cache.tracked import Shell, answer, peek, refresh, renew
from ..cached import CacheInfo, Tracked, at_hand, forget
from ..call import Call
from ..coherence.proof import Witness
from ..coherence.scopes import Scope
from ..coherence.stamps import Seen
from ..errors import ConfigError
from ..passing import past_awaited
from ..snapshot import Snapshot
from ..unit import current, joined
from ..witnessing import carry_into_threads, refuse_writes, watch_by, witness
from .jobs import Held, Job, in_worker, settled
from .lanes import lane_of

if TYPE_CHECKING:
    from ..engine import Engine
    from .database import AsyncDatabase

P = ParamSpec("P")
R = TypeVar("R")

#: Hits of one entry between two turns that the loop is given: a power of two, less one.
HITS = 1023


class CachedCoroutine(Generic[P, R]):
    """What `cached` makes of a coroutine function: it is awaited as before."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[P, Awaitable[R]], db: AsyncDatabase, named: Named) -> None:
        functools.update_wrapper(self, function)
        if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
            inspect.markcoroutinefunction(self)
        else:  # what asyncio.iscoroutinefunction looks at, also in a bound method; frameworks ask it
            self._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
        self._db = db
        self._tracked = Tracked(function, named, db.settings)
        self._counts = self._tracked.counts
        self._identity = self._tracked.identity
        self._plain = self._tracked.plain
        carry_into_threads()

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        key: Any = None
        engine = self._db._engine
        if engine is not None and (not busy.get() or quiet()):
            try:
                entry: Any = None
                if kwargs or len(args) != self._plain:
                    pass
                elif self._plain == 1:
                    value = args[0]
                    entry = self._db._find((self._identity, value, type(value)))
                elif self._plain == 2:
                    value, other = args
                    entry = self._db._find((self._identity, value, type(value), other, type(other)))
                elif args:
                    entry = self._db._find((self._identity, args, tuple(map(type, args))))
                if entry is None:
                    key = self._tracked.key(args, kwargs)
                    entry = self._db._find(key)
                if (
                    entry is not None
                    and entry.mark == engine.now()
                    and (entry.shared or at_hand(entry, self._tracked.options.stale))
                ):
                    entry.hits += 1
                    self._counts.hits += 1
                    if not entry.hits & HITS:
                        await asyncio.sleep(0)  # others of the loop have their turn
                    return entry.rows if entry.shared else given(entry.rows)  # type: ignore[no-any-return]
            except (TypeError, ValueError, Unkeepable):  # an argument without a hash; the clock is just being closed
                pass
        return await self._answer(key, args, kwargs, answer)  # type: ignore[no-any-return]

    async def _answer(self, key: Key | None, args: Any, kwargs: Any, flow: Callable[[Shell], Awaitable[Any]]) -> Any:
        engine = await self._db._opened()
        if engine.settings.cache is None and flow is answer:
            return await self._tracked.function(*args, **kwargs)
        if key is None:
            key = self._tracked.key(args, kwargs)
        unit = joined(engine) if current.get() is not None else None
        call = _Call(self._tracked, engine, key, args, kwargs, unit if isinstance(unit, Snapshot) else None)
        if unit is not None and unit._computes:
            return () if flow is peek else await call.within_transaction()
        return await flow(call)

    async def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute now, keep that, and give it."""
        return await self._answer(None, args, kwargs, refresh)  # type: ignore[no-any-return]

    async def peek(self, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """The kept value of such a call, if it is valid now; else None. Computes nothing."""
        found = await self._answer(None, args, kwargs, peek)
        return found[0] if found else None

    async def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the value of such a call, as `CachedFunction.invalidate`."""
        tracked = self._tracked
        key = tracked.key(args, kwargs)
        refuse_writes(f"{tracked.name}.invalidate")
        engine = await self._db._opened()
        if tracked.own is not None and engine.stampable:
            await self._db._restamp(f"{tracked.name}.invalidate", (tracked.own,))
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


class AsyncCaching:
    """The decorator, of an asyncio face."""

    @overload
    def cached(self, function: Callable[P, Awaitable[R]], /) -> CachedCoroutine[P, R]: ...
    @overload
    def cached(
        self,
        /,
        *,
        ttl: float | None = None,
        tags: str | Iterable[str] = (),
        stale_while_revalidate: float = 0,
        key: Callable[..., Any] | None = None,
        vary: Vary | Iterable[Vary] = (),
        negative: Negative = True,
        version: str = "",
        leave_out: Collection[str | type] = (),
    ) -> Callable[[Callable[P, Awaitable[R]]], CachedCoroutine[P, R]]: ...
    def cached(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Keep what a coroutine function returns, as `Database.cached`; also before the database is open, at module level."""
        named = named_of(options)

        def decorate(function: Callable[..., Any]) -> Any:
            if not gives_coroutine(function):
                raise ConfigError(
                    f"{getattr(function, '__qualname__', function)!s} is no coroutine function",
                    hint="Use `async def`, or `@db.cached` of a database that coeval.open made; its `db.aio` is for asyncio.",
                )
            return CachedCoroutine(function, self, named)  # type: ignore[arg-type]

        return decorate if function is None else decorate(function)


#: Recomputations beside their callers; a loop alone would let go of them.
_beside: set[asyncio.Task[None]] = set()


class _Call(Call):
    """A call in a task."""

    engine: Engine

    async def invoke(self, mine: Witness) -> Any:
        token = None
        try:
            token = watch_by(mine)
            return await self._tracked.function(*self._args, **self._kwargs)
        finally:  # an interrupt may have come before there was a token
            witness.reset(token) if token is not None else witness.set(mine.outer)

    async def pass_by(self) -> Any:
        return await past_awaited(self._tracked.function, self._args, self._kwargs)

    async def seen(self, scopes: tuple[Scope, ...] | None) -> Seen:
        engine, snapshot = self.engine, self._snapshot
        if snapshot is not None:
            return await lane_of(snapshot).call(lambda: run(snapshot._open().seen(scopes)))

        def look(job: Job) -> Seen:
            return stamps_for(engine, lambda store: Held(store.readers, job), scopes)

        return await in_worker(engine.workers.held, look)

    async def wait(self, flight: Flight, seconds: float) -> Landed | None:
        ear: Future[Landed] = Future()  # of this caller alone: what becomes of it is nobody else's business

        def tell(future: Future[Landed]) -> None:
            if ear.set_running_or_notify_cancel():
                ear.set_result(future.result())

        flight.future.add_done_callback(tell)
        try:
            return await settled(ear, seconds, TimeoutError)
        except TimeoutError:
            return None

    def later(self) -> None:
        context, call = self.beside(_Call)
        task = context.run(asyncio.get_running_loop().create_task, renew(call))
        _beside.add(task)
        task.add_done_callback(_beside.discard)

    def hit(self, entry: KeptCall) -> None:
        auditor = self.engine.auditor
        if auditor is not None and auditor.due():
            from ..auditor import Sample
            from .auditing import AwaitAgain, take

            context, call = self.beside(AwaitAgain)
            take(auditor, Sample(entry, auditor.state, call, context))

    async def within_transaction(self) -> Any:
        """The function's own answer, in the unit around it, which keeps nothing; it must not write there either."""
        with self.joining() as mine:
            return await self.invoke(mine)
