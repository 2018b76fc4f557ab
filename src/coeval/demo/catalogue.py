"""What visitors ask: every question of the load, the popular ones first, drawn with a skew.

Pure: chance comes in as an argument, so one seed gives one load.

Ring: policy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from .questions import Question

if TYPE_CHECKING:
    import random

__all__ = ["AIRPORTS", "Catalogue", "carriers", "flight", "routes", "search", "weather"]

AIRPORTS = ("JFK", "EWR", "LGA")

SLOPE = 1.0
"""Popularity falls with rank as 1 / rank ** SLOPE (Zipf's law, as visits to web pages are found to do)."""

SHARES = {"search": 0.44, "flight": 0.32, "carriers": 0.06, "routes": 0.09, "weather": 0.09}
"""How the reads are spread over the kinds of question. Most visitors look for flights; the reports cost the most, and
every recorded delay makes all of them new."""

_CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV", "HA", "OO")
_MONTHS = (7, 12, 8, 6, 4, 3, 5, 1, 10, 2, 9, 11)
_WORDS = (
    *("boston", "los angeles", "chicago", "delta", "atlanta", "orlando", "jetblue", "san francisco", "miami"),
    *("charlotte", "denver", "dallas", "united", "las vegas", "seattle", "tampa", "virgin", "phoenix", "austin"),
    *("new orleans", "southwest", "nashville", "portland", "hawaiian", "n14228", "ua15", "buffalo", "alaska"),
)
_SEARCHES = 40
_FLIGHTS = 400


def carriers(carrier: str = "", month: int = 0) -> Question:
    """Delays by carrier and month."""
    return _question("carriers", (carrier, month), "/api/carriers", carrier=carrier, month=month)


def routes(month: int = 0) -> Question:
    """The busiest routes."""
    return _question("routes", (month,), "/api/routes", month=month)


def weather(airport: str, month: int = 0) -> Question:
    """Arrivals by the weather at departure."""
    return _question("weather", (airport, month), f"/api/weather/{airport}", month=month)


def search(text: str, month: int) -> Question:
    """Flights by words."""
    return _question("search", (text, month), "/api/search", q=text, month=month)


def flight(number: int) -> Question:
    """One flight."""
    return _question("flight", (number,), f"/api/flights/{number}")


class Catalogue:
    """The questions of one load, by kind and rank."""

    def __init__(self, flights: int, chance: random.Random) -> None:
        pairs = list(itertools.product(_MONTHS, _WORDS))
        chance.shuffle(pairs)
        self.flights = flights
        self.favourites = chance.sample(range(1, flights + 1), min(_FLIGHTS, flights))
        self.by_kind: dict[str, list[Question]] = {
            "carriers": _with_year([carriers(code) for code in _CARRIERS], [carriers()]),
            "routes": _with_year([routes(month) for month in _MONTHS], [routes()]),
            "weather": _with_year([weather(a, m) for m in _MONTHS for a in AIRPORTS], [weather(a) for a in AIRPORTS]),
            "search": [search(word, month) for month, word in pairs[:_SEARCHES]],
            "flight": [flight(number) for number in self.favourites],
        }
        self._kinds = list(SHARES)
        self._shares = list(itertools.accumulate(SHARES.values()))
        self._ranks = {kind: _popularity(len(questions)) for kind, questions in self.by_kind.items()}

    def draw(self, chance: random.Random) -> Question:
        """The next question of a visitor."""
        kind = chance.choices(self._kinds, cum_weights=self._shares)[0]
        return chance.choices(self.by_kind[kind], cum_weights=self._ranks[kind])[0]

    def draw_report(self, chance: random.Random) -> tuple[int, int]:
        """A flight and the delay that somebody records for it; half of them for flights that others look at."""
        if chance.random() < 0.5:
            number = chance.choices(self.favourites, cum_weights=self._ranks["flight"])[0]
        else:
            number = chance.randint(1, self.flights)
        return number, chance.randint(-60, 600)

    def everything(self) -> Iterable[Question]:
        """All that can be drawn."""
        return itertools.chain.from_iterable(self.by_kind.values())

    def leaders(self, each: int) -> Iterable[Question]:
        """The most popular of each kind."""
        return itertools.chain.from_iterable(questions[:each] for questions in self.by_kind.values())


def _with_year(parts: list[Question], year: list[Question]) -> list[Question]:
    """Few look at the whole year, which costs the most; it takes the fourth place."""
    return [*parts[:3], *year, *parts[3:]]


def _popularity(count: int) -> list[float]:
    return list(itertools.accumulate(1 / rank**SLOPE for rank in range(1, count + 1)))


def _question(kind: str, arguments: tuple[str | int, ...], path: str, **query: str | int) -> Question:
    given = "&".join(f"{name}={quote(str(value))}" for name, value in query.items() if value)
    return Question(kind, arguments, f"{path}?{given}" if given else path)
