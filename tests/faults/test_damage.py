"""A damaged log loses no more than its own end; a damaged file is an error that says so; neither ends the process."""

from __future__ import annotations

import os
import random
import shutil

import pytest

import coeval
from faults import ledger

FILE, LOG = 50, 60
READABLE = {"file": set(range(FILE))}


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A folder with a file of 50 writes, and beside it the log of a killed process with 60 more, and its index."""
    from faults.programs import Program

    folder = tmp_path_factory.mktemp("left")
    with coeval.open(folder / "app.db") as db:
        db.script(f"{ledger.SCHEMA}; CREATE INDEX i ON rows (who, n)")
        for n in range(FILE):
            ledger.write(db, "file", n, "x" * 300)
    child = Program("dier", path=folder / "app.db", writes=LOG)
    try:
        child.expect("written")
    finally:
        child.kill()
    assert os.path.getsize(folder / "app.db-wal") > 50_000
    return folder


@pytest.fixture
def opener(program):
    child = program("opener")
    child.expect("ready")

    def look(folder, **settings):
        child.say({"path": str(folder / "app.db"), "settings": settings})
        return child.hear()

    return look


@pytest.fixture
def copy(left, tmp_path):
    """A copy of what was left, each time of its own."""

    def make(name):
        shutil.copytree(left, tmp_path / name)
        return tmp_path / name

    return make


def change(file, work):
    """Change a file's bytes by a function of them."""
    content = bytearray(file.read_bytes())
    work(content)
    file.write_bytes(content)


def fine(answer, *, log=None):
    """Opened, sound, all rows of the file, a whole beginning of those of the log; it can be written."""
    assert "ok" == answer["integrity"], answer
    numbers = {n for who, n, *_ in answer["groups"] if who == "log"}
    assert set(range(len(numbers))) == numbers
    assert [] == ledger.problems(answer["groups"], {**READABLE, "log": numbers}, last_unsure=False)
    assert answer["groups"] == answer["again"]
    assert (1, None) == (answer["write"], answer["close"])
    if log is not None:
        assert log == len(numbers)


def test_an_undamaged_log(copy, opener):
    """What a killed process has committed is there: so the tests after this one look at the right files."""
    fine(opener(copy("as it was")), log=LOG)


def test_a_log_with_flipped_bytes(copy, opener, scaled):
    """Wherever they are: the commits before them are there, and those after them are gone, whole."""
    chance = random.Random(5)
    lost = 0
    for number in range(scaled(300, 12)):
        folder = copy(f"flipped-{number}")

        def flip(content):
            for _ in range(chance.choice((1, 1, 8, 200))):
                content[chance.randrange(len(content))] ^= chance.randrange(1, 256)

        change(folder / "app.db-wal", flip)
        answer = opener(folder)
        fine(answer)
        lost += len(answer["groups"]) < FILE + LOG
    assert lost


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 4152, "half", "odd"])
def test_a_log_that_was_cut(copy, opener, length):
    """Anywhere: what is before the cut is there."""
    folder = copy("cut")
    size = os.path.getsize(folder / "app.db-wal")
    os.truncate(folder / "app.db-wal", {"half": size // 2, "odd": size - 7}.get(length, length))
    fine(opener(folder), log=0 if isinstance(length, int) else None)


@pytest.mark.parametrize(
    "what", ["nothing but noise", "noise after its end", "its beginning", "of another file", "gone"]
)
def test_a_log_that_is_none(copy, opener, what):
    """Noise, or another file's log, is no log."""
    folder = copy("none")
    log = folder / "app.db-wal"
    noise = random.Random(3).randbytes(100_000)
    if what == "nothing but noise":
        log.write_bytes(noise)
    elif what == "noise after its end":
        log.write_bytes(log.read_bytes() + noise)
    elif what == "its beginning":
        change(log, lambda content: content.__setitem__(slice(0, 32), noise[:32]))
    elif what == "of another file":
        other = copy("other")
        fine(opener(other), log=LOG)  # which folds its log in, and so this one belongs to nobody
        shutil.copy(other / "app.db", folder / "app.db")
        return fine(opener(folder), log=LOG)
    else:
        log.unlink()
    return fine(opener(folder), log=LOG if what == "noise after its end" else 0)


@pytest.mark.parametrize("what", ["noise", "empty", "short", "zeros", "gone"])
def test_a_damaged_index_of_the_log(copy, opener, what):
    """It is made anew from the log by whoever opens the file first: nothing is lost."""
    folder = copy("index")
    index = folder / "app.db-shm"
    noise = random.Random(3).randbytes(32768)
    content = {"noise": noise, "empty": b"", "short": noise[:100], "zeros": bytes(32768)}.get(what)
    index.unlink(missing_ok=True)
    if content is not None:
        index.write_bytes(content)
    fine(opener(folder), log=LOG)


@pytest.mark.parametrize("content", [b"", b"x", bytes(4096), b"\xff" * 100_000])
def test_a_damaged_side_file(copy, opener, content):
    """What lies beside the file for those who wait to write is worth nothing: any noise will do."""
    folder = copy("side")
    (folder / "app.db-gate").write_bytes(content)
    fine(opener(folder), log=LOG)


def test_damaged_pages(left, tmp_path, opener):
    """Each page of the file in turn: whoever needs it is told that the file is damaged; the process lives, and nothing else is raised."""
    whole = tmp_path / "whole"
    shutil.copytree(left, whole)
    fine(opener(whole), log=LOG)  # closed: everything is in the file now
    pages = os.path.getsize(whole / "app.db") // 4096
    noticed = 0
    for page in range(pages):
        for filler in (b"\xff", b"\0"):
            folder = tmp_path / f"page-{page}-{filler.hex()}"
            shutil.copytree(whole, folder)
            change(
                folder / "app.db",
                lambda content, at=page * 4096, one=filler: content.__setitem__(slice(at, at + 4096), one * 4096),
            )
            answer = opener(folder)
            errors = {step["error"] for step in answer.values() if isinstance(step, dict)}
            assert errors <= {"DamagedError", "NotADatabaseError"}, (page, answer)
            noticed += "DamagedError" in errors
            shutil.rmtree(folder)
    assert noticed > pages / 2
