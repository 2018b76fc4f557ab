"""`coeval.demo.run` from beginning to end, over the small file in place of the real one."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval import demo, errors
from coeval.demo import data, report, runner
from coeval.demo.phase import Phase


@contextmanager
def started(folder: Path, arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demonstration in a process of its own, ended at the end whatever happens."""
    program = (  # a job in the background, which a run of the tests may be, is started with SIGINT ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pathlib import Path; from coeval.demo import run; "
        f"sys.exit(run(folder=Path({str(folder)!r}), port=0, {arguments}))"
    )
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    )
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@pytest.fixture
def folder(own: Path) -> Path:
    """A folder with the small file in it, as a first run leaves the real one."""
    return own.parent


def test_the_table_shows_both_phases_and_what_comes_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, the figures that were asked for, and nothing left beside the data."""
    shutil.rmtree(folder / "csv")
    assert 0 == demo.run(folder=folder, seconds=1, serve=False, port=0)
    said = capsys.readouterr().out
    for row in ("requests/s", "p50", "p95", "p99", "SQL statements run", "hit rate", "writes acknowledged", "found in"):
        assert row in said
    assert re.search(r"stale answers\s+│\s+0 │\s+0 │", said)
    assert "coeval demo --serve" in said
    assert "import coeval" in said
    assert [data.NAME] == [file.name for file in folder.iterdir()]


def test_json_is_alone_on_the_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything else goes to the standard error."""
    assert 0 == demo.run(folder=folder, seconds=1, serve=False, port=0, workers=1, json_output=True)
    said = capsys.readouterr()
    figures = json.loads(said.out)
    assert {"off", "on"} == set(figures)
    assert (False, None, True) == (figures["off"]["cache"], figures["off"]["hit_rate"], figures["off"]["good"])
    assert (True, 0, 0, True) == tuple(figures["on"][name] for name in ("cache", "stale", "wrong", "good"))
    assert 0 < figures["on"]["hit_rate"] < 1
    assert figures["on"]["writes_found"] == figures["on"]["writes_acknowledged"]


def test_stale_answers_end_with_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The count, an example and the exit code say so."""
    measure = runner.measure

    async def spoiled(*arguments: object, **options: object) -> Phase:
        phase = await measure(*arguments, **options)  # type: ignore[arg-type]
        phase.verdict.stale = 3
        phase.verdict.examples.append("stale: /api/routes")
        return phase

    monkeypatch.setattr(runner, "measure", spoiled)
    assert 1 == demo.run(folder=folder, seconds=0.5, serve=False, port=0)
    said = capsys.readouterr().out
    assert re.search(r"stale answers\s+│\s+3 │\s+3 │", said)
    assert "stale: /api/routes" in said


def test_the_page_is_served_until_ctrl_c(folder: Path, tmp_path: Path) -> None:
    """It answers under the address that is printed, and Ctrl-C ends it with 0 and without a trace."""
    before = {file.name for file in folder.iterdir()}
    with started(folder, "seconds=1, serve=True") as process:
        assert process.stdout is not None
        said = ""
        while (found := re.search(r"http://127\.0\.0\.1:\d+", said)) is None:
            line = process.stdout.readline()
            assert line, said
            said += line
        with urllib.request.urlopen(found[0], timeout=30) as answer:  # noqa: S310 - our own address
            assert b"<title>Coeval" in answer.read()
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
    assert 0 == process.returncode, said
    assert before == {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"workers": 0}, {"port": 70_000}, {"port": -1}])
def test_arguments_that_cannot_be_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    """Before anything is made."""
    arguments: dict[str, Any] = {"seconds": 1, "port": 0, "workers": 2, **wrong}
    with pytest.raises(errors.ConfigError):
        demo.run(folder=tmp_path / "new", serve=False, **arguments)
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    """With the cure."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(errors.OpenError, match="cannot use the folder") as caught:
        demo.run(folder=tmp_path / "file", seconds=1, serve=False, port=0)
    assert caught.value.hint


def test_a_file_in_place_of_the_data_is_named(tmp_path: Path) -> None:
    """And nothing is left behind."""
    (tmp_path / data.NAME).write_text("mine")
    with pytest.raises(errors.OpenError, match="is in the way"):
        demo.run(folder=tmp_path, seconds=1, serve=False, port=0)
    assert [data.NAME] == [file.name for file in tmp_path.iterdir()]


def test_missing_extras_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what to install."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiohttp" else found(name))
    with pytest.raises(errors.ConfigError, match="needs aiohttp") as caught:
        demo.run(folder=tmp_path, seconds=1, serve=False, port=0)
    assert "coeval[demo]" in caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_measurement_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    """Ctrl-C, or being told to end, in the middle: a word, 130, and only the data is left."""
    before = {file.name for file in folder.iterdir()}
    with started(folder, "seconds=60, serve=False") as process:
        assert process.stdout is not None
        while not list(folder.glob("coeval-demo-*/off/stats-*.json")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        said = process.stdout.read()
    assert 130 == process.returncode, said
    assert "Stopped." in said
    assert "Traceback" not in said
    assert before == {file.name for file in folder.iterdir()}


def test_being_told_to_end_is_never_raised_in_a_callback() -> None:
    """It cancels what is measured, wherever the loop is at that moment, and leaves the signal as it was."""
    before = signal.getsignal(signal.SIGTERM)

    async def work() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    with runner._terminable():
        inside = signal.getsignal(signal.SIGTERM)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(runner._until_told(work()))
        assert inside is signal.getsignal(signal.SIGTERM)
    assert before is signal.getsignal(signal.SIGTERM)


def test_the_quick_start_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is shown as the next step works as it stands, and fits a window of 80 columns."""
    monkeypatch.chdir(tmp_path)
    exec(report.QUICK_START, {})  # noqa: S102 - our own text
    assert "1 Ada\n" == capsys.readouterr().out
    assert max(map(len, report.QUICK_START.splitlines())) <= 76
    coeval.open("app.db").close()
