"""The load: visitors with a connection each, who read what is popular and now and then record a delay; and a program
beside them that writes to the same file without knowing of Coeval.

Bounded twice, by seconds and by requests. Every answer goes to the checker, and nothing is asked of any other machine.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from .catalogue import Catalogue
from .checker import Checker
from .neighbour import Neighbour, NeighbourError
from .questions import Question

__all__ = ["Load", "Plan", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is asked, and by whom."""

    seconds: float
    requests: int = 100_000
    visitors: int = 8
    workers: int = 2
    write_share: float = 0.03
    foreign_every: int = 250
    """The other program writes once in so many requests."""
    seed: int = 2013


@dataclass(slots=True)
class Load:
    """What was measured: seconds from sending a request to having its whole answer."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    foreign: int = 0
    elapsed: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """Requests answered."""
        return len(self.reads) + len(self.writes)


async def run(
    url: str,
    plan: Plan,
    catalogue: Catalogue,
    checker: Checker,
    neighbour: Neighbour,
    on_progress: Callable[[Load], None],
) -> Load:
    """Runs the load to its end; what had been asked by then has been answered."""
    load = Load()
    async with asyncio.TaskGroup() as opening:
        tasks = [opening.create_task(_connect(url)) for _ in range(plan.visitors)]
    visitors = await _balanced(url, [task.result() for task in tasks], plan.workers)
    begin = time.perf_counter()
    end = begin + plan.seconds
    try:
        async with asyncio.TaskGroup() as group:
            everybody = [
                group.create_task(_visit(session, number, plan, end, catalogue, checker, load))
                for number, (session, _) in enumerate(visitors)
            ]
            over = asyncio.Event()
            group.create_task(_write_beside(plan, over, catalogue, checker, neighbour, load))
            while not all(task.done() for task in everybody):
                await asyncio.wait(everybody, timeout=0.2)
                load.elapsed = time.perf_counter() - begin
                on_progress(load)
            load.elapsed = time.perf_counter() - begin
            over.set()
    finally:
        for session, _ in visitors:
            await session.close()
    return load


async def _visit(
    session: aiohttp.ClientSession,
    number: int,
    plan: Plan,
    end: float,
    catalogue: Catalogue,
    checker: Checker,
    load: Load,
) -> None:
    chance = random.Random(f"{plan.seed}-{number}")
    while time.perf_counter() < end and load.requests + load.failures.total() < plan.requests:
        writes = chance.random() < plan.write_share
        begin = time.perf_counter()
        try:
            if writes:
                await _record(session, *catalogue.draw_report(chance), checker)
            else:
                await _read(session, catalogue.draw(chance), checker)
        except (aiohttp.ClientError, TimeoutError) as error:
            load.failures[f"{type(error).__name__}: {error}"] += 1
            await asyncio.sleep(0.05)
        else:
            (load.writes if writes else load.reads).append(time.perf_counter() - begin)


async def _read(session: aiohttp.ClientSession, question: Question, checker: Checker) -> None:
    lowest = checker.read_started()
    async with session.get(question.path) as response:
        body = await response.read()
        response.raise_for_status()
    checker.read_ended(question, body, lowest)


async def _record(session: aiohttp.ClientSession, flight: int, minutes: int, checker: Checker) -> None:
    by = f"visitor {time.monotonic_ns()}"
    ticket = checker.write_started(by)
    try:
        async with session.post(
            "/api/delays", json={"flight_id": flight, "minutes": minutes, "reported_by": by}
        ) as response:
            response.raise_for_status()
            number = (await response.json())["id"]
    except BaseException:
        checker.write_lost(ticket)
        raise
    checker.write_acknowledged(ticket, number, flight, minutes)


async def _write_beside(
    plan: Plan, over: asyncio.Event, catalogue: Catalogue, checker: Checker, neighbour: Neighbour, load: Load
) -> None:
    """Writes by the other program, one at a time, until the visitors have gone."""
    chance = random.Random(f"{plan.seed}-beside")
    while not over.is_set():
        flight, minutes = catalogue.draw_report(chance)
        by = f"another program {time.monotonic_ns()}"
        ticket = checker.write_started(by)
        try:
            number = await neighbour.write(flight, minutes, by)
        except BaseException as error:
            checker.write_lost(ticket)
            if not isinstance(error, NeighbourError):
                raise
            load.failures[error.message] += 1
        else:
            checker.write_acknowledged(ticket, number, flight, minutes)
            load.foreign += 1
        following = load.requests + round(plan.foreign_every * chance.uniform(0.5, 1.5))
        while load.requests < following and not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.02)


_Visitor = tuple[aiohttp.ClientSession, str]


async def _connect(url: str) -> _Visitor:
    """A visitor with one connection that stays open, and the worker at its other end."""
    session = aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=1),
        timeout=aiohttp.ClientTimeout(total=60),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            async with session.get("/health") as response:
                response.raise_for_status()
                await response.read()
                return session, response.headers["X-Worker"]
        except aiohttp.ClientError:
            if time.monotonic() > deadline:
                await session.close()
                raise
            await asyncio.sleep(0.1)


async def _balanced(url: str, visitors: list[_Visitor], workers: int) -> list[_Visitor]:
    """The same visitors spread evenly over the workers.

    Which worker takes a connection is up to the kernel, and a connection stays where it is: 12 visitors at one worker
    and 4 at the other would measure luck, and a worker that is still starting has none. Those above the even share
    hang up and call again, for a bounded time.
    """
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        count = Counter(worker for _, worker in visitors)
        share = -(-len(visitors) // workers)
        crowded = {worker for worker, number in count.items() if number > share}
        if not crowded:
            break
        position = next(i for i, (_, worker) in enumerate(visitors) if worker in crowded)
        await visitors[position][0].close()
        await asyncio.sleep(0.01)
        visitors[position] = await _connect(url)
    return visitors
