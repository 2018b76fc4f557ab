"""The sides of `mixes.py`: a page and a report, with one cache or another around them, and three workers that ask for them."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from itertools import accumulate
from time import monotonic
from typing import Any

import _children

import coeval

SECONDS = 1.0
WORKERS = 3

#: Keys, and the slope of their popularity.
CURVES = {"web log": (1498, 1.10), "films": (1682, 0.77)}

FLIGHT = """
SELECT d.reports, d.minutes, f.month, f.day, f.carrier, f.number, f.origin, f.dest, a.name
FROM flights f JOIN delays d ON d.flight_id = ?1 JOIN airlines a ON a.carrier = f.carrier WHERE f.id = ?1
"""
ROUTE = """
SELECT carrier, count(*), count(arr_delay), sum(arr_delay > 15), sum(arr_delay) FROM flights
WHERE month = ? AND origin = ? AND dest = ? GROUP BY carrier ORDER BY carrier
"""
REPORT = "UPDATE delays SET reports = reports + 1, minutes = ? WHERE flight_id = ? RETURNING reports"

Page = tuple[Any, ...]


class Load:
    """Which flights are asked for and reported on, by popularity; what is known of each, and what was counted."""

    def __init__(self, db: coeval.Database, curve: str, share: float) -> None:
        count, slope = CURVES[curve]
        self.share = share
        self.flights = random.Random(1).sample(range(1, db.scalar("SELECT max(id) FROM flights") + 1), count)
        self.weights = list(accumulate(1 / rank**slope for rank in range(1, count + 1)))
        self.known = dict.fromkeys(self.flights, 0)  #: reports whose writes have returned
        self.computed = 0

    def plan(self, worker: int) -> list[tuple[int, bool]]:
        """What a worker does, over and over: a flight, and whether it is reported on."""
        chance = random.Random(worker)
        chosen = chance.choices(self.flights, cum_weights=self.weights, k=50_000)
        return [(flight, chance.random() < self.share) for flight in chosen]

    def reported(self, flight: int, number: int) -> None:
        """The write and what it invalidates have returned."""
        self.known[flight] = max(self.known[flight], number)


def blocking_page(db: coeval.Database, load: Load) -> Callable[[int], Page]:
    def page(flight: int) -> Page:
        load.computed += 1
        (found,) = db.query(FLIGHT, flight)
        route = db.query(ROUTE, found[2], found[6], found[7])
        return (*found, tuple(tuple(row) for row in route))

    return page


def async_page(db: coeval.Database, load: Load) -> Callable[[int], Any]:
    async def page(flight: int) -> Page:
        load.computed += 1
        (found,) = await db.aio.query(FLIGHT, flight)
        route = await db.aio.query(ROUTE, found[2], found[6], found[7])
        return (*found, tuple(tuple(row) for row in route))

    return page


def plain(page: Any) -> tuple[Any, Any]:
    return page, lambda _flight: None


def with_dogpile(page: Any) -> tuple[Any, Any]:
    from dogpile.cache import make_region

    cached: Any = make_region().configure("dogpile.cache.memory").cache_on_arguments()(page)
    return cached, cached.invalidate


def with_flask_caching(page: Any) -> tuple[Any, Any]:
    from flask import Flask
    from flask_caching import Cache

    app = Flask("mixes")
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 3600, "CACHE_THRESHOLD": 100_000})
    cached = cache.memoize()(page)

    def within(call: Callable[[int], Any]) -> Callable[[int], Any]:
        def called(flight: int) -> Any:
            with app.app_context():
                return call(flight)

        return called

    return within(cached), within(lambda flight: cache.delete_memoized(cached, flight))


def with_cashews(page: Any) -> tuple[Any, Any]:
    from cashews import Cache

    cache = Cache()
    cache.setup("mem://", size=100_000)
    return cache(ttl="1h", key="page:{flight}")(page), lambda flight: cache.delete(f"page:{flight}")


NONE, NONE_ASYNC = "no cache", "no cache, tasks"
QUERY, CACHED, NARROW = "Coeval: db.query", "Coeval: @db.cached", "Coeval: @db.cached, delays by flight"
CACHED_ASYNC = "Coeval: @db.cached, delays by flight, tasks"
DOGPILE, FLASK, CASHEWS = "dogpile.cache, memory", "Flask-Caching, SimpleCache", "cashews, memory, tasks"

#: Each side, and the one without a cache that it stands beside.
SIDES = {
    NONE: NONE, QUERY: NONE, CACHED: NONE, NARROW: NONE, DOGPILE: NONE, FLASK: NONE,
    NONE_ASYNC: NONE_ASYNC, CACHED_ASYNC: NONE_ASYNC, CASHEWS: NONE_ASYNC,
}  # fmt: skip
OURS = frozenset({QUERY, CACHED, NARROW, CACHED_ASYNC})
PEERS = (DOGPILE, FLASK, CASHEWS)
_WRAPPED = {DOGPILE: with_dogpile, FLASK: with_flask_caching, CASHEWS: with_cashews}


def work(side: str, path: str, curve: str, share: str) -> dict[str, int]:
    """Do so for `SECONDS`; what was counted."""
    cache = "memory" if side in OURS else None
    with coeval.open(path, cache=cache, durability="normal") as db:
        if side in {NARROW, CACHED_ASYNC}:
            db.track("delays", by=["flight_id"])
        load = Load(db, curve, float(share))
        if SIDES[side] == NONE_ASYNC:
            return asyncio.run(_tasks(db, load, side))
        page = blocking_page(db, load)
        read, forget = _WRAPPED.get(side, plain)(db.cached(page) if side in {CACHED, NARROW} else page)
        return _threads(db, load, read, forget, sees=side == QUERY)


def _threads(db: coeval.Database, load: Load, read: Any, forget: Any, *, sees: bool) -> dict[str, int]:
    counts: list[dict[str, int]] = []

    def worker(number: int) -> None:
        reads = writes = stale = 0
        plan = load.plan(number)
        ready.wait()
        end, step = begun[0] + SECONDS, 0
        while monotonic() < end:
            flight, writing = plan[step % len(plan)]
            step += 1
            if writing:
                found = db.execute(REPORT, step % 60, flight).rows[0][0]
                forget(flight)
                load.reported(flight, found)
                writes += 1
            else:
                known = load.known[flight]
                stale += read(flight)[0] < known
                reads += 1
        counts.append({"reads": reads, "writes": writes, "stale": stale})

    begun: list[float] = []
    ready = threading.Barrier(WORKERS, action=lambda: begun.append(_children.begin()))
    threads = [threading.Thread(target=worker, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = {name: sum(one[name] for one in counts) for name in counts[0]}
    if sees:  # a page is two reads there, and is made each time
        seen = db.stats()
        return {**total, "computed": total["reads"] * (seen.misses + seen.uncached) // max(1, 2 * total["reads"])}
    return {**total, "computed": load.computed}


async def _tasks(db: coeval.Database, load: Load, side: str) -> dict[str, int]:
    page = async_page(db, load)
    read, forget = _WRAPPED.get(side, plain)(db.cached(page) if side == CACHED_ASYNC else page)
    plans = [load.plan(number) for number in range(WORKERS)]
    end = _children.begin() + SECONDS

    async def worker(plan: list[tuple[int, bool]]) -> tuple[int, int, int]:
        reads = writes = stale = step = 0
        while monotonic() < end:
            flight, writing = plan[step % len(plan)]
            step += 1
            if writing:
                found = (await db.aio.execute(REPORT, step % 60, flight)).rows[0][0]
                done = forget(flight)
                if done is not None:
                    await done
                load.reported(flight, found)
                writes += 1
            else:
                known = load.known[flight]
                stale += (await read(flight))[0] < known
                reads += 1
            if not step % 16:
                await asyncio.sleep(0)
        return reads, writes, stale

    counts = await asyncio.gather(*map(worker, plans))
    reads, writes, stale = (sum(one) for one in zip(*counts, strict=True))
    return {"reads": reads, "writes": writes, "stale": stale, "computed": load.computed}
