"""A process may fork at any moment: both sides go on, and nothing that either acknowledged is lost."""

from __future__ import annotations

import os

import pytest

import coeval
from faults import ledger

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture
def fork(program, path, tmp_path):
    """Run a forking child to its end, and judge the rows; how its children fared."""

    def run(**settings):
        with coeval.open(path) as db:
            db.script(f"{ledger.SCHEMA}; CREATE INDEX i ON rows (who, n)")
        noted = tmp_path / "ledger"
        child = program("forker", path=path, ledger=noted, **settings)
        said = child.hear(500)
        assert not said["failures"], said["failures"][0]
        assert 0 == child.wait()
        with coeval.open(path) as db:
            assert [] == ledger.problems(db.query(ledger.GROUPS), ledger.read(noted), last_unsure=False)
            assert "ok" == db.scalar("PRAGMA integrity_check")
        return said["fared"]

    return run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["os", "thread", "multiprocessing"])
def test_forks_while_threads_write_and_read(fork, how, scaled):
    """Each child works, or says that it was forked while the file was in use; no thread of the parent is left waiting."""
    forks = scaled(300, 12)
    fared = fork(how=how, forks=forks)
    assert {"worked"} >= set(fared) - {"refused"}, [one for one in fared if one not in ("worked", "refused")][:1]
    assert "worked" in fared
    print(f"{fared.count('worked')} of {forks} children worked, the others refused")


def test_forks_inside_a_transaction_of_another_thread(fork):
    """Every child refuses; the transaction commits, and the writers that waited for it go on."""
    assert ["refused"] * 2 == fork(how="os", forks=2, threads=2, held=True)
