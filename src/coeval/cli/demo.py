"""``coeval demo``: the demonstration on real flights.

Ring: shell.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=20.0,
    show_default=True,
    help="How long each of the two measurements lasts: without the cache, and with it.",
)
@click.option("--serve", is_flag=True, help="Measure nothing: leave the application running, with a page to look at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="With --serve, the port of the page; 0 takes one that is free.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data file here for the next time.  [default: a temporary folder]",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes that serve the application."
)
@click.option("--json", "json_output", is_flag=True, help="Print the figures as JSON.")
def demo(*, seconds: float, serve: bool, port: int, folder: Path | None, workers: int, json_output: bool) -> None:
    """Show what Coeval does, on 336,776 real flights.

    Puts the same load on a small web application with the cache off and on, checks every answer while it runs, and
    prints one table. Takes under two minutes, and needs no server and no network.
    """
    from coeval.demo import run

    sys.exit(run(folder=folder, seconds=seconds, serve=serve, port=port, workers=workers, json_output=json_output))
