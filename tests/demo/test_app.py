"""The application: its routes, what it refuses, and that a recorded delay is in the next answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from coeval.demo import app, counters
from demo.flights import FLIGHTS


class Client:
    """Asks an application in this process, without a server."""

    def __init__(self, application: FastAPI, runner: asyncio.Runner) -> None:
        self._transport = httpx.ASGITransport(application)
        self._runner = runner

    def get(self, path: str) -> httpx.Response:
        return self._ask("GET", path)

    def post(self, path: str, json: dict[str, Any]) -> httpx.Response:
        return self._ask("POST", path, json)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://demo") as client:
                return await client.request(method, path, json=body)

        return self._runner.run(ask())


@contextmanager
def running() -> Iterator[Client]:
    """The application that the environment describes, from its start to its end."""
    application = app.create()
    with asyncio.Runner() as runner:
        life = application.router.lifespan_context(application)
        runner.run(life.__aenter__())
        try:
            yield Client(application, runner)
        finally:
            runner.run(life.__aexit__(None, None, None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "run"
    place.mkdir()
    return place


@pytest.fixture(params=["memory", "off"])
def client(
    own: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Client]:
    monkeypatch.setenv("COEVAL_DEMO_DATABASE", str(own))
    monkeypatch.setenv("COEVAL_DEMO_CACHE", request.param)
    monkeypatch.setenv("COEVAL_DEMO_FOLDER", str(folder))
    with running() as client:
        yield client


READS = (
    *(
        "/api/carriers",
        "/api/carriers?carrier=UA",
        "/api/carriers?month=3",
        "/api/routes",
        "/api/routes?month=3&limit=2",
    ),
    *(
        "/api/weather/JFK",
        "/api/weather/JFK?month=3",
        "/api/search?q=united&month=1",
        "/api/flights/1",
        "/api/airports",
    ),
    "/api/delays",
)


@pytest.mark.parametrize("path", READS)
def test_every_report_answers(client: Client, path: str) -> None:
    """Names, rows, and how long the data took."""
    answer = client.get(path)
    assert 200 == answer.status_code
    assert {"columns", "rows"} == set(answer.json())
    assert float(answer.headers["Server-Timing"].removeprefix("data;dur=")) >= 0


def test_a_recorded_delay_is_in_the_next_answer(client: Client) -> None:
    """Cached or not, the flight and the list of delays know it at once, and it got the next number."""
    for number in (1, 2):
        client.get("/api/flights/1")
        answer = client.post("/api/delays", json={"flight_id": 1, "minutes": 100 + number, "reported_by": "a test"})
        assert (201, {"id": number}) == (answer.status_code, answer.json())
        flight = client.get("/api/flights/1").json()
        known = dict(zip(flight["columns"], flight["rows"][0], strict=True))
        assert (100 + number, number, number) == (known["minutes"], known["reports"], known["last_report"])
    latest = client.get("/api/delays").json()["rows"]
    assert [[2, 102, "a test"], [1, 101, "a test"]] == [[row[0], row[7], row[8]] for row in latest]


@pytest.mark.parametrize(
    ("expected", "delay"),
    [
        (404, {"flight_id": FLIGHTS + 1, "minutes": 5}),
        (422, {"flight_id": 1, "minutes": 5000}),
        (422, {"flight_id": "first", "minutes": 5}),
        (422, {"minutes": 5}),
    ],
)
def test_a_delay_that_cannot_be_is_refused(client: Client, expected: int, delay: dict[str, object]) -> None:
    """And leaves nothing behind."""
    assert expected == client.post("/api/delays", json=delay).status_code
    assert [] == client.get("/api/delays").json()["rows"]


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        (404, f"/api/flights/{FLIGHTS + 1}"),
        (422, "/api/flights/0"),
        (422, f"/api/flights/{2**63}"),
        (422, "/api/flights/first"),
        (422, "/api/routes?month=13"),
        (422, "/api/search?q=a"),
        (404, "/page/nothing.js"),
    ],
)
def test_questions_without_an_answer_are_refused(client: Client, expected: int, path: str) -> None:
    """By the number that HTTP has for it."""
    assert expected == client.get(path).status_code


def test_statistics_add_up_over_all_workers(client: Client, folder: Path) -> None:
    """What this worker counts and what the files of the others say; its own file is not counted twice."""
    client.get("/api/flights/1")
    alone = client.get("/stats").json()
    assert (1, 1, 1) == (alone["workers"], alone["requests"], sum(alone["latencies"]))
    other = {"requests": 5, "latencies": [5] + [0] * len(counters.BOUNDS), "database": alone["database"]}
    (folder / "stats-1.json").write_text(json.dumps(other))
    both = client.get("/stats").json()
    assert (2, 6, 6) == (both["workers"], both["requests"], sum(both["latencies"]))
    assert 2 * alone["database"]["statements"] == both["database"]["statements"]
    assert both["hit_rate"] is None or 0 <= both["hit_rate"] <= 1


def test_the_last_figures_are_there_when_a_worker_ends(
    own: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is written at the start, and once more at the end."""
    monkeypatch.setenv("COEVAL_DEMO_DATABASE", str(own))
    monkeypatch.setenv("COEVAL_DEMO_FOLDER", str(folder))
    with running() as client:
        assert 0 == counters.total(folder)["requests"]
        client.get("/api/flights/1")
        client.get("/api/flights/1")
    last = counters.total(folder)
    assert (1, 2, 1) == (last["workers"], last["requests"], last["database"]["misses"])
    assert 0.5 == last["hit_rate"]
