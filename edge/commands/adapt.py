"""``wheatear adapt``: thresholds, or a last layer, for the place where a model listens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.config.streams import DEFAULT_MODEL

if TYPE_CHECKING:
    from edge.adapt import Recording
    from edge.inference.model import Model


@click.command()
@click.argument("model", default=DEFAULT_MODEL)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Recordings of the place, in folders called like the classes; other folders hold none of them.",
)
@click.option("--last-layer", is_flag=True, help="Fit the network's last layer instead of choosing thresholds.")
@click.option("--name", help="Add the adapted model to this device's models, by this name.")
@click.option("--replace", is_flag=True, help="Take the place of an added model of the same name.")
def adapt(model: str, data: Path, last_layer: bool, name: str | None, replace: bool) -> None:
    """Choose the thresholds of MODEL from recordings of the hive, garden or room where it will listen.

    The network stays as it is, but for --last-layer, which fits its last layer to the recordings. `right before` and
    `right after` are balanced accuracies on the recordings; after, each recording is judged by what was chosen or
    fitted without it.

    \b
    Examples:
      wheatear adapt wheatear-s --data recordings/
      wheatear adapt hive-compact --data hive3/ --name hive3 && wheatear run --model hive3
      wheatear adapt bird-s --data recordings/ --last-layer --name garden
    """
    from edge import adapt as adapting
    from edge.inference import store
    from edge.inference.model import Model

    folder = store.find(model)
    loaded = Model.load(folder)
    found = adapting.recordings(data, loaded.labels)
    note = f"{len(found)} recordings of the place ({data.name})"
    target = (_last_layer if last_layer else _thresholds)(loaded, folder, found, data, name, note, replace)
    if target:
        click.echo(f"added {target.name}: {target}", err=True)


def _thresholds(
    model: Model, folder: Path, found: list[Recording], data: Path, name: str | None, note: str, replace: bool
) -> Path | None:
    from edge import adapt as adapting

    advice = adapting.advise(model, found)
    _expect_some(bool(advice), data)
    click.echo(
        f"{'class':<22} {'with':>5} {'without':>8} {'on before':>10} {'after':>6} {'right before':>13} {'after':>6}"
    )
    for one in advice:
        (old, new), (before, after), (there, rest) = one.on, one.right, one.recordings
        click.echo(f"{one.label:<22} {there:>5} {rest:>8} {old:>10.2f} {new:>6.2f} {before:>13.0%} {after:>6.0%}")
    if not name:
        return None
    return adapting.save(folder, name, adapting.adapted(model.card.decode, advice), note, replace)


def _last_layer(
    model: Model, folder: Path, found: list[Recording], data: Path, name: str | None, note: str, replace: bool
) -> Path | None:
    from edge import adapt as adapting
    from edge import lastlayer

    weights, fitted = lastlayer.fit(model, found)
    _expect_some(bool(fitted), data)
    click.echo(f"{'class':<22} {'with':>5} {'without':>8} {'right before':>13} {'after':>6}")
    for one in fitted:
        (before, after), (there, rest) = one.right, one.recordings
        click.echo(f"{one.label:<22} {there:>5} {rest:>8} {before:>13.0%} {after:>6.0%}")
    if not name:
        return None
    return adapting.save_layer(folder, name, weights, {one.label: one.right[1] for one in fitted}, note, replace)


def _expect_some(found: bool, data: Path) -> None:
    from edge.adapt import ENOUGH
    from edge.errors import ConfigError

    if not found:
        raise ConfigError(
            f"{data}: expected at least {ENOUGH} recordings with a class and as many without it, got fewer of any"
        )
