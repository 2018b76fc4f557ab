"""What the demonstration prints: one table of what was measured, and what to do next. No figure that was not measured.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .phase import Phase

__all__ = ["QUICK_START", "as_json", "next_steps", "show"]

QUICK_START = """\
import coeval

db = coeval.open("app.db")          # tuned, durable, cached in memory
db.script("CREATE TABLE users (id INTEGER PRIMARY KEY, name, region)")

sql = "INSERT INTO users (name, region) VALUES (?, ?)"
db.execute(sql, "Ada", "EU")        # on the disk when it returns

sql = "SELECT id, name FROM users WHERE region = ?"
for user in db.query(sql, "EU"):    # cached, never stale
    print(user["id"], user["name"])
"""


def show(console: Console, off: Phase, on: Phase) -> None:
    """The table, and below it whatever went wrong."""
    table = Table(
        title="The same load, without the cache and with one that starts empty",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("")
    for name in ("cache off", "cache on", "ratio"):
        table.add_column(name, justify="right")
    for label, measured, text, ratio in _ROWS:
        before, after = measured(off), measured(on)
        table.add_row(label, text(before), text(after), ratio(before, after), end_section=label in _SECTIONS)
    console.print(table)
    for phase in (off, on):
        _complain(console, phase)


def next_steps(console: Console) -> None:
    """What somebody who has seen the table does next."""
    console.print(
        Panel(
            Group(
                Text("Ten lines to begin with:", style="bold"),
                Syntax(QUICK_START, "python", background_color="default"),
                Text.assemble(("coeval demo --serve", "bold cyan"), "   the same application as a page to look at"),
                Text.assemble(
                    ("coeval explain app.db 'SELECT …'", "bold cyan"),
                    "   what it reads, can it be cached",
                ),
            ),
            title="What next",
            title_align="left",
        )
    )


def as_json(phase: Phase) -> dict[str, Any]:
    """The same figures for a program."""
    return {
        "cache": phase.cache,
        "requests": phase.load.requests,
        "seconds": phase.load.elapsed,
        "requests_per_second": _rate(phase),
        **{f"p{share}_ms": _milliseconds(phase.percentile(share / 100)) for share in (50, 95, 99)},
        "statements": _statements(phase),
        "hit_rate": phase.counted["hit_rate"],
        "answers_checked": phase.verdict.checked,
        "stale": phase.verdict.stale,
        "wrong": phase.verdict.wrong,
        "writes_acknowledged": phase.verdict.acknowledged,
        "writes_found": phase.verdict.found,
        "writes_by_the_other_program": phase.load.foreign,
        "failures": dict(phase.load.failures),
        "compared_with_plain_sql": phase.compared,
        "disagreements": phase.disagreements,
        "good": phase.good,
    }


def _complain(console: Console, phase: Phase) -> None:
    name = f"cache {'on' if phase.cache else 'off'}"
    for example in phase.verdict.examples:
        console.print(f"[red]{name}, an untrue answer:[/] {example}", highlight=False)
    for reason, count in phase.load.failures.most_common(3):
        console.print(f"[red]{name}, {count} failed:[/] {reason}", highlight=False)
    for path in phase.disagreements[:3]:
        console.print(f"[red]{name}, the checker's model and the database differ:[/] {path}", highlight=False)


def _rate(phase: Phase) -> float | None:
    return phase.load.requests / phase.load.elapsed if phase.load.elapsed else None


def _statements(phase: Phase) -> int:
    return int(phase.counted["database"].get("statements", 0))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2f}"


def _time(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _more(before: float | None, after: float | None) -> str:
    return f"{after / before:,.1f} ×" if before and after else ""


def _less(before: float | None, after: float | None) -> str:
    return f"{before / after:,.1f} × less" if before and after and before >= after else _more(before, after)


def _none(_before: Any, _after: Any) -> str:
    return ""


_Row = tuple[str, Callable[[Phase], Any], Callable[[Any], str], Callable[[Any, Any], str]]

_ROWS: tuple[_Row, ...] = (
    ("requests/s", _rate, _number, _more),
    ("answered in, p50", lambda p: _milliseconds(p.percentile(0.50)), _time, _less),
    ("p95", lambda p: _milliseconds(p.percentile(0.95)), _time, _less),
    ("p99", lambda p: _milliseconds(p.percentile(0.99)), _time, _less),
    ("requests", lambda p: p.load.requests, _number, _none),
    ("SQL statements run", _statements, _number, _none),
    ("statements per request", lambda p: _statements(p) / max(1, p.load.requests), _number, _less),
    ("hit rate", lambda p: p.counted["hit_rate"] if p.cache else None, _share, _none),
    ("answers checked", lambda p: p.verdict.checked, _number, _none),
    ("stale answers", lambda p: p.verdict.stale, lambda n: f"[{'green' if n == 0 else 'bold red'}]{n}[/]", _none),
    ("wrong answers", lambda p: p.verdict.wrong, lambda n: f"[{'green' if n == 0 else 'bold red'}]{n}[/]", _none),
    ("writes acknowledged", lambda p: p.verdict.acknowledged, _number, _none),
    ("… of these by plain sqlite3", lambda p: p.load.foreign, _number, _none),
    ("… found in the file", lambda p: p.verdict.found, _number, _none),
)
_SECTIONS = ("p99", "hit rate", "wrong answers")
