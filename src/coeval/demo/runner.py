"""The demonstration from beginning to end: the data, the two phases or the page, and what they showed.

Ring: shell.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

import coeval

from ..errors import ConfigError, OpenError
from . import data, report, source
from .checker import Verdict
from .load import Load, Plan
from .neighbour import Neighbour
from .phase import Phase, measure
from .server import Server
from .truth import Timetable

__all__ = ["run"]

T = TypeVar("T")


def run(
    *, folder: Path | None, seconds: float, serve: bool, port: int, workers: int = 2, json_output: bool = False
) -> int:
    """See ``coeval.demo.run``."""
    if seconds <= 0 or workers < 1 or not 0 <= port <= 65535:
        raise ConfigError(
            f"The demonstration cannot run with seconds={seconds}, workers={workers}, port={port}.",
            hint="seconds above 0, at least one worker, a port from 0 (any that is free) to 65535",
        )
    # With --json the standard output is for the figures alone.
    console = Console(stderr=json_output)
    try:
        with _terminable(), _workplace(folder) as (home, scratch):
            original = _prepare(console, home)
            if serve:
                return asyncio.run(_serve(console, original, scratch, port, workers))
            off, on = asyncio.run(_until_told(_measure(console, original, scratch, seconds, workers)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped.")
        return 130
    if json_output:
        json.dump({"off": report.as_json(off), "on": report.as_json(on)}, sys.stdout, indent=2)
        print()
    else:
        report.show(console, off, on)
        report.next_steps(console)
    return 0 if off.good and on.good else 1


@contextmanager
def _terminable() -> Iterator[None]:
    """Being told to end is taken as Ctrl-C, so that processes and folders are cleared away then too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:  # not by way of SIGINT, which a script's background jobs ignore
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _workplace(folder: Path | None) -> Iterator[tuple[Path, Path]]:
    """A folder for the data and one for the run. The latter is always removed, the former only when nobody named it."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="coeval-demo-", dir=folder))
    except OSError as error:
        raise OpenError(
            f"The demonstration cannot use the folder {folder or tempfile.gettempdir()}: {error.strerror}.",
            hint="Name a folder that can be written, with about 300 MB of room.",
        ) from error
    try:
        yield folder or scratch, scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _prepare(console: Console, home: Path) -> Path:
    """The data file: the one from last time, or a new one."""
    original = home / data.NAME
    if original.exists():
        data.check(original)
        console.print(f"Using the data in {original}.", highlight=False)
        return original
    csv_folder = source.find()
    with _progress(console) as progress:
        task = progress.add_task("Building the data", total=1.0)
        count = data.build(
            original,
            csv_folder,
            lambda what, part: progress.update(task, completed=part, description=f"Building the data: {what}"),
        )
    size = original.stat().st_size / 1e6
    console.print(f"{count:,} real flights from New York City in 2013, {size:,.0f} MB.", highlight=False)
    return original


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    """``work``, which being told to end cancels, as Ctrl-C does: what a signal's handler raises could come up in any callback."""
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        return await work
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


async def _measure(
    console: Console, original: Path, scratch: Path, seconds: float, workers: int
) -> tuple[Phase, Phase]:
    with coeval.open(original, cache=None, coherence="clock") as db:
        timetable = Timetable.read(db.iterate)
    plan = Plan(seconds=seconds, workers=workers)
    console.print(
        f"{plan.visitors} visitors, {workers} workers, {1 - plan.write_share:.0%} reads and {plan.write_share:.0%} writes, "
        "and another program that writes with plain sqlite3. Every answer is checked.",
        highlight=False,
    )
    phases = []
    with _progress(console) as progress:
        for cache in (False, True):
            task = progress.add_task(f"Cache {'on' if cache else 'off'}: starting", total=seconds)

            def tell(load: Load, verdict: Verdict, task: TaskID = task, cache: bool = cache) -> None:
                rate = load.requests / load.elapsed
                said = f"Cache {'on' if cache else 'off'}: {rate:,.0f} requests/s, {verdict.stale} stale"
                progress.update(task, completed=load.elapsed, description=said)

            place = scratch / ("on" if cache else "off")
            place.mkdir()
            phases.append(await measure(original, place, timetable, plan, cache=cache, on_progress=tell))
            progress.update(task, completed=seconds)
            data.remove(place / data.NAME)
    off, on = phases
    return off, on


async def _serve(console: Console, original: Path, scratch: Path, port: int, workers: int) -> int:
    """Leaves the application running over a copy of the data until Ctrl-C."""
    database = scratch / "served.db"
    async with Neighbour(original) as copier:
        await copier.copy(database)
    async with Server(database, scratch, cache=True, port=port, workers=workers) as server:
        console.print(f"\n  The page: [bold cyan]{server.url}[/]   Ctrl-C ends it.\n", highlight=False)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        ended = asyncio.create_task(server.wait())
        asked = asyncio.create_task(stopped.wait())
        done, _ = await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            ended.result()
        ended.cancel()
    console.print("Stopped; what was recorded on the page is gone with the copy it was recorded in.")
    return 0


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn(), console=console
    )
