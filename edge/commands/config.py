"""`wheatear config`: check a configuration file, show what it means, list its keys."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from edge.config import Config, load
from edge.config.check import problems
from edge.config.load import read
from edge.config.migrate import migrate, version_of

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def config() -> None:
    """Check and show configuration files.

    \b
    Examples:
      wheatear config check sensor.toml
      wheatear config show sensor.toml
      wheatear config schema > config.schema.json
    """


@config.command()
@click.argument("path", type=FILE)
@click.pass_context
def check(ctx: click.Context, path: Path) -> None:
    """Say all that is wrong with the file at PATH, a line each; nothing is started."""
    data = read(path)
    found = problems(migrate(data), Config)
    for problem in found:
        click.echo(f"{path}: {problem}", err=True)
    if found:
        ctx.exit(2)
    names = ", ".join(load(path).stream_names)
    old = "" if version_of(data) == Config().version else f" (of version {version_of(data)}, which is still read)"
    click.echo(f"{path}: good{old}; streams: {names}")


@config.command()
@click.argument("path", type=FILE, required=False)
def show(path: Path | None) -> None:
    """Print the configuration with all its defaults, as TOML in today's keys; without PATH, the defaults alone.

    Passwords in URLs are not shown.
    """
    import tomli_w

    from edge.sources.redact import redact

    data = msgspec.to_builtins(load(path) if path else Config())
    for stream in data["streams"]:
        stream["source"] = redact(stream["source"])
    click.echo(tomli_w.dumps({key: _without_none(value) for key, value in data.items()}), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file."""
    text = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Config)}
    click.echo(json.dumps(text, indent=2))


def _without_none(value: object) -> object:
    """TOML has no null: a key that is not given is left out."""
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list | tuple) else value
