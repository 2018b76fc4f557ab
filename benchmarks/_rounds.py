"""Side by side: many short rounds in which every side has its turn, so that the machine's drift hits all alike.

A side is a function that does its work once or often and returns the seconds that one operation took. Ratios are formed
within each round, and their median is what is quoted: a slow moment is in both numbers of a round, or in one round of many.
"""

from __future__ import annotations

import json
import platform
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from timeit import Timer
from typing import Any

import apsw

Side = Callable[[], float]

MACHINE = f"Python {platform.python_version()}, APSW {apsw.apsw_version()}, SQLite {apsw.sqlite_lib_version()}"


@dataclass
class Verdicts:
    """What was held against a limit, and what is told for information."""

    checks: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)

    def check(self, what: str, value: float, limit: float, unit: str, *, least: bool = False) -> None:
        """Hold ``value`` against ``limit``: at most that, or at least."""
        passed = value >= limit if least else value <= limit
        self.checks.append(
            {"what": what, "value": value, "limit": limit, "unit": unit, "least": least, "passed": passed}
        )

    def note(self, what: str, value: float) -> None:
        """A number for information."""
        self.notes[what] = value

    @property
    def failures(self) -> int:
        return sum(not check["passed"] for check in self.checks)


@dataclass
class Measured(Verdicts):
    """Seconds per operation of every side, a list of rounds each."""

    times: dict[str, list[float]] = field(default_factory=dict)

    def least(self, side: str) -> float:
        return min(self.times[side]) * 1e6

    def usual(self, side: str) -> float:
        return median(self.times[side]) * 1e6

    def ratio(self, side: str, base: str) -> float:
        """How many times ``base`` ``side`` took: the median over the rounds."""
        return median(a / b for a, b in zip(self.times[side], self.times[base], strict=True))

    def over(self, side: str, base: str) -> float:
        """Microseconds of ``side`` beyond ``base``: the median over the rounds."""
        return median(a - b for a, b in zip(self.times[side], self.times[base], strict=True)) * 1e6


def alternate(sides: Mapping[str, Side], rounds: int) -> Measured:
    """Every side once a round, after two rounds for warming up.

    The order is another each time, so that nobody always comes after the same one and pays for what that has left behind.
    """
    order, shuffle = list(sides), random.Random(1).shuffle
    times: dict[str, list[float]] = {name: [] for name in order}
    for number in range(-2, rounds):
        for name in order:
            taken = sides[name]()
            if number >= 0:
                times[name].append(taken)
        shuffle(order)
    return Measured(times=times)


def loop(statement: str, names: Mapping[str, Any], count: int) -> Side:
    """A side that runs ``statement`` ``count`` times. The garbage collector stays on, as in an application."""
    timer = Timer(statement, "import gc; gc.enable()", globals=dict(names))
    return lambda: timer.timeit(count) / count


def report(measured: Measured, title: str, groups: Mapping[str, list[str]], *, as_json: bool) -> int:
    """Print all of it; 1 where a limit was passed."""
    sides = {name: {"min": measured.least(name), "median": measured.usual(name)} for name in measured.times}
    rounds = len(next(iter(measured.times.values())))
    rows = {group: {name: list(sides[name].values()) for name in names} for group, names in groups.items()}
    if not as_json:
        table(f"{title}. {MACHINE}", ["µs an operation", "min", f"median of {rounds}"], rows)
    return conclude(measured, {"title": title, "machine": MACHINE, "microseconds": sides}, as_json=as_json)


def conclude(verdicts: Verdicts, facts: Mapping[str, Any], *, as_json: bool) -> int:
    """Print notes and verdicts after a table, or ``facts`` with both as JSON; 1 where a limit was passed."""
    if as_json:
        print(json.dumps({**facts, "notes": verdicts.notes, "checks": verdicts.checks}, indent=2))
        return int(verdicts.failures > 0)
    width = max(map(len, (*verdicts.notes, *(check["what"] for check in verdicts.checks))))
    for what, value in verdicts.notes.items():
        print(f"      {what:{width}} {value:9.2f}")
    for check in verdicts.checks:
        verdict = "PASS" if check["passed"] else "FAIL"
        sign = "≥" if check["least"] else "≤"
        print(
            f"{verdict}  {check['what']:{width}} {check['value']:9.2f}   limit {sign} {check['limit']:g} {check['unit']}"
        )
    return int(verdicts.failures > 0)


def table(title: str, heads: Sequence[str], groups: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Numbers, a row for each side; the first head is that of the sides."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(title)
        print(f"{heads[0]:58} " + " ".join(f"{head:>13}" for head in heads[1:]))
        for group, sides in groups.items():
            print(group)
            for name, values in sides.items():
                print(f"  {name:56} " + " ".join(f"{_shown(value):>13}" for value in values))
        return
    drawn = Table(title=title, title_justify="left")
    drawn.add_column(heads[0], min_width=46)
    for head in heads[1:]:
        drawn.add_column(head, justify="right")
    for group, sides in groups.items():
        drawn.add_row(f"[bold]{group}")
        for name, values in sides.items():
            drawn.add_row(f"  {name}", *map(_shown, values))
    Console(width=None if sys.stdout.isatty() else 150, highlight=False).print(drawn)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
