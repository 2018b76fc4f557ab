"""One phase of the measurement: a fresh copy of the data, the application over it, the load, and the reckoning.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import load
from .catalogue import Catalogue
from .checker import Checker, Recorded, Verdict
from .counters import total
from .load import Load, Plan
from .neighbour import Neighbour
from .server import APPLICATION, Server
from .truth import Timetable, Truth

__all__ = ["Phase", "measure"]

_COMPARED = 4
"""So many of the most popular questions of each kind are asked of the database at the end, in plain SQL."""

Progress = Callable[[Load, Verdict], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What one phase measured."""

    cache: bool
    load: Load
    verdict: Verdict
    counted: dict[str, Any]
    """The sum of what the workers counted; see ``counters.total``."""
    compared: int
    disagreements: list[str] = field(default_factory=list)
    """Questions that the checker's model and the database answer differently at the end: must be none."""

    @property
    def good(self) -> bool:
        """Nothing untrue, nothing missing, nothing failed, and the checker itself was right."""
        return self.verdict.good and not self.disagreements and not self.load.failures

    def percentile(self, share: float) -> float | None:
        """The latency in seconds that so many of the reads stayed within."""
        reads = sorted(self.load.reads)
        return reads[min(len(reads) - 1, int(share * len(reads)))] if reads else None


async def measure(
    original: Path,
    folder: Path,
    timetable: Timetable,
    plan: Plan,
    *,
    cache: bool,
    on_progress: Progress,
    application: str = APPLICATION,
) -> Phase:
    """Runs one phase in ``folder``, which is its own and empty. ``original`` is open nowhere, and stays as it is."""
    database = folder / "flights.db"
    async with Neighbour(original) as copier:
        await copier.copy(database)
    truth = Truth(timetable)
    checker = Checker(truth)
    catalogue = Catalogue(len(timetable.flights), random.Random(plan.seed))
    truth.prepare(catalogue.everything())
    async with Neighbour(database) as neighbour:
        async with Server(database, folder, cache=cache, workers=plan.workers, application=application) as server:
            measured = await load.run(
                server.url, plan, catalogue, checker, neighbour, lambda now: on_progress(now, checker.verdict)
            )
        counted = total(folder)
        rows = await neighbour.ask("SELECT id, flight_id, minutes, reported_by FROM delay_reports")
        verdict = checker.finish(Recorded(*row) for row in rows)
        compared = list(catalogue.leaders(_COMPARED))
        disagreements = [
            question.path
            for question in compared
            if await _answer(question.answer, neighbour) != truth.expected(question, truth.version)
        ]
    return Phase(
        cache=cache,
        load=measured,
        verdict=verdict,
        counted=counted,
        compared=len(compared),
        disagreements=disagreements,
    )


async def _answer(answer: Callable[..., bytes | None], neighbour: Neighbour) -> bytes | None:
    """The same SQL run by the other program: ``answer`` blocks, so it gets a thread and asks from there."""
    loop = asyncio.get_running_loop()

    def ask(sql: str, *parameters: object) -> list[list[Any]]:
        return asyncio.run_coroutine_threadsafe(neighbour.ask(sql, *parameters), loop).result()

    return await asyncio.to_thread(answer, ask)
