"""A file that may not be written is read, or refused with a cure; nothing of it is changed."""

# ruff: noqa: S103 - permissions are what this is about

from __future__ import annotations

import os
import subprocess

import pytest

import coeval
from faults import ledger

ROWS = {"file": set(range(20))}


@pytest.fixture
def folder(tmp_path):
    """A folder with a closed file of twenty writes; it can be removed at the end."""
    folder = tmp_path / "denied"
    folder.mkdir()
    with coeval.open(folder / "app.db") as db:
        db.script(f"{ledger.SCHEMA}; CREATE INDEX i ON rows (who, n)")
        for n in range(20):
            ledger.write(db, "file", n)
    yield folder
    os.chmod(folder, 0o755)


def judge(answer, coherence):
    """Refused at open; or, to read alone, opened and read, and writing refused."""
    if coherence == "stamps" or isinstance(answer["open"], dict):
        assert "NotWritableError" == answer["open"]["error"]
    else:
        assert [] == ledger.problems(answer["groups"], ROWS, last_unsure=False)
        assert "ok" == answer["integrity"]
        assert "NotWritableError" == answer["write"]["error"]
        assert answer["close"] is None


@pytest.mark.parametrize("coherence", ["stamps", "clock"])
@pytest.mark.parametrize(("file", "place"), [(0o444, 0o755), (0o644, 0o555), (0o444, 0o555)])
def test_permissions(folder, program, file, place, coherence):
    """Of the file, of its folder, of both."""
    child = program("opener", dropped=True)
    child.expect("ready")
    before = (folder / "app.db").read_bytes()
    os.chmod(folder / "app.db", file)
    os.chmod(folder, place)
    child.say({"path": str(folder / "app.db"), "settings": {"coherence": coherence}})
    judge(child.hear(), coherence)
    os.chmod(folder, 0o755)
    for one in folder.iterdir():  # SQLite gives the log and its index the permissions of the file
        os.chmod(one, 0o644)
    assert before == (folder / "app.db").read_bytes()
    child.say({"path": str(folder / "app.db")})
    answer = child.hear()
    assert ("ok", 1) == (answer["integrity"], answer["write"])


def test_a_file_that_nobody_may_read(folder, program):
    """Refused at open."""
    child = program("opener", dropped=True)
    child.expect("ready")
    os.chmod(folder / "app.db", 0)
    child.say({"path": str(folder / "app.db")})
    assert "OpenError" == child.hear()["open"]["error"]


@pytest.mark.parametrize("coherence", ["stamps", "clock"])
def test_a_read_only_file_system(folder, program, mounting, coherence):
    """The same where the whole file system is mounted to read alone."""
    remount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    child = program("opener", before=(*mounting, "sh", "-c", remount, str(folder)))
    child.expect("ready")
    child.say({"path": str(folder / "app.db"), "settings": {"coherence": coherence}})
    judge(child.hear(), coherence)


def test_a_side_file_of_somebody_else(folder, program):
    """The file that orders the writers cannot be written: refused with a cure, or done without it; never another error."""
    side = folder / "app.db-gate"
    side.touch()
    os.chmod(side, 0o444)
    child = program("opener", dropped=True)
    child.expect("ready")
    child.say({"path": str(folder / "app.db")})
    answer = child.hear()
    if isinstance(answer["open"], dict):
        assert "NotWritableError" == answer["open"]["error"]
    else:
        assert ("ok", None) == (answer["integrity"], answer["close"])
        assert answer["write"] == 1 or answer["write"]["error"] == "NotWritableError"


def test_the_immutable_bit_is_a_refusal(folder, program):
    """A file that the system makes unchangeable while it is open elsewhere: an error, and reads go on."""
    child = program("opener")
    child.expect("ready")
    done = subprocess.run(["chattr", "+i", str(folder / "app.db")], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"chattr +i: {done.stderr.strip()}")
    try:
        for coherence in ("stamps", "clock"):
            child.say({"path": str(folder / "app.db"), "settings": {"coherence": coherence}})
            judge(child.hear(), coherence)
    finally:
        subprocess.run(["chattr", "-i", str(folder / "app.db")], check=True)
