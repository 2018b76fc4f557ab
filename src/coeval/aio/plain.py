"""Plain values for asyncio.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..around import busy, quiet
from ..cache.options import Options, checked
from ..cache.plain import plain_key, plain_scope
from ..cache.tracked import answer, peek
from ..plain import Draft, Load, at_hand, end, look_within, no_make, noted, nothing, taken, writing_unit
from ..snapshot import Snapshot
from ..transaction import Transaction
from ..unit import current, joined
from ..witnessing import carry_into_threads
from .cached import _Call
from .database import HITS
from .jobs import in_worker
from .lanes import lane_of

if TYPE_CHECKING:
    from ..cache.key import Key
    from ..engine import Engine
    from ..unit import Unit
    from .direct import AsyncDirectWrites

T = TypeVar("T")


class AsyncPlainValues:
    """Values that do not come from SQL, by key: the calls of `PlainValues`, awaited."""

    def __init__(self, db: AsyncDirectWrites) -> None:
        """Use `AsyncDatabase.cache`."""
        self._db = db

    async def get(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``, or ``default``, as `PlainValues.get`."""
        engine = await self._db._opened()
        name = plain_key(key)
        if not busy.get() or quiet():
            entry: Any = engine.tier.find(name)
            if entry is None:
                return default
            if at_hand(engine, entry):
                if not entry.hits & HITS:  # the loop has its turn
                    await asyncio.sleep(0)
                if found := taken(engine, entry):
                    return found[0]
        found = await self._look(engine, name)
        return found[0] if found else default

    async def set(self, key: Any, value: Any, *, ttl: float | None = None, tags: str | Iterable[str] = ()) -> None:
        """Make ``value`` that of ``key``, as `PlainValues.set`. Cancelled when it has begun, the old value is ended all the same."""
        engine = await self._db._opened()
        draft = Draft(engine, key, value, ttl, tags)
        unit = writing_unit(engine, "db.cache.set")
        one = await self._db._settle(engine, "db.cache.set", draft.stamp if unit is None else draft.hold)
        if unit is None:
            draft.keep(one)

    @overload
    async def get_or_set(
        self,
        key: Any,
        make: Callable[[], Awaitable[T]],
        *,
        ttl: float | None = None,
        tags: str | Iterable[str] = (),
        stale_while_revalidate: float = 0,
    ) -> T: ...
    @overload
    async def get_or_set(
        self,
        key: Any,
        make: Callable[[], T],
        *,
        ttl: float | None = None,
        tags: str | Iterable[str] = (),
        stale_while_revalidate: float = 0,
    ) -> T: ...
    async def get_or_set(
        self,
        key: Any,
        make: Callable[[], Any],
        *,
        ttl: float | None = None,
        tags: str | Iterable[str] = (),
        stale_while_revalidate: float = 0,
    ) -> Any:
        """The value of ``key``, or what ``make`` gives, as `PlainValues.get_or_set`.

        ``make`` may be a coroutine function, which runs in the calling task, or a function, which runs in a worker.
        """
        engine = await self._db._opened()
        name = plain_key(key)
        entry: Any = engine.tier.find(name)
        if (not busy.get() or quiet()) and at_hand(engine, entry):
            if not entry.hits & HITS:
                await asyncio.sleep(0)
            if kept := taken(engine, entry):
                return kept[0]
        if not callable(make):
            raise no_make(make, "get_or_set(key, lambda: ...)")
        options = checked(ttl=ttl, tags=tags, stale_while_revalidate=stale_while_revalidate).options
        unit = joined(engine) if current.get() is not None else None

        async def made() -> Any:
            if inspect.iscoroutinefunction(make):
                return await make()
            work = in_worker(engine.workers.chores, lambda _: make()) if unit is None else lane_of(unit).join(make)
            result = await work
            return await result if inspect.isawaitable(result) else result

        if engine.settings.cache is None:
            return await made()
        carry_into_threads()
        load = Load(engine, name, made, options)
        if isinstance(unit, Transaction):
            found = await lane_of(unit).call(lambda: look_within(unit, engine, name))
            return found[0] if found else await call(load, engine, name).within_transaction()
        return await answer(call(load, engine, name, unit))

    async def delete(self, key: Any) -> None:
        """From now on ``key`` has no value, in any process, as `PlainValues.delete`."""
        engine = await self._db._opened()
        name = plain_key(key)
        engine.check_tags()
        unit = writing_unit(engine, "db.cache.delete")
        number = await self._db._settle(engine, "db.cache.delete", lambda own: end(own, engine, name))
        if unit is None:
            engine.sets.end(name, plain_scope(name), number, engine.tier)

    async def _look(self, engine: Engine, name: Key) -> tuple[Any, ...]:
        if engine.settings.cache is None:
            return ()
        unit = joined(engine) if current.get() is not None else None
        if isinstance(unit, Transaction):
            return await lane_of(unit).call(lambda: look_within(unit, engine, name))
        look = call(Load(engine, name, nothing, Options()), engine, name, unit)
        return noted(look, await peek(look))


def call(load: Load, engine: Engine, key: Key, unit: Unit | None = None) -> Any:
    """The tracked call, in the snapshot ``unit`` where that is one."""
    return _Call(load, engine, key, (), {}, unit if isinstance(unit, Snapshot) else None)
