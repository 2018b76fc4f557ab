"""Killed at any named point, a process takes with it nothing that it acknowledged, leaves nothing half, and keeps nobody waiting."""

from __future__ import annotations

import os
import random

import pytest

import coeval
from faults import ledger, traps

#: The highest passage of a point at which a process dies: low where passages are rare.
LATEST = {"checkpoint": 40}


def prepare(path):
    with coeval.open(path, timeout=60) as db:
        db.script(
            f"{ledger.SCHEMA}; CREATE TABLE large (filler); INSERT INTO large VALUES (''); CREATE INDEX i ON rows (who, n)"
        )


@pytest.mark.parametrize("named", traps.NAMED)
def test_killed_at(named, path, program, scaled, tmp_path):
    """Every acknowledged row is there, no half transaction, the file is sound, and a bystander's writes go on."""
    chance = random.Random(named)
    prepare(path)
    points = traps.NAMED[named]
    bystander = program("writers", path=path, ledger=tmp_path / "bystander", name="bystander", threads=2)
    bystander.expect("open")
    for death in range(scaled(125, 6)):
        point = points[death % len(points)]
        noted = tmp_path / f"victim-{death}"
        victim = program(
            "writers",
            path=path,
            ledger=noted,
            name=f"victim-{death}",
            point=point,
            passage=chance.randint(1, LATEST.get(named, 200)),
            large=200_000 if named == "checkpoint" else 0,
        )
        victim.expect("open")
        assert -9 == victim.wait(), point
        before = os.path.getsize(tmp_path / "bystander")
        check(path, noted, f"victim-{death}.", point)
        wait_for_growth(tmp_path / "bystander", before)
    bystander.say("stop")
    assert [] == bystander.hear()["failures"]
    assert 0 == bystander.wait()
    with coeval.open(path) as db:
        assert "ok" == db.scalar("PRAGMA integrity_check")
        groups = db.query(ledger.GROUPS.replace("GROUP BY", "WHERE who LIKE 'bystander%' GROUP BY"))
        assert [] == ledger.problems(groups, ledger.read(tmp_path / "bystander"), last_unsure=False)


def check(path, noted, name, point):
    """What the victim acknowledged is there, by a process that opens the file while the bystander has it open."""
    with coeval.open(path, timeout=60, cache=None) as db:
        assert "ok" == db.scalar("PRAGMA integrity_check"), point
        groups = db.query(ledger.GROUPS.replace("GROUP BY", "WHERE who BETWEEN ? AND ? GROUP BY"), name, f"{name}~")
        assert [] == ledger.problems(groups, ledger.read(noted), last_unsure=True), point


def wait_for_growth(file, size):
    """Somebody goes on being acknowledged: the test's time-out ends this where nobody is."""
    with open(file, "rb") as lines:
        while os.fstat(lines.fileno()).st_size < size + 200:
            os.sched_yield()
