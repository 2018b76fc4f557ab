"""Which statements run on a loop's thread."""

from __future__ import annotations

import pytest

from coeval.pace import BUDGET, MOST_OWED, OWED, Pace, Stretch, stretch

BUILTIN = frozenset("count replace hex zeroblob printf json_extract like max abs group_concat".split())


@pytest.mark.parametrize(
    ("expected", "opcodes", "functions"),
    [
        (Stretch.NONE, {"OpenRead", "SeekRowid", "ResultRow"}, set()),
        (Stretch.NONE, {"AggStep", "AggFinal"}, {"max", "abs"}),
        (Stretch.SOME, {"OpenRead", "Count"}, set()),
        (Stretch.SOME, {"SorterOpen", "SorterSort"}, set()),
        (Stretch.SOME, {"VOpen", "VFilter", "VNext"}, set()),
        (Stretch.SOME, {"Function"}, {"json_extract"}),
        (Stretch.SOME, {"Function"}, {"like"}),
        (Stretch.SOME, {"Function"}, {"hex", "abs"}),
        (Stretch.ANY, {"Function"}, {"hex", "zeroblob"}),
        (Stretch.ANY, {"Function"}, {"replace"}),
        (Stretch.ANY, {"Function"}, {"mine"}),
    ],
)
def test_the_program_tells_how_long_a_step_may_be(expected: Stretch, opcodes: set[str], functions: set[str]):
    """By its opcodes, and by the functions that it calls; a user's may do anything."""
    assert stretch(opcodes, functions, BUILTIN) is expected


def test_short_steps_run_on_the_loop_at_once():
    """A budget bounds them."""
    pace = Pace()
    pace.learn("a", 2, Stretch.NONE)
    assert pace.brief == {"a": 2}


def test_long_steps_have_to_be_quick_first():
    """As often as they owe; one slow run and they owe all again."""
    pace = Pace()
    pace.learn("a", 1, Stretch.SOME)
    for _ in range(OWED - 1):
        pace.ran("a", 0.0)
    pace.ran("a", BUDGET)
    for _ in range(OWED - 1):
        assert "a" not in pace.brief
        pace.ran("a", 0.0)
    pace.ran("a", 0.0)
    assert pace.brief == {"a": 1}


def test_any_time_never_runs_on_the_loop():
    """However quick it was, and also after it was called slow."""
    pace = Pace()
    pace.learn("a", 1, Stretch.ANY)
    pace.slow("a", stopped=True)
    for _ in range(1000):
        pace.ran("a", 0.0)
    assert pace.brief == {}


def test_every_relapse_costs_more():
    """A statement that is slow now and then comes back more and more rarely, and not more rarely than the most."""
    pace = Pace()
    pace.learn("a", 0, Stretch.NONE)
    owed = []
    for _ in range(8):
        pace.slow("a", stopped=True)
        count = 0
        while "a" not in pace.brief:
            pace.ran("a", 0.0)
            count += 1
        owed.append(count)
    assert owed[:3] == [OWED, 2 * OWED, 4 * OWED]
    assert owed[-1] == MOST_OWED


def test_a_delay_that_was_not_its_own_costs_one_run():
    """Where it was not stopped and has no long steps, one quick run in a worker clears it, however often that happens."""
    pace = Pace()
    pace.learn("a", 0, Stretch.NONE)
    pace.learn("b", 0, Stretch.SOME)
    for _ in range(OWED):
        pace.ran("b", 0.0)
    for _ in range(10):
        pace.slow("a", stopped=False)
        assert pace.brief == {"b": 0}
        pace.ran("a", BUDGET)
        for _ in range(OWED - 1):
            pace.ran("a", 0.0)
            assert "a" not in pace.brief
        pace.ran("a", 0.0)
        pace.slow("a", stopped=False)
        pace.ran("a", 0.0)
        assert pace.brief == {"a": 0, "b": 0}
    pace.slow("b", stopped=False)
    pace.ran("b", 0.0)
    assert pace.brief == {"a": 0}


def test_another_program_begins_anew():
    """After a change of the schema a statement may open, and call, something else."""
    pace = Pace()
    pace.learn("a", 0, Stretch.NONE)
    pace.learn("a", 0, Stretch.ANY)
    assert pace.brief == {}
    pace.learn("a", 0, Stretch.ANY)
    pace.learn("a", 0, Stretch.NONE)
    assert pace.brief == {"a": 0}


def test_slow_in_a_worker_leaves_the_loop():
    """One that may run on the loop, and took long where a worker ran it for want of a reader."""
    pace = Pace()
    pace.learn("a", 0, Stretch.NONE)
    pace.ran("a", 2 * BUDGET)
    assert pace.brief == {}


def test_forgetting():
    """One, or all."""
    pace = Pace()
    for name in "abc":
        pace.learn(name, 0, Stretch.NONE)
    pace.forget("a")
    assert set(pace.brief) == {"b", "c"}
    pace.clear()
    assert pace.brief == {}
