"""``wheatear adapt``: thresholds for the place where a model listens."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model", default="esc10-s")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Recordings of the place, in folders called like the classes; other folders hold none of them.",
)
@click.option("--name", help="Add the model with its new thresholds to this device's models, by this name.")
@click.option("--replace", is_flag=True, help="Take the place of an added model of the same name.")
def adapt(model: str, data: Path, name: str | None, replace: bool) -> None:
    """Choose the thresholds of MODEL from recordings of the hive, garden or room where it will listen.

    The network stays as it is. `right before` and `right after` are balanced accuracies on the recordings; after, each
    recording is judged by a threshold that was chosen without it.

    \b
    Examples:
      wheatear adapt esc10-s --data recordings/
      wheatear adapt hive-compact --data hive3/ --name hive3 && wheatear run --model hive3
    """
    from edge import adapt as adapting
    from edge.errors import ConfigError
    from edge.inference import store
    from edge.inference.model import Model

    folder = store.find(model)
    loaded = Model.load(folder)
    found = adapting.recordings(data, loaded.labels)
    advice = adapting.advise(loaded, found)
    if not advice:
        raise ConfigError(
            f"{data}: expected at least {adapting.ENOUGH} recordings with a class and as many without it, got fewer of "
            "every class"
        )
    click.echo(
        f"{'class':<22} {'with':>5} {'without':>8} {'on before':>10} {'after':>6} {'right before':>13} {'after':>6}"
    )
    for one in advice:
        (old, new), (before, after), (there, rest) = one.on, one.right, one.recordings
        click.echo(f"{one.label:<22} {there:>5} {rest:>8} {old:>10.2f} {new:>6.2f} {before:>13.0%} {after:>6.0%}")
    if name:
        rules = adapting.adapted(loaded.card.decode, advice)
        note = f"{len(found)} recordings of the place ({data.name})"
        target = adapting.save(folder, name, rules, note, replace)
        click.echo(f"added {target.name}: {target}", err=True)
