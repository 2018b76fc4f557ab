"""A thousand writers in four processes, and readers between them: no error, nothing lost, nothing doubled, a fair share for each."""

from __future__ import annotations

import time

import pytest

import coeval
from faults import ledger

PROCESSES = 4


@pytest.mark.timeout(600)
def test_a_thousand_writers(path, program, scaled, soak, tmp_path):
    """Each acknowledged row is there once, readers saw it at once, and the processes got on alike."""
    with coeval.open(path) as db:
        db.script(f"{ledger.SCHEMA}; CREATE INDEX i ON rows (who, n)")
    books = [tmp_path / f"ledger-{number}" for number in range(PROCESSES)]
    children = [
        program("crowd", path=path, ledger=book, name=str(number), writers=scaled(250, 25), readers=scaled(8, 2))
        for number, book in enumerate(books)
    ]
    for child in children:
        child.expect("ready")
    end = time.monotonic() + scaled(30, 2)
    for child in children:
        child.say(end)
    said = [child.hear(300) for child in children]
    assert [[]] * PROCESSES == [one["failures"] for one in said]
    assert [0] * PROCESSES == [child.wait() for child in children]
    acknowledged = ledger.read(*books)
    assert sum(one["writes"] for one in said) == sum(map(len, acknowledged.values()))
    with coeval.open(path) as db:
        assert [] == ledger.problems(db.query(ledger.GROUPS), acknowledged, last_unsure=False)
        assert "ok" == db.scalar("PRAGMA integrity_check")
    assert all(one["reads"] for one in said)
    shares = sorted(one["in time"] for one in said)
    print(f"acknowledged in time, by process: {shares}; least of one thread {min(one['least'] for one in said)}")
    if soak:
        assert shares[0] >= 0.8 * shares[-1]
