"""The command `wheatear`. Standard output carries only results; logs and errors go to standard error."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from importlib.metadata import entry_points, version
from typing import Any

import click
import platformdirs

from edge.commands.output import discard
from edge.errors import WheatearError

COMMANDS = {
    "run": "edge.commands.run:run",
    "listen": "edge.commands.listen:listen",
    "devices": "edge.commands.devices:devices",
    "config": "edge.commands.config:config",
    "warm": "edge.commands.warm:warm",
    "models": "edge.commands.models:models",
    "adapt": "edge.commands.adapt:adapt",
    "keys": "edge.commands.keys:keys",
    "schema": "edge.commands.schema:schema",
    "demo": "edge.commands.demo:demo",
    "doctor": "edge.commands.doctor:doctor",
    "install-service": "edge.commands.service:install_service",
    "uninstall-service": "edge.commands.service:uninstall_service",
}
EXTRAS = {"training": "train", "export": "export", "bench": "bench"}


class Commands(click.Group):
    """Loads a command's module only when it is called: `wheatear listen` needs no inference runtime."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Built-in commands in their order of use, then those of installed extras."""
        return [*COMMANDS, *sorted(point.name for point in entry_points(group="wheatear.commands"))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        """Import and return a command; an extra that is not installed says what to type."""
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        for point in entry_points(group="wheatear.commands", name=cmd_name):
            try:
                loaded: click.Command = point.load()
            except ModuleNotFoundError as error:
                return _missing(cmd_name, EXTRAS[point.module.partition(".")[0]], error)
            return loaded
        return None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an expected error is one line on standard error and an exit code."""
        try:
            return super().invoke(ctx)
        except WheatearError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except ModuleNotFoundError as error:  # a command loads its libraries when it runs
            name = str(ctx.invoked_subcommand)
            extra = _extra_of(name)
            if extra is None:
                raise
            click.echo(f"Error: {name} needs the package {error.name!r}: pip install 'wheatear[{extra}]'", err=True)
            ctx.exit(2)


def _extra_of(command: str) -> str | None:
    """The extra that a command belongs to; None for the device's own."""
    points = list(entry_points(group="wheatear.commands", name=command))
    return EXTRAS[points[0].module.partition(".")[0]] if points else None


def _missing(name: str, extra: str, error: ModuleNotFoundError) -> click.Command:
    @click.command(name, help=f"Needs an extra: pip install 'wheatear[{extra}]'", add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def missing(arguments: tuple[str, ...]) -> None:  # noqa: ARG001  # taken so that any call reaches the message
        raise click.UsageError(f"{name} needs the package {error.name!r}: pip install 'wheatear[{extra}]'")

    return missing


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("wheatear"), "--version", message="wheatear %(version)s")
@click.option("-v", "--verbose", count=True, help="More on standard error; twice for every detail.")
def cli(verbose: int) -> None:
    """Wheatear listens: sound events from a microphone, published over ZeroMQ.

    \b
    Examples:
      wheatear demo                        hear a synthesised scene, in real time
      wheatear run                         listen to the default microphone
      wheatear run --source dawn.flac      the events of a file
      wheatear listen                      subscribe to a running daemon
    """
    level = [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("edge.daemon").setLevel(min(level, logging.INFO))  # that it runs, and what a reload did


def _private_numba_cache() -> None:
    """Point numba at a folder that only this user can write: its cache is a pickle."""
    if "NUMBA_CACHE_DIR" not in os.environ:
        folder = platformdirs.user_cache_path("wheatear") / "numba"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return  # numba then compiles in memory, at each start
        os.environ["NUMBA_CACHE_DIR"] = str(folder)


def main() -> None:
    """Entry point: one line and an exit code for every error a user can do something about."""
    _private_numba_cache()
    try:
        sys.exit(cli(standalone_mode=False))  # None, or the code of `ctx.exit`
    except click.Abort:
        sys.exit(0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (BrokenPipeError, KeyboardInterrupt):
        discard()  # standard output may be gone: nothing is left to flush into it
        sys.exit(0)
