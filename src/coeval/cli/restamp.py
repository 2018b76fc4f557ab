"""``coeval restamp``: nothing that was ever cached of the file is trusted any more (hole 20).

Ring: shell.
"""

from __future__ import annotations

import click

import coeval


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def restamp(*, file: str) -> None:
    """Give FILE new stamps, so that no result cached before is served again, by any process or server.

    For a file that lives twice, where random numbers may repeat: after a virtual machine was cloned, or a process restored from an
    image. Run it in one of the two before anything is written there. Programs may have the file open.

    Opens the file as an application would: the first time, that installs Coeval's triggers and tables in it.
    """
    with coeval.open(file) as db:
        db.restamp()
    click.echo(f"{file} has new stamps: what was cached before is worth nothing.")
