"""The commands of ``wheatear``, one module each."""

from __future__ import annotations

from typing import Any

import click

from edge.errors import WheatearError


class Command(click.Command):
    """A command whose expected errors are one line on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except WheatearError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
