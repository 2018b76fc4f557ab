"""Real phases over real workers: the product has no stale answer, and the same checker finds those of a broken cache."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from coeval.demo import server
from coeval.demo.load import Plan
from coeval.demo.phase import Phase, measure
from demo.flights import timetable

from scale import scaled

TESTS = Path(__file__).resolve().parent.parent
PLAN = Plan(seconds=scaled(20, 2), requests=scaled(50_000, 3_000), write_share=0.1, foreign_every=40)


def run(small: Path, folder: Path, *, cache: bool, application: str = server.APPLICATION) -> Phase:
    """One phase over the small file."""
    folder.mkdir()
    return asyncio.run(
        measure(
            small,
            folder,
            timetable(small),
            PLAN,
            cache=cache,
            on_progress=lambda _load, _verdict: None,
            application=application,
        )
    )


@pytest.mark.parametrize("cache", [True, False])
def test_no_answer_is_stale_and_no_write_is_missing(small: Path, tmp_path: Path, cache: bool) -> None:
    """With the cache and without: every answer was true, every acknowledged write is in the file."""
    phase = run(small, tmp_path / "run", cache=cache)
    verdict = phase.verdict
    assert (0, 0, {}) == (verdict.stale, verdict.wrong, dict(phase.load.failures)), verdict.examples
    assert verdict.checked == len(phase.load.reads) > 50
    assert verdict.found == verdict.acknowledged == len(phase.load.writes) + phase.load.foreign
    assert phase.load.foreign > 0
    assert (20, []) == (phase.compared, phase.disagreements)
    assert phase.good
    counted = phase.counted
    assert (2, phase.load.requests) == (counted["workers"], counted["requests"])
    assert cache == (counted["database"]["hits"] + counted["database"]["revalidated"] > 0)
    assert cache == (counted["hit_rate"] is not None)


def test_the_checker_counts_the_stale_answers_of_a_broken_cache(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same load and the same checker over a cache that lives by the clock: it must see many."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    phase = run(small, tmp_path / "run", cache=False, application="demo.broken_cache:create")
    assert phase.verdict.stale > 0
    assert phase.verdict.examples
    assert not phase.good
    # The writes are not to blame, and neither is the model.
    assert phase.verdict.found == phase.verdict.acknowledged > 0
    assert [] == phase.disagreements
