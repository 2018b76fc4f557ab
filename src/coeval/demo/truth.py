"""What every answer had to say after each write: a model in plain Python that shares no code with the reports' SQL.

It starts from the rows as they were, and is told each recorded delay in the order of commits. Versions are the
numbers of the recorded delays: version 17 is the data after delay 17 was committed. A report is a list of rows, each
the sum of a few *cells*; a cell keeps its values with the version at which each began.

Ring: policy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import questions
from .questions import LATE, Question

__all__ = ["Timetable", "Truth"]

Cell = tuple[Any, ...]
Numbers = tuple[Any, ...]

_FLIGHTS = """
SELECT f.id, f.month, f.day, f.sched_dep_time, f.sched_arr_time, f.carrier, f.number, f.origin, f.dest, f.distance,
       f.tailnum, f.time_hour, d.minutes, d.reports FROM flights f JOIN delays d ON d.flight_id = f.id ORDER BY f.id
"""
_REPORTED = "SELECT flight_id, max(id), (SELECT max(id) FROM delay_reports) FROM delay_reports GROUP BY flight_id"


@dataclass(slots=True)
class Timetable:
    """The rows as they were before the load, read once; both phases begin with equal copies of them."""

    flights: list[Any]
    airlines: dict[str, str]
    airports: dict[str, str]
    planes: dict[str, tuple[Any, ...]]
    weather: dict[tuple[str, str], str]
    reported: dict[int, int]
    version: int
    months: dict[int, list[Any]] = field(default_factory=dict)
    found: dict[tuple[str, int], list[Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, rows: Callable[[str], Iterable[Any]]) -> Timetable:
        """Reads everything with ``rows(sql)``, uncached."""
        weather_rows = rows("SELECT origin, time_hour, visib, precip, wind_speed FROM weather")
        reported = list(rows(_REPORTED))
        return cls(
            flights=list(map(tuple, rows(_FLIGHTS))),
            airlines={row[0]: row[1] for row in rows("SELECT carrier, name FROM airlines")},
            airports={row[0]: row[1] for row in rows("SELECT faa, name FROM airports")},
            planes={r[0]: tuple(r[1:]) for r in rows("SELECT tailnum, manufacturer, model, seats FROM planes")},
            weather={(row[0], row[1]): conditions(*row[2:]) for row in weather_rows},
            reported={row[0]: row[1] for row in reported},
            version=reported[0][2] if reported else 0,
        )

    def find(self, text: str, month: int) -> list[Any]:
        """The flights of a month that a search finds. Remembered, because the timetable never changes."""
        found = self.found.get((text, month))
        if found is None:
            word = text.lower()
            airlines = {code for code, name in self.airlines.items() if word in name.lower()}
            airports = {code for code, name in self.airports.items() if word in name.lower()}
            if not self.months:
                for row in self.flights:
                    self.months.setdefault(row[1], []).append(row)
            found = self.found[text, month] = [
                row
                for row in self.months.get(month, ())
                if row[5] in airlines
                or row[8] in airports
                or any(word in name.lower() for name in (row[8], row[10] or "", f"{row[5]}{row[6]}"))
            ]
        return found


def conditions(visib: float | None, precip: float | None, wind_speed: float | None) -> str:
    """The word for the weather of an hour: the first that fits."""
    if visib is not None and visib < 3:
        return "low visibility"
    if precip is not None and precip > 0:
        return "rain or snow"
    if wind_speed is not None and wind_speed >= 20:
        return "strong wind"
    return "fair"


@dataclass(slots=True)
class _History:
    """The values of a cell; ``values[i]`` holds from version ``since[i]`` on."""

    since: list[int]
    values: list[Numbers]

    def at(self, version: int) -> Numbers:
        return self.values[bisect_right(self.since, version) - 1]

    def add(self, version: int, value: Numbers) -> None:
        self.since.append(version)
        self.values.append(value)


@dataclass(slots=True)
class _Shape:
    """A question as the model sees it: the cells it is made of, and how their values become the body."""

    cells: list[Cell]
    body: Callable[[list[Numbers]], bytes]
    changes: list[int] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)


class Truth:
    """The history of every answer. Not for several threads."""

    def __init__(self, timetable: Timetable) -> None:
        self.first = self.version = timetable.version
        self._data = timetable
        self._shapes: dict[Question, _Shape] = {}
        self._watchers: dict[Cell, list[_Shape]] = {}
        sums: dict[Cell, list[int]] = {}
        for row in timetable.flights:
            minutes = row[12]
            for cell in self._cells_of(row):
                numbers = sums.setdefault(cell, [0, 0, 0, 0])
                numbers[0] += 1
                if minutes is not None:
                    numbers[1] += 1
                    numbers[2] += minutes > LATE
                    numbers[3] += minutes
        self._cells = {cell: _History([self.first], [tuple(numbers)]) for cell, numbers in sums.items()}

    def apply(self, version: int, flight: int, minutes: int) -> None:
        """The delay with this number was committed. Numbers come without gaps."""
        assert version == self.version + 1, f"delay {version} after {self.version}"
        self.version = version
        history = self._cell(("flight", flight))
        before, reports, _ = history.values[-1]
        history.add(version, (minutes, reports + 1, version))
        cells = self._cells_of(self._data.flights[flight - 1])
        arrived = 0 if before is not None else 1
        late = (minutes > LATE) - (before is not None and before > LATE)
        change = (0, arrived, late, minutes - (before or 0))
        for cell in cells:
            now = self._cells[cell].values[-1]
            self._cells[cell].add(version, tuple(a + b for a, b in zip(now, change, strict=True)))
        for shape in {id(s): s for c in (*cells, ("flight", flight)) for s in self._watchers.get(c, ())}.values():
            shape.changes.append(version)

    def expected(self, question: Question, version: int) -> bytes:
        """The body that was right at a version."""
        shape = self._shape(question)
        since = shape.changes[bisect_right(shape.changes, version) - 1]
        body = shape.bodies.get(since)
        if body is None:
            body = shape.bodies[since] = shape.body([self._cell(cell).at(since) for cell in shape.cells])
        return body

    def right_at(self, question: Question, body: bytes, lowest: int, highest: int) -> bool:
        """Whether the body was right at some version from lowest to highest."""
        if body == self.expected(question, lowest):
            return True
        changes = self._shape(question).changes
        between = changes[bisect_right(changes, lowest) : bisect_right(changes, highest)]
        return any(body == self.expected(question, version) for version in between)

    def prepare(self, questions: Iterable[Question]) -> None:
        """Works out what these questions are made of, so that it costs nothing while they are asked."""
        for question in questions:
            self._shape(question)

    def _cells_of(self, row: Any) -> tuple[Cell, ...]:
        """The cells that a flight is counted in; month 0 is the whole year."""
        weather = self._data.weather.get((row[7], row[11]), "no record")
        return (
            ("carrier", row[5], row[1]),
            *(("route", row[7], row[8], month) for month in (row[1], 0)),
            *(("weather", row[7], month, weather) for month in (row[1], 0)),
        )

    def _cell(self, cell: Cell) -> _History:
        """The history of a cell; that of a flight is made when somebody first looks at it."""
        history = self._cells.get(cell)
        if history is None:
            number = cell[1]
            minutes, reports = self._data.flights[number - 1][12:14]
            history = _History([self.first], [(minutes, reports, self._data.reported.get(number))])
            self._cells[cell] = history
        return history

    def _shape(self, question: Question) -> _Shape:
        shape = self._shapes.get(question)
        if shape is None:
            makers: dict[str, Callable[..., _Shape]] = {
                "carriers": self._carriers,
                "routes": self._routes,
                "weather": self._weather,
                "search": self._search,
                "flight": self._flight,
            }
            shape = self._shapes[question] = makers[question.kind](*question.arguments)
            seen = {version for cell in shape.cells for version in self._cell(cell).since}
            shape.changes = sorted(seen | {self.first})
            for cell in shape.cells:
                self._watchers.setdefault(cell, []).append(shape)
        return shape

    def _carriers(self, carrier: str, month: int) -> _Shape:
        cells = sorted(c for c in self._cells if c[0] == "carrier" and carrier in ("", c[1]) and month in (0, c[2]))
        return _Shape(
            cells,
            lambda values: questions.encode(
                questions.CARRIER_COLUMNS, [(c[1], c[2], *n) for c, n in zip(cells, values, strict=True)]
            ),
        )

    def _routes(self, month: int) -> _Shape:
        cells = [c for c in self._cells if c[0] == "route" and c[3] == month]
        # How many flights a route has never changes, and so neither does which routes are the busiest.
        cells = sorted(cells, key=lambda c: (-self._cells[c].values[0][0], c[1], c[2]))[:20]
        return _Shape(
            cells,
            lambda values: questions.encode(
                questions.ROUTE_COLUMNS,
                [(c[1], c[2], self._airport(c[2]), *n) for c, n in zip(cells, values, strict=True)],
            ),
        )

    def _weather(self, airport: str, month: int) -> _Shape:
        cells = sorted(c for c in self._cells if c[:3] == ("weather", airport, month))
        return _Shape(
            cells,
            lambda values: questions.encode(
                questions.WEATHER_COLUMNS, [(c[3], *n) for c, n in zip(cells, values, strict=True)]
            ),
        )

    def _search(self, text: str, month: int) -> _Shape:
        found = self._data.find(text, month)
        shown = [
            (len(found), *row[:4], row[5], row[6], self._data.airlines[row[5]], *row[7:9], self._airport(row[8]))
            for row in found[:20]
        ]
        return _Shape(
            [("flight", row[0]) for row in found[:20]],
            lambda values: questions.encode(
                questions.SEARCH_COLUMNS, [(*row, *n[:2]) for row, n in zip(shown, values, strict=True)]
            ),
        )

    def _flight(self, number: int) -> _Shape:
        row = self._data.flights[number - 1]
        plane = self._data.planes.get(row[10], (None, None, None))
        known = (*row[:7], self._data.airlines[row[5]], *row[7:9], self._airport(row[8]), row[9], row[10], *plane)
        return _Shape(
            [("flight", number)],
            lambda values: questions.encode(questions.FLIGHT_COLUMNS, [(*known, *values[0])]),
        )

    def _airport(self, code: str) -> str:
        return self._data.airports.get(code, code)
