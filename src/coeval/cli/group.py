"""What all commands share: ``coeval --version``, ``--help``, and how an error is shown.

Ring: shell.
"""

from __future__ import annotations

from typing import Any

import click

from coeval import __version__
from coeval.errors import Error

from .demo import demo
from .explain import explain
from .restamp import restamp
from .uninstall import uninstall


class Commands(click.Group):
    """A group that shows an error of ours as a message and its cure, without a traceback, and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Error as error:
            click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
            for line in error.hint.splitlines():
                click.echo(f"  {line}", err=True)
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="coeval")
def coeval() -> None:
    """SQLite with a cache that is never stale."""


coeval.add_command(demo)
coeval.add_command(explain)
coeval.add_command(restamp)
coeval.add_command(uninstall)
