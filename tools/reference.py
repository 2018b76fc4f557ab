"""Writes docs/reference.md from the code: faces, settings, results, errors, commands. With --check it only compares.

python tools/reference.py            writes the page
python tools/reference.py --check    exits with 1 where the page is not what would be written
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import click

import coeval
from coeval import errors, events
from coeval.cli.group import coeval as commands
from coeval.config import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

FACES = (
    coeval.Database, coeval.CachedFunction, coeval.PlainValues, coeval.Transaction, coeval.Snapshot, coeval.Blob,
    coeval.AsyncDatabase,
)  # fmt: skip
RESULTS = (
    coeval.Row, coeval.RowStream, coeval.Result, coeval.Loaded, coeval.Statistics, coeval.Explanation,
    coeval.CacheInfo, coeval.Loss, coeval.Check, coeval.Checkpoint,
)  # fmt: skip


def written() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Made from the docstrings by `tools/reference.py`; a test fails where the two differ.",
        "## Functions",
        *(_call(getattr(coeval, name), f"coeval.{name}") for name in ("open", "aopen", "uninstall")),
        "## Settings of `coeval.open`",
        "An argument of `coeval.open` comes before the URL's query, that before the environment, that before the default.",
        _settings(),
        *(part for face in FACES for part in _class(face)),
        *(part for kind in RESULTS for part in _class(kind)),
        "## Events",
        _text(events.__doc__).split("\n\nRing")[0],
        "## Errors",
        "All are in `coeval.errors`; `coeval.Error` is the root. `error.hint` is the cure, `error.message` the rest.",
        _tree(),
        "## Commands",
        *(_command(name, command) for name, command in sorted(commands.commands.items())),
    ]
    return "\n\n".join(parts) + "\n"


def _settings() -> str:
    rows = ["| setting | default | environment | what it does |", "|---|---|---|---|"]
    for field in dataclasses.fields(Settings):
        if field.metadata:
            variable = f"`COEVAL_{field.name.upper()}`" if field.name != "on_connect" else ""
            rows.append(f"| `{field.name}` | `{field.default!r}` | {variable} | {field.metadata['about']} |")
    return "\n".join(rows)


def _class(kind: type[Any]) -> list[str]:
    parts = [f"## `coeval.{kind.__name__}`", _text(kind.__doc__)]
    fields = tuple(getattr(kind, "__dataclass_fields__", getattr(kind, "_fields", ())))
    if fields:
        parts.append("Fields: " + ", ".join(f"`{name}`" for name in fields) + ".")
    for name, member in sorted(inspect.getmembers(kind)):
        if name.startswith("_") or name in fields:
            continue
        if isinstance(member, property):
            parts.append(f"### `{name}`\n\n{_text(member.fget.__doc__)}".rstrip())
        elif inspect.isfunction(member) and member.__module__.startswith("coeval") and member.__doc__:
            parts.append(_call(member, name))
    return parts


def _call(function: Any, name: str) -> str:
    signature = str(inspect.signature(function)).replace("(self, ", "(").replace("(self)", "()")
    signature = re.sub(r"\b(?:os|collections\.abc|typing|coeval\.\w+)\.", "", signature).replace("'", "")
    return f"### `{name}{signature}`\n\n{_text(function.__doc__)}"


def _tree() -> str:
    tree = _text(errors.__doc__).split("\n\n")[1]
    return f"```text\n{inspect.cleandoc(tree)}\n```"


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"coeval {name}", terminal_width=100, max_content_width=100)
    return f"### `coeval {name}`\n\n```text\n{command.get_help(context)}\n```"


def _text(doc: str | None) -> str:
    return inspect.cleandoc(doc or "").replace("``", "`")


if __name__ == "__main__":
    page = written()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text() != page:
            sys.exit("docs/reference.md is not what the code says: run `python tools/reference.py`")
    else:
        PAGE.write_text(page)
