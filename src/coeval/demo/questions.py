"""What the application can be asked, and the SQL that answers it.

Each answer is one or two statements given to ``query``, which may be ``db.query`` of an application, or plain
``sqlite3`` in another process: the demonstration asks both and compares. Every number is an integer, so that two right
answers are equal to the byte; averages and rates are left to whoever draws them. No date functions: they are never
cached in this version.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

__all__ = ["LATE", "Query", "Question", "airports", "carriers", "flight", "latest", "routes", "search", "weather"]

Rows = Sequence[Sequence[Any]]
Query = Callable[..., Rows]

LATE = 15
"""A flight is late when it arrives more than so many minutes after the timetable: the definition of the US DOT."""

_FOUND = 20
"""A search shows so many flights, and says how many there are."""

_NOW = "count(*), count(d.minutes), coalesce(sum(d.minutes > 15), 0), coalesce(sum(d.minutes), 0)"
_HISTORY = "count(*), count(f.arr_delay), coalesce(sum(f.arr_delay > 15), 0), coalesce(sum(f.arr_delay), 0)"
_CHANGED = (
    "0, sum((d.minutes IS NOT NULL) - (f.arr_delay IS NOT NULL)), "
    "sum(coalesce(d.minutes > 15, 0) - coalesce(f.arr_delay > 15, 0)), "
    "sum(coalesce(d.minutes, 0) - coalesce(f.arr_delay, 0))"
)
_REPORTED = "delays d CROSS JOIN flights f ON f.id = d.flight_id"
"""The flights that somebody reported on since, found by a small index (`WHERE d.reports > 0`)."""

_CONDITIONS = """
CASE WHEN w.id IS NULL THEN 'no record' WHEN w.visib < 3 THEN 'low visibility' WHEN w.precip > 0 THEN 'rain or snow'
     WHEN w.wind_speed >= 20 THEN 'strong wind' ELSE 'fair' END
"""
_WEATHER = "LEFT JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour"

CARRIER_COLUMNS = ("carrier", "month", "flights", "arrived", "late", "minutes")
ROUTE_COLUMNS = ("origin", "dest", "airport", "flights", "arrived", "late", "minutes")
WEATHER_COLUMNS = ("conditions", "flights", "arrived", "late", "minutes")
SEARCH_COLUMNS = (
    *("total", "id", "month", "day", "sched_dep_time", "carrier", "number", "airline", "origin", "dest", "airport"),
    *("minutes", "reports"),
)
FLIGHT_COLUMNS = (
    *("id", "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "number", "airline", "origin", "dest"),
    *("airport", "distance", "tailnum", "manufacturer", "model", "seats", "minutes", "reports", "last_report"),
)
AIRPORT_COLUMNS = ("faa", "name", "lat", "lon")
LATEST_COLUMNS = ("id", "flight_id", "carrier", "number", "month", "origin", "dest", "minutes", "reported_by")

_SEARCH = """
SELECT count(*) OVER (), f.id, f.month, f.day, f.sched_dep_time, f.carrier, f.number, a.name, f.origin, f.dest,
       coalesce(p.name, f.dest)
FROM flights f JOIN airlines a ON a.carrier = f.carrier LEFT JOIN airports p ON p.faa = f.dest
WHERE f.month = ? AND (a.name LIKE ? ESCAPE '~' OR p.name LIKE ? ESCAPE '~' OR f.dest LIKE ? ESCAPE '~'
                       OR f.tailnum LIKE ? ESCAPE '~' OR f.carrier || f.number LIKE ? ESCAPE '~')
ORDER BY f.id LIMIT 20
"""
_MINUTES_OF = f"SELECT flight_id, minutes, reports FROM delays WHERE flight_id IN ({', '.join('?' * _FOUND)})"

_FLIGHT = """
SELECT f.id, f.month, f.day, f.sched_dep_time, f.sched_arr_time, f.carrier, f.number, a.name, f.origin, f.dest,
       coalesce(p.name, f.dest), f.distance, f.tailnum, m.manufacturer, m.model, m.seats, d.minutes, d.reports,
       (SELECT max(r.id) FROM delay_reports r WHERE r.flight_id = f.id)
FROM flights f JOIN delays d ON d.flight_id = f.id JOIN airlines a ON a.carrier = f.carrier
     LEFT JOIN airports p ON p.faa = f.dest LEFT JOIN planes m ON m.tailnum = f.tailnum
