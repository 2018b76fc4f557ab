"""When the power goes, what was acknowledged is there with ``durability="full"``; with "normal" the file is sound and whole."""

from __future__ import annotations

import json
import shutil

import apsw
import pytest

import coeval
from faults import ledger


@pytest.fixture
def losses(program, path, tmp_path):
    """Run a child, and give the folders of what the disk held after each loss, with what was acknowledged by then."""

    def run(**settings):
        aside = tmp_path / "aside"
        aside.mkdir()
        child = program("power", path=path, aside=aside, **settings)
        said = child.hear(100)
        assert not said["failures"], said["failures"][0]
        assert 0 == child.wait()
        assert settings["losses"] == said["losses"], said["counted"]
        assert said["counted"]["db write"], "no checkpoint was made, so no loss could hit one"
        return [
            (aside / str(number), json.loads((aside / str(number) / "acknowledged").read_text()))
            for number in range(said["losses"])
        ]

    return run


def plain(folder):
    """What SQLite finds, on a copy of its own: the state of the file, and its rows in groups."""
    copy = folder.with_name(f"{folder.name}-plain")
    shutil.copytree(folder, copy)
    connection = apsw.Connection(str(copy / "app.db"))
    try:
        return connection.execute("PRAGMA integrity_check").get, connection.execute(ledger.GROUPS).fetchall()
    finally:
        connection.close()


def ours(folder):
    """What Coeval finds, and that it goes on from there."""
    with coeval.open(folder / "app.db") as db:
        found = [tuple(row) for row in db.query(ledger.GROUPS)]
        assert 1 == db.execute("INSERT INTO rows VALUES ('after', 0, 0, 1, '')").rowcount
        assert 1 == db.scalar("SELECT count(*) FROM rows WHERE who = 'after'")
        return db.scalar("PRAGMA integrity_check"), found


def many(scaled):
    """Losses all over a run in which checkpoints are made, too."""
    return {"losses": scaled(300, 20), "writes": scaled(2000, 200), "every": scaled(100, 150), "filler": 4000}


def test_full(losses, scaled):
    """Whatever was on its way to the disk: every acknowledged row is there, and no transaction is half there."""
    acknowledged = 0
    for folder, counts in losses(durability="full", **many(scaled)):
        known = {who: set(range(count)) for who, count in counts.items()}
        for state, groups in (plain(folder), ours(folder)):
            assert "ok" == state
            assert [] == ledger.problems(groups, known, last_unsure=True)
        acknowledged += sum(counts.values())
    assert acknowledged


def test_normal(losses, scaled):
    """The last commits may be gone: what is there is a beginning of what each writer wrote, whole, in a sound file."""
    for folder, counts in losses(durability="normal", **many(scaled)):
        for state, groups in (plain(folder), ours(folder)):
            assert "ok" == state
            there = {who: {n for one, n, *_ in groups if one == who} for who in counts}
            assert all(numbers == set(range(len(numbers))) for numbers in there.values())
            assert all(len(there[who]) <= counts[who] + 1 for who in counts)
            assert [] == ledger.problems(groups, there, last_unsure=False)


def test_the_disk_forgets(losses):
    """The model of a disk itself: with ``synchronous=NORMAL`` acknowledged rows are lost, with OFF some file is not even sound."""
    lost = 0
    for folder, counts in losses(plain="NORMAL", threads=1, losses=10, writes=1500, every=300):
        state, groups = plain(folder)
        assert "ok" == state
        lost += len(groups) < sum(counts.values())
    assert lost


def test_a_lie_about_syncing_is_noticed(losses):
    """The model of a disk itself: with ``synchronous=OFF`` and checkpoints, a file is damaged or rows of the middle are lost."""
    wrong = 0
    for folder, counts in losses(plain="OFF", threads=1, losses=10, writes=1500, filler=8000, every=900):
        known = {who: set(range(count)) for who, count in counts.items()}
        try:
            state, groups = plain(folder)
        except apsw.Error:
            wrong += 1
        else:
            wrong += state != "ok" or bool(ledger.problems(groups, known, last_unsure=True))
    assert wrong


@pytest.fixture
def counted(program, path, tmp_path):
    """Run a child without losses, and give what it counted."""

    def run(**settings):
        child = program("power", path=path, aside=tmp_path, **settings)
        said = child.hear(100)
        assert not said["failures"], said["failures"][0]
        return said["counted"], said["counted"]["wal commit"]

    return run


@pytest.mark.parametrize("threads", [1, 16])
def test_one_sync_for_a_commit(threads, counted, scaled):
    """With "full" the log is synced once for each commit, and else only when a checkpoint lets it begin anew."""
    files, commits = counted(durability="full", threads=threads, writes=scaled(500, 25), filler=100)
    syncs, checkpoints = files.get("wal sync", 0), files.get("db sync", 0)
    assert commits <= syncs <= commits + 2 * checkpoints + 2


def test_writes_that_come_together_share_a_sync(counted, scaled):
    """Sixteen threads at once: far fewer syncs than writes."""
    writes = 16 * scaled(500, 25)
    files, commits = counted(durability="full", threads=16, writes=writes // 16, filler=100)
    assert files["wal sync"] < writes / 2
    assert commits < writes / 2


def test_normal_syncs_for_checkpoints_alone(counted):
    """With "normal" no write waits for the disk."""
    files, _ = counted(durability="normal", threads=4, writes=25, filler=100)
    assert files.get("wal sync", 0) <= 2 * files.get("db sync", 0) + 1
