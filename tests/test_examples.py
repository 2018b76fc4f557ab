"""The examples run, and say what their comments say."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


def test_the_quick_start_runs():
    """The ten lines of the README, as a program: the last query has lost Alan."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "quickstart.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == lines[1]
    assert "Alan" in lines[1]
    assert "(User(id=1, name='Ada', region='EU'),)" == lines[2]
    assert "cacheable  yes" in done.stdout
    assert "hits=1," in lines[-1]


def test_the_functions_run():
    """Each is computed when what it reads has changed, and not before."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "functions.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first, second, third, fourth = done.stdout.splitlines()
    assert first == "{'open': 2} {'open': 2} {'EU': {'open': 2}, 'US': {'paid': 1}}"
    assert second == "{'open': 1, 'paid': 1} {'EU': {'open': 1, 'paid': 1}, 'US': {'paid': 1}}"
    assert third == "EUR in en EUR in en CacheInfo(hits=1, misses=1, joined=0, stale=0, unkept=0)"
    assert fourth == "None CacheInfo(hits=3, misses=4, joined=0, stale=0, unkept=0)"


def test_the_fastapi_example_answers(tmp_path, monkeypatch):
    """A note that was added is in the next list."""
    testclient = pytest.importorskip("fastapi.testclient", reason="the fastapi extra is not installed")
    monkeypatch.setenv("APP_DB", str(tmp_path / "app.db"))
    found = runpy.run_path(str(EXAMPLES / "fastapi_app.py"))
    try:
        client = testclient.TestClient(found["app"])
        assert client.get("/notes").json() == []
        assert {"id": 1} == client.post("/notes", json={"text": "hello", "stars": 2}).json()
        assert [{"id": 1, "text": "hello", "stars": 2}] == client.get("/notes").json()
    finally:
        found["db"].close()
