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
def compose(data: Path, out: Path, benchmark: str | None, skip_bad: bool, **options: Any) -> None:
    """Write scenes with exact labels: sounds of known classes over backgrounds.

    FORMAT is a known set (esc10, piha …) or an on-disk format (folders, table …); FOLDER lies below --data.
    OUT gets audio/, strong.tsv, order.tsv, weak.tsv and scenes.json; the format `composed` reads it back.

    \b
    Examples:
      wheatear compose --benchmark domestic-esc10 --out scenes
      wheatear compose --foreground folders:calls --background soundscapes:forest --out scenes --count 500 --snr 0 15
    """
    from training import compose as composing

    plan = _plan(benchmark, options)
    try:
        for done, total in composing.compose(plan, data, out, skip_bad=skip_bad):
            _show(done, total)
        held = composing.summary(out)
    except ValueError as error:
        raise ConfigError(f"compose: {error}") from None
    sounds = ", ".join(f"{label} {count}" for label, count in held["sounds"].items())
    click.echo(f"{out}: {held['scenes']} scenes, {held['seconds']:g} s, {held['empty']} empty; {sounds}")


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


def _show(done: int, total: int) -> None:
    """Draw a bar on a terminal; elsewhere say nothing."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        click.echo(f"\r{'█' * (30 * done // total):░<30} {done}/{total} scenes{end}", err=True, nl=False)
