"""The SQL of the reports and the model in plain Python know nothing of each other, and must say the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval.demo import catalogue, questions
from coeval.demo.truth import Timetable, Truth, conditions
from demo.flights import FLIGHTS


@pytest.fixture
def db(own: Path) -> Iterator[coeval.Database]:
    with coeval.open(own) as database:
        yield database


def record(db: coeval.Database, flight: int, minutes: int) -> int:
    """As the application does it."""
    with db.transaction() as tx:
        tx.execute("UPDATE delays SET minutes = ?, reports = reports + 1 WHERE flight_id = ?", minutes, flight)
        number = tx.execute(
            "INSERT INTO delay_reports (flight_id, minutes, reported_by, reported_at) VALUES (?, ?, 'a test', 0)",
            *(flight, minutes),
        ).lastrowid
    assert number is not None
    return number


def everything(chance: random.Random) -> list[questions.Question]:
    """Each kind of question, with and without its narrowing."""
    words = ("united", "HNL", "honolulu", "n105", "UA1", "nothing at all", "100%", "_", "~")
    return [
        *(catalogue.carriers(), catalogue.carriers("UA"), catalogue.carriers("", 3), catalogue.carriers("HA", 3)),
        *(catalogue.routes(), *(catalogue.routes(month) for month in range(1, 13))),
        *(catalogue.weather(airport, month) for airport in catalogue.AIRPORTS for month in (0, 1, 12)),
        *(catalogue.search(word, month) for word in words for month in (1, 7)),
        *(catalogue.flight(chance.randint(1, FLIGHTS)) for _ in range(20)),
    ]


def test_model_and_database_agree_after_every_write(db: coeval.Database) -> None:
    """From the rows as they were to the last of forty recorded delays, cached, to the byte."""
    chance = random.Random(1)
    truth = Truth(Timetable.read(db.iterate))
    asked = everything(chance)
    for _ in range(40):
        for question in asked:
            assert truth.expected(question, truth.version) == question.answer(db.query), question.path
        flight, minutes = chance.randint(1, FLIGHTS), chance.randint(-60, 600)
        truth.apply(record(db, flight, minutes), flight, minutes)


def test_the_model_remembers_every_version(db: coeval.Database) -> None:
    """What was right once can be asked for later."""
    truth = Truth(Timetable.read(db.iterate))
    asked = everything(random.Random(2))
    seen: list[list[bytes | None]] = []
    for number in range(1, 8):
        seen.append([question.answer(db.query) for question in asked])
        truth.apply(record(db, number, 500 + number), number, 500 + number)
    for version, bodies in enumerate(seen):
        assert bodies == [truth.expected(question, version) for question in asked]


def test_every_report_changes_with_a_delay_of_its_own(db: coeval.Database) -> None:
    """To see stale answers there must be answers that a write makes stale."""
    flight = db.query("SELECT id, month, carrier, origin FROM flights WHERE dest = 'HNL' AND arr_delay < 15")[0]
    narrow = (catalogue.carriers(flight["carrier"]), catalogue.routes(flight["month"]), catalogue.flight(flight["id"]))
    wide = (catalogue.carriers(), catalogue.routes(), catalogue.weather(flight["origin"]))
    before = {question: question.answer(db.query) for question in (*narrow, *wide)}
    record(db, flight["id"], 600)
    for question, body in before.items():
        assert body != question.answer(db.query), question.path


@pytest.mark.parametrize(
    ("columns", "question"),
    [
        (questions.CARRIER_COLUMNS, catalogue.carriers()),
        (questions.ROUTE_COLUMNS, catalogue.routes()),
        (questions.WEATHER_COLUMNS, catalogue.weather("JFK")),
        (questions.SEARCH_COLUMNS, catalogue.search("united", 1)),
        (questions.FLIGHT_COLUMNS, catalogue.flight(1)),
    ],
)
def test_an_answer_names_its_columns(db: coeval.Database, columns: tuple[str, ...], question: Any) -> None:
    """Names and values are equally many."""
    answer = json.loads(question.answer(db.query) or b"")
    assert list(columns) == answer["columns"]
    assert {len(columns)} == {len(row) for row in answer["rows"]}


def test_a_flight_that_is_not_there_has_no_answer(db: coeval.Database) -> None:
    """None, which the application makes a 404."""
    assert questions.flight(db.query, FLIGHTS + 1) is None


def test_signs_of_like_are_letters_in_a_search(db: coeval.Database) -> None:
    """A search for % finds nothing rather than everything."""
    assert [] == json.loads(questions.search(db.query, "%", 1))["rows"]


def test_every_read_is_cached(db: coeval.Database) -> None:
    """No report has anything in it that keeps it out of the cache."""
    for question in everything(random.Random(3)):
        question.answer(db.query)
    before = db.stats()
    for question in everything(random.Random(3)):
        question.answer(db.query)
    after = db.stats()
    assert (before.misses, before.uncached) == (after.misses, after.uncached)
    assert 0 == after.uncached


@pytest.mark.parametrize(
    ("expected", "hour"),
    [
        ("low visibility", (2.9, 1.0, 30.0)),
        ("rain or snow", (3.0, 0.1, 30.0)),
        ("strong wind", (10.0, 0.0, 20.0)),
        ("fair", (10.0, 0.0, 19.9)),
        ("fair", (None, None, None)),
    ],
)
def test_the_weather_has_one_word(expected: str, hour: tuple[float | None, float | None, float | None]) -> None:
    """The first that fits; what is not known does not count."""
    assert expected == conditions(*hour)
