"""The application of the demonstration: a small FastAPI program as anybody would write it.

Nothing in it invalidates, names a key or sets a time to live: the routes ask ``db.query`` and the cache follows the
data. Each worker process has its own database object with its own memory; what holds them together is the file.

Settings come by environment variables, because uvicorn's workers are processes:
``COEVAL_DEMO_DATABASE`` (the file), ``COEVAL_DEMO_CACHE`` (``memory`` or ``off``), ``COEVAL_DEMO_FOLDER`` (of the run).

Ring: shell.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from fastapi import FastAPI, HTTPException, Response
from fastapi import Path as PathParameter
from fastapi import Query as QueryParameter
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Receive, Scope, Send

import coeval

from . import questions
from .counters import Counters, Publisher, total

__all__ = ["create", "open_database"]

PAGE = Path(__file__).with_name("page")
WORKER = str(os.getpid())


class Delay(BaseModel):
    """A delay that somebody reports."""

    flight_id: int
    minutes: int = Field(ge=-120, le=2880)
    reported_by: str = Field(default="a visitor", max_length=80)


class Measured:
    """Middleware that counts the requests to the interface with the time they took."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self.app = app
        self.counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        try:
            await self.app(scope, receive, send)
        finally:
            self.counters.add(time.perf_counter() - begin)


def open_database() -> coeval.Database:
    """The database that the environment names."""
    cache = None if os.environ.get("COEVAL_DEMO_CACHE", "memory") == "off" else "memory"
    return coeval.open(os.environ["COEVAL_DEMO_DATABASE"], cache=cache)


def create(open_it: Callable[[], coeval.Database] = open_database) -> FastAPI:
    """The application of one worker. Opens the file when the worker starts, closes it when it ends."""
    db = open_it()
    folder = Path(os.environ["COEVAL_DEMO_FOLDER"])
    counters = Counters()
    publisher = Publisher(folder, lambda: counters.snapshot(db.stats()), _end_this_worker)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        publisher.start()
        yield
        publisher.stop()
        db.close()

    app = FastAPI(title="Coeval: flights from New York City, 2013", lifespan=lifespan, openapi_url=None)
    app.add_middleware(Measured, counters=counters)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/health")
    def health() -> Response:
        return Response("ok", headers={"X-Worker": WORKER})

    @app.get("/stats")
    def stats() -> Response:
        return Response(msgspec.json.encode(total(folder, counters.snapshot(db.stats()))), media_type=_JSON)

    _reads(app, db)
    _writes(app, db)
    return app


_JSON = "application/json"
_Month = QueryParameter(default=0, ge=0, le=12)


def _reads(app: FastAPI, db: coeval.Database) -> None:
    """The reports. Each is one or two calls of ``db.query``; see ``questions.py`` for their SQL."""

    @app.get("/api/carriers")
    def carriers(carrier: str = "", month: int = _Month) -> Response:
        return _answer(lambda: questions.carriers(db.query, carrier, month))

    @app.get("/api/routes")
    def routes(month: int = _Month, limit: int = QueryParameter(default=20, ge=1, le=500)) -> Response:
        return _answer(lambda: questions.routes(db.query, month, limit))

    @app.get("/api/weather/{airport}")
    def weather(airport: str, month: int = _Month) -> Response:
        return _answer(lambda: questions.weather(db.query, airport, month))

    @app.get("/api/search")
    def search(q: str = QueryParameter(min_length=2, max_length=80), month: int = _Month) -> Response:
        return _answer(lambda: questions.search(db.query, q, month))

    @app.get("/api/flights/{number}")
    def flight(number: int = PathParameter(ge=1, lt=2**63)) -> Response:
        return _answer(lambda: questions.flight(db.query, number))

    @app.get("/api/airports")
    def airports() -> Response:
        return _answer(lambda: questions.airports(db.query))

    @app.get("/api/delays")
    def latest() -> Response:
        return _answer(lambda: questions.latest(db.query))


def _writes(app: FastAPI, db: coeval.Database) -> None:
    @app.post("/api/delays")
    def record(delay: Delay) -> Response:
        """Records a delay. When the answer comes it is on the disk, and every worker's next answer knows it."""
        with db.transaction() as tx:
            known = tx.execute(
                "UPDATE delays SET minutes = ?, reports = reports + 1 WHERE flight_id = ?",
                *(delay.minutes, delay.flight_id),
            )
            if known.rowcount != 1:
                raise HTTPException(404, "no such flight")
            number = tx.execute(
                "INSERT INTO delay_reports (flight_id, minutes, reported_by, reported_at) VALUES (?, ?, ?, ?)",
                *(delay.flight_id, delay.minutes, delay.reported_by, int(time.time())),
            ).lastrowid
        return Response(msgspec.json.encode({"id": number}), status_code=201, media_type=_JSON)


def _answer(work: Callable[[], bytes | None]) -> Response:
    """Runs the work and says in a header how long the data took, for the page to show."""
    begin = time.perf_counter()
    body = work()
    took = (time.perf_counter() - begin) * 1000
    if body is None:
        raise HTTPException(404, "no such flight")
    return Response(body, media_type=_JSON, headers={"Server-Timing": f"data;dur={took:.3f}"})


def _end_this_worker() -> None:
    """The process that started us is gone: end as if it had asked."""
    os.kill(os.getpid(), signal.SIGTERM)
