"""``coeval explain``: what a statement reads, whether its results can be cached, and its query plan.

Ring: shell.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

import coeval


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("sql")
@click.argument("parameters", metavar="[PARAM]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(*, file: str, sql: str, parameters: tuple[str, ...], as_json: bool) -> None:
    """Explain what SQL reads in FILE, whether it can be cached, and its query plan.

    PARAM is a number, null, or text; text that looks like a number goes in double quotes: '"7"'. For named parameters
    write :name=value. Write -- before a PARAM that begins with a minus sign.

    Opens the file as an application would: the first time, that installs Coeval's triggers and tables in it. To leave
    the file as it is, set COEVAL_COHERENCE=clock.
    """
    given = _parameters(parameters)
    with coeval.open(file) as db:
        explanation = db.explain(sql, *given)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(explanation), indent=2, ensure_ascii=False))
    else:
        click.echo(str(explanation))


def _parameters(written: tuple[str, ...]) -> tuple[Any, ...]:
    """The parameters for ``db.explain``: positional values, or one mapping where all are written :name=value."""
    named = [text[1:].partition("=") for text in written if text.startswith(":") and "=" in text]
    if named and len(named) == len(written):
        return ({name: _value(value) for name, _, value in named},)
    return tuple(map(_value, written))


def _value(text: str) -> Any:
    """A number, null or quoted text as JSON reads them; anything else is text as it stands, NaN and Infinity too."""
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return text
    return value if value is None or type(value) in {int, float, str} else text
