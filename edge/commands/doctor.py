"""`wheatear doctor`: what is wrong with this device, and what to type."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from edge.commands.format import plain
from edge.config import Config, load
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.doctor.finding import Finding

USUAL = Path("/etc/wheatear/sensor.toml")
MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
FLOOR_MB = 200


@click.command()
@click.option("--config", "-c", "path", type=click.Path(path_type=Path), help=f"A TOML file (default: {USUAL}).")
@click.option("--seconds", default=2.0, type=click.FloatRange(0.1, 60), help="Listen for so long to each stream.")
@click.option("--no-sound", is_flag=True, help="Leave the microphones alone: a running daemon may hold them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def doctor(ctx: click.Context, path: Path | None, seconds: float, no_sound: bool, as_json: bool) -> None:
    """Look at all that a sensor needs; each line says what is so, and below it what to type.

    Ends with 1 where something does not work. Run it as the user that the daemon runs as.

    \b
    Examples:
      wheatear doctor
      wheatear doctor --config sensor.toml --seconds 5
      sudo wheatear doctor --no-sound --json
    """
    failed = False
    for found in examine(path, seconds, not no_sound):
        failed |= found.level == "fail"
        if as_json:
            click.echo(msgspec.json.encode(found))
            continue
        click.echo(f"{MARKS[found.level]}  {found.check:<18}  {plain(found.text)}")
        if found.fix:
            click.echo(f"      {'':<18}  → {plain(found.fix)}")
    ctx.exit(1 if failed else 0)


def examine(path: Path | None, seconds: float, listen: bool) -> Iterator[Finding]:
    """All findings, as they come."""
    from edge.config.profile import resolve, use_cache
    from edge.doctor import system
    from edge.doctor.finding import fail, run

    path = path or (USUAL if USUAL.exists() else None)
    try:
        config = load(path) if path else Config()
        use_cache(resolve(config.device_profile))
    except ConfigError as error:
        yield fail("configuration", str(error), "wheatear config schema lists the keys")
        config = Config()
    else:
        from edge.doctor import program

        yield program.configuration(config, path)
    yield from run("clock", system.clock)
    yield from run("disk", lambda: _disks(config))
    yield from run("memory", system.memory)
    yield from run("temperature", system.heat)
    yield from run("kernels", lambda: system.kernels(_kernels()))
    yield from run("service", system.service)
    yield from run("ports", lambda: _ports(config))
    yield from run("model", lambda: _models(config))
    if listen:
        yield from _sound(config, seconds)


def _disks(config: Config) -> Iterator[Finding]:
    from edge.doctor.system import disk
    from edge.publish.clips import folder

    yield disk("disk of journal", config.journal_path.parent, FLOOR_MB)
    if config.clips.enabled:
        yield disk("disk of clips", folder(config.clips), max(FLOOR_MB, config.clips.min_free_mb))


def _kernels() -> Path:
    import os

    import platformdirs

    return Path(os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_path("wheatear") / "numba")


def _ports(config: Config) -> Iterator[Finding]:
    from edge.doctor.program import ports

    return ports(config)


def _models(config: Config) -> Iterator[Finding]:
    from edge.doctor.program import models

    return models(config)


def _sound(config: Config, seconds: float) -> Iterator[Finding]:
    from edge.doctor import sound, system
    from edge.doctor.finding import run
    from edge.sources.parse import kind_of

    if any(kind_of(stream.source)[0] == "mic" for stream in config.streams):
        yield from run("permissions", system.permissions)
        yield from run("sound system", sound.devices)
    for stream in config.streams:
        yield from run(f"sound of {stream.stream_name}", partial(sound.hear, stream, seconds))
