"""The torture, scaled: every answer of every cache was true at some moment of its call, and the naive caches are caught."""

from __future__ import annotations

import pytest

from torture.report import show
from torture.roles import ATTACKED
from torture.run import Run, uncaught
from torture.world import NAIVE

#: Kinds that a database without plain values, or a run that is short, does not come to.
_LATER = {"value with a tag", "value of a query", "task: value of a query", "audited in the background"}


def unread(kinds):
    """The kinds of read that nobody has made yet."""
    return {kind for kind, counts in kinds.items() if kind not in NAIVE and not counts[0]} - _LATER


def test_no_answer_is_ever_untrue(tmp_path, scaled):
    """Under writers of every sort, DDL, VACUUM, restores and kill -9; each kind of read was made."""
    run = Run(tmp_path, seed=1)
    found = run.attack(ATTACKED, scaled(600, 6), every=2.0, enough=lambda kinds: not unread(kinds))
    assert 0 == show(found, None, 1), (found.died, found.violations)
    assert found.commits > 20
    assert run.kills > 0
    assert set() == unread(found.kinds)


def test_the_naive_caches_are_caught(tmp_path, scaled):
    """Each of them, in the same harness and by the same judge."""
    found = Run(tmp_path, seed=2).attack(NAIVE, scaled(30, 2), enough=lambda kinds: not uncaught(kinds))
    assert [] == found.died
    assert set() == uncaught(found.kinds)
    assert {"stale", "missing"} >= {one["wrong"] for one in found.violations}


def test_a_violation_fails_the_run(tmp_path, capsys):
    """It is told with all evidence, and with an exit code."""
    found = Run(tmp_path, seed=3).attack((), 0.0)
    assert 0 == show(found, None, 3)
    found.kinds["one"] = (1, 0, 0, 1)
    found.violations.append({"wrong": "stale", "kind": "one", "known before": 6, "version": 4})
    assert 1 == show(found, None, 3)
    said = capsys.readouterr().out
    assert '"known before": 6' in said
    found.kinds["one"] = (1, 0, 0, 0)
    found.violations.clear()
    found.died.append("writers, with 1")
    assert 1 == show(found, None, 3)
    found.died.clear()
    found.failures += ({"what": "read", "error": "LockTimeoutError"}, {"what": "_shared", "error": "ConstraintError"})
    assert 0 == show(found, None, 3)
    found.failures.append({"what": "read", "error": "SQLError"})
    assert 1 == show(found, None, 3)


@pytest.mark.parametrize("kind", NAIVE)
def test_a_naive_cache_that_is_not_caught_fails_the_run(tmp_path, kind):
    """The judge may have gone blind."""
    found = Run(tmp_path, seed=4).attack((), 0.0)
    for name in NAIVE:
        found.kinds[name] = (10, 0, 0, int(name != kind))
    assert 1 == show(found, found, 4)
