"""``coeval uninstall``: the file becomes plain SQLite again.

Ring: shell.
"""

from __future__ import annotations

import click

import coeval


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall(*, file: str, yes: bool) -> None:
    """Remove Coeval's tables and triggers from FILE; your own tables and data stay as they are.

    Stop the programs that use the file through Coeval first: they would install them again.
    """
    if not yes:
        click.confirm(f"Remove Coeval's tables and triggers from {file}?", abort=True)
    removed = coeval.uninstall(file)
    for name in removed:
        click.echo(f"removed {name}")
    if removed:
        click.echo(f"{file} is plain SQLite again.")
    else:
        click.echo(f"{file} has nothing of Coeval's: nothing to remove.")