WHERE f.id = ?
"""

_LATEST = """
SELECT r.id, r.flight_id, f.carrier, f.number, f.month, f.origin, f.dest, r.minutes, r.reported_by
FROM delay_reports r JOIN flights f ON f.id = r.flight_id ORDER BY r.id DESC LIMIT 8
"""


def encode(columns: Sequence[str], rows: Rows) -> bytes:
    """The body of an answer: names once, then the rows. msgspec writes it in microseconds, so that what is measured
    is the database and not the drawing up of JSON."""
    return msgspec.json.encode({"columns": columns, "rows": rows})


def carriers(query: Query, carrier: str = "", month: int = 0) -> bytes:
    """Delays by carrier and month; of one carrier, of one month, or of all.

    One statement over what is known now: the simplest way, and every recorded delay makes it new.
    """
    where, parameters = _where(("f.carrier", carrier), ("f.month", month))
    sql = (
        f"SELECT f.carrier, f.month, {_NOW} FROM flights f JOIN delays d ON d.flight_id = f.id "
        f"{where} GROUP BY f.carrier, f.month ORDER BY 1, 2"
    )
    return encode(CARRIER_COLUMNS, query(sql, *parameters))


def routes(query: Query, month: int = 0, limit: int = 20) -> bytes:
    """The busiest routes of the year or of a month.

    Two statements: the year 2013 is history and its sums stay valid for ever; what was reported since is a few rows.
    """
    where, parameters = _where(("f.month", month))
    history = query(
        "SELECT t.origin, t.dest, coalesce(p.name, t.dest), t.flights, t.arrived, t.late, t.minutes FROM ("
        "SELECT f.origin AS origin, f.dest AS dest, count(*) AS flights, count(f.arr_delay) AS arrived, "
        "coalesce(sum(f.arr_delay > 15), 0) AS late, coalesce(sum(f.arr_delay), 0) AS minutes "
        f"FROM flights f {where} GROUP BY f.origin, f.dest) t LEFT JOIN airports p ON p.faa = t.dest "
        "ORDER BY t.flights DESC, t.origin, t.dest LIMIT ?",
        *(*parameters, limit),
    )
    where, parameters = _where(("f.month", month), always="d.reports > 0")
    changed = query(f"SELECT f.origin, f.dest, {_CHANGED} FROM {_REPORTED} {where} GROUP BY 1, 2", *parameters)
    return encode(ROUTE_COLUMNS, _add(history, changed, 2))


def weather(query: Query, airport: str, month: int = 0) -> bytes:
    """How the flights that left an airport arrived, by the weather it had in the hour of departure.

    Two statements, as for the routes.
    """
    conditions = (("f.origin", airport), ("f.month", month))
    where, parameters = _where(*conditions)
    history = query(
        f"SELECT {_CONDITIONS}, {_HISTORY} FROM flights f {_WEATHER} {where} GROUP BY 1 ORDER BY 1", *parameters
    )
    where, parameters = _where(*conditions, always="d.reports > 0")
    changed = query(f"SELECT {_CONDITIONS}, {_CHANGED} FROM {_REPORTED} {_WEATHER} {where} GROUP BY 1", *parameters)
    return encode(WEATHER_COLUMNS, _add(history, changed, 1))


def search(query: Query, text: str, month: int) -> bytes:
    """Flights of a month by airline, destination, aeroplane or flight number.

    Two statements on purpose: the search reads the timetable, which nobody writes, and the delays of what was found
    are twenty look-ups that every report makes new.
    """
    pattern = "%" + text.replace("~", "~~").replace("%", "~%").replace("_", "~_") + "%"
    found = query(_SEARCH, month, *[pattern] * 5)
    ids = [row[1] for row in found]
    now = {row[0]: row[1:] for row in query(_MINUTES_OF, *ids, *[0] * (_FOUND - len(ids)))} if ids else {}
    return encode(SEARCH_COLUMNS, [(*row, *now[row[1]]) for row in found])


def flight(query: Query, flight_id: int) -> bytes | None:
    """One flight with everything known about it, or None."""
    rows = query(_FLIGHT, flight_id)
    return encode(FLIGHT_COLUMNS, rows) if rows else None


def airports(query: Query) -> bytes:
    """Where every airport lies: the page draws its map from them."""
    return encode(AIRPORT_COLUMNS, query("SELECT faa, name, lat, lon FROM airports ORDER BY faa"))


def latest(query: Query) -> bytes:
    """The delays recorded last."""
    return encode(LATEST_COLUMNS, query(_LATEST))


@dataclass(frozen=True, slots=True)
class Question:
    """One thing a visitor may ask: where it is asked over HTTP, and what it means."""

    kind: str
    arguments: tuple[str | int, ...]
    path: str

    def answer(self, query: Query) -> bytes | None:
        """The body that the application would answer, worked out with any ``query``."""
        result: bytes | None = _ANSWERS[self.kind](query, *self.arguments)
        return result


_ANSWERS: dict[str, Callable[..., bytes | None]] = {
    "carriers": carriers,
    "routes": routes,
    "weather": weather,
    "search": search,
    "flight": flight,
}


def _add(history: Rows, changed: Rows, keys: int) -> Rows:
    """The rows of history with what changed since added to their last four numbers. The first columns name the row."""
    changes = {tuple(row[:keys]): row[keys:] for row in changed}
    if not changes:
        return history
    nothing = (0, 0, 0, 0)
    return [
        (*row[:-4], *(old + new for old, new in zip(row[-4:], changes.get(tuple(row[:keys]), nothing), strict=True)))
        for row in history
    ]


def _where(*conditions: tuple[str, str | int], always: str = "") -> tuple[str, list[str | int]]:
    """A WHERE of the conditions that are set. One text for each combination, because a statement that says
    ``? IS NULL OR month = ?`` can use no index."""
    given = [(column, value) for column, value in conditions if value]
    clauses = [always] * bool(always) + [f"{column} = ?" for column, _ in given]
    return f"WHERE {' AND '.join(clauses)}" if clauses else "", [value for _, value in given]
