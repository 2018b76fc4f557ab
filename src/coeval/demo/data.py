"""The data file of the demonstration: built through Coeval, checked before it is used again, copied through SQLite.

Always holds: a file named ``flights.db`` in the folder is complete. It is built under another name and gets its own
in one step, after its last connection is closed.

Ring: shell.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

import coeval

from ..errors import Error, OpenError
from . import source

__all__ = ["NAME", "build", "check"]

NAME = "flights.db"

APPLICATION = 0x436F6576
"""``PRAGMA application_id`` of our files ("Coev"): says that a file is ours before we use it again."""

VERSION = 1
"""``PRAGMA user_version``: the shape of the tables. A file of another shape is refused, not converted."""

_CHUNK = 10_000

Report = Callable[[str, float], None]
"""Told what is being done, and which part of the whole (0..1) is behind us."""


def build(target: Path, folder: Path, report: Report) -> int:
    """Makes ``target`` from the CSV files in ``folder``, and returns the number of flights.

    Tables, rows and indexes come in one transaction, so a build that is interrupted leaves an empty database, and
    that under another name: ``target`` exists only when it is complete.
    """
    unfinished = target.with_name(target.name + ".unfinished")
    remove(unfinished)
    try:
        with coeval.open(unfinished, cache=None, durability="normal") as db:
            with db.transaction() as tx:
                tx.script(_text("schema.sql"))
                _small_tables(tx, folder, report)
                count = _flights(tx, folder, report)
                report("indexes", 0.85)
                tx.script(_text("indexes.sql"))
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        os.replace(unfinished, target)
    finally:
        remove(unfinished)  # or what is left beside it
    report("done", 1.0)
    return count


def check(path: Path) -> None:
    """Raises when ``path`` is something else than a complete file of this demonstration. Changes nothing."""
    cure = "Move it away, or name another folder; the demonstration never overwrites a file it did not make."
    try:
        with coeval.open(path, cache=None, coherence="clock") as db:
            shape = (db.scalar("PRAGMA application_id"), db.scalar("PRAGMA user_version"))
    except Error as error:
        raise OpenError(f"{path} is in the way: {error.message}", hint=cure) from error
    if shape != (APPLICATION, VERSION):
        raise OpenError(f"{path} is in the way: it is not a file that this version of the demo built.", hint=cure)


def remove(path: Path) -> None:
    """Removes a database that nobody has open, with what belongs to it."""
    for suffix in ("", "-wal", "-shm", "-gate"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _small_tables(tx: coeval.Transaction, folder: Path, report: Report) -> None:
    weather = ((number, *row) for number, row in enumerate(source.weather(folder), 1))
    tables: tuple[tuple[str, int, Iterable[source.Values]], ...] = (
        ("airlines", 2, source.airlines(folder)),
        ("airports", 8, source.airports(folder)),
        ("planes", 9, source.planes(folder)),
        ("weather", 16, weather),
    )
    for done, (table, columns, rows) in enumerate(tables):
        report(table, 0.05 * done / len(tables))
        tx.executemany(_insert(table, columns), rows)


def _flights(tx: coeval.Transaction, folder: Path, report: Report) -> int:
    """A chunk at a time, so that memory stays small."""
    rows = source.flights(folder, lambda part: report("flights", 0.05 + 0.7 * part))
    count = 0
    while chunk := list(itertools.islice(rows, _CHUNK)):
        tx.executemany(_insert("flights", 20), chunk)
        count += len(chunk)
    report("delays", 0.75)
    tx.execute("INSERT INTO delays (flight_id, minutes) SELECT id, arr_delay FROM flights")
    return count


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
