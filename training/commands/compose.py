"""``wheatear compose``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import ConfigError

if TYPE_CHECKING:
    from training.compose import Plan

RANGE = click.FLOAT, click.FLOAT


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    envvar="WHEATEAR_DATA",
    help="Folder of the data sets.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder that is written.")
@click.option("--benchmark", metavar="NAME", help="Compose a benchmark, such as domestic-esc10, instead of the sets.")
@click.option(
    "--foreground", multiple=True, metavar="FORMAT:FOLDER", help="Set of sounds with classes; may be several."
)
@click.option("--background", multiple=True, metavar="FORMAT:FOLDER", help="Set of recordings to lie under them.")
@click.option("--devices", metavar="FILE", help="Instead of scenes: each clip of a set, as the devices of a JSON file.")
@click.option("--labels", metavar="A,B,…", help="Only these classes of the foreground.")
@click.option("--count", type=click.IntRange(1), help="Scenes; with --by-fold, in each fold. Default 100.")
@click.option("--seed", type=click.IntRange(0), help="Same seed, same bytes. Default 0.")
@click.option("--by-fold", is_flag=True, help="Scenes of each official fold from its own recordings.")
@click.option("--seconds", type=float, help="Length of a scene. Default 10.")
@click.option("--rate", type=int, help="Sample rate, Hz. Default 16000.")
@click.option("--events", type=(int, int), metavar="LOW HIGH", help="Sounds in a scene. Default 1 3.")
@click.option("--empty", type=float, help="Share of scenes without any. Default 0.1.")
@click.option("--overlap", type=int, help="Sounds at once, at most. Default 2.")
@click.option("--length", type=RANGE, metavar="LOW HIGH", help="Seconds of a sound. Default 0.1 6.")
@click.option("--snr", type=RANGE, metavar="LOW HIGH", help="dB over the background. Default 0 20.")
@click.option("--level", type=RANGE, metavar="LOW HIGH", help="dBFS of the background. Default -50 -30.")
@click.option("--container", type=click.Choice(["flac", "wav"]), help="Of the files. Default flac.")
@click.option("--skip-bad", is_flag=True, help="Leave recordings out that cannot be read.")
def compose(data: Path, out: Path, benchmark: str | None, devices: str | None, skip_bad: bool, **options: Any) -> None:
    """Write scenes with exact labels: sounds of known classes over backgrounds.

    FORMAT is a known set (esc10, piha …) or an on-disk format (folders, table …); FOLDER lies below --data.
    OUT gets audio/, strong.tsv, order.tsv, weak.tsv and scenes.json; the format `composed` reads it back.

    With --devices FILE (`microphones`, or one of your own) it writes the clips of one set as several microphones hear
    them: audio/, labels.csv and devices.json; the format `devices` reads it back.

    \b
    Examples:
      wheatear compose --benchmark domestic-esc10 --out scenes
      wheatear compose --foreground folders:calls --background soundscapes:forest --out scenes --count 500 --snr 0 15
      wheatear compose --devices microphones --foreground esc10:esc10 --out esc10-devices
    """
    from training import compose as composing

    if devices:
        _rerecord(devices, data, out, skip_bad, {"benchmark": benchmark, **options})
        return
    plan = _plan(benchmark, options)
    try:
        for done, total in composing.compose(plan, data, out, skip_bad=skip_bad):
            _show(done, total, "scenes")
        held = composing.summary(out)
    except ValueError as error:
        raise ConfigError(f"compose: {error}") from None
    sounds = ", ".join(f"{label} {count}" for label, count in held["sounds"].items())
    click.echo(f"{out}: {held['scenes']} scenes, {held['seconds']:g} s, {held['empty']} empty; {sounds}")


def _rerecord(devices: str, data: Path, out: Path, skip_bad: bool, options: dict[str, Any]) -> None:
    """Write the clips of one set as each device hears them."""
    from training import rerecord as rerecording
    from training.data import device

    foreground, labels, rate = (options.pop(name) for name in ("foreground", "labels", "rate"))
    other = next((name for name, value in options.items() if value), None)
    if other:
        raise ConfigError(f"expected --devices without --{other.replace('_', '-')}, which is for scenes, got both")
    if len(foreground) != 1:
        raise ConfigError(f"expected --devices with one --foreground FORMAT:FOLDER, got {len(foreground)}")
    chosen = device.load(devices)
    try:
        clips = rerecording.rerecord(
            _set(foreground[0], labels), chosen, data, out, rate or rerecording.RATE, skip_bad=skip_bad
        )
        total = 0
        for done, total in clips:
            _show(done, total, "clips")
    except ValueError as error:
        raise ConfigError(f"compose: {error}") from None
    click.echo(f"{out}: {total} clips, {total // len(chosen)} by each of {', '.join(one.name for one in chosen)}")


def _plan(benchmark: str | None, options: dict[str, Any]) -> Plan:
    """Return the benchmark's plan, or that of the options, with what the options change."""
    from msgspec import structs, to_builtins

    from training import compose as composing

    foreground, background = options["foreground"], options["background"]
    if bool(benchmark) == bool(foreground or background):
        raise ConfigError("expected either --benchmark, or --foreground and --background, got both or neither")
    plan: dict[str, Any] = to_builtins(composing.benchmark(benchmark)) if benchmark else {}
    if not benchmark:
        plan["foreground"] = [_set(text, options["labels"]) for text in foreground]
        plan["background"] = [_set(text) for text in background]
    elif options["labels"]:
        raise ConfigError("expected --labels with --foreground, got it with --benchmark, which has its own classes")
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    own = {field.encode_name for field in structs.fields(composing.SceneSettings)}
    plan["scenes"] = {**plan.get("scenes", {}), **{name: value for name, value in given.items() if name in own}}
    plan.update({name: given[name] for name in ("count", "seed", "by_fold", "container") if name in given})
    return composing.parse(plan)


def _set(text: str, labels: str | None = None) -> dict[str, Any]:
    """Return the table of ``FORMAT:FOLDER``."""
    from training.data import sets

    kind, colon, folder = text.partition(":")
    if not colon or not folder:
        raise ConfigError(f"expected FORMAT:FOLDER, such as esc10:esc10 or folders:calls, got {text!r}")
    chosen = {"labels": [name.strip() for name in labels.split(",")]} if labels else {}
    return {**sets.table(kind), "folder": folder, **chosen}


def _show(done: int, total: int, what: str) -> None:
    """Draw a bar on a terminal; elsewhere say nothing."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        click.echo(f"\r{'█' * (30 * done // total):░<30} {done}/{total} {what}{end}", err=True, nl=False)
