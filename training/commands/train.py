"""``wheatear train``."""

from __future__ import annotations

from pathlib import Path

import click

from edge.errors import ConfigError


@click.command()
@click.argument("recipe")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="WHEATEAR_DATA",
    help="Folder of the data sets.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Run folder; default runs/NAME[-foldK].")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a value: --set procedure.steps=500.")
@click.option("--fold", type=click.IntRange(1), help="Hold this fold out and measure on it; default: train on all.")
@click.option("--folds", is_flag=True, help="Train once per official fold; a table of all at the end.")
@click.option("--skip-bad", is_flag=True, help="Leave unreadable recordings out, and count them.")
def train(
    recipe: str,
    data: Path,
    out: Path | None,
    changes: tuple[str, ...],
    fold: int | None,
    folds: bool,
    skip_bad: bool,
) -> None:
    """Train a model from a RECIPE (a file, or a name that `wheatear recipes` lists) and write a run folder.

    A GPU is used where there is one, several under torchrun. An interrupted training goes on where it was when the
    same command is given again. The same seed, data, versions and kind of machine give the same weights. TensorBoard
    reads the run folder: tensorboard --logdir runs.

    \b
    Examples:
      wheatear train wheatear-s --data ../shared/data
      wheatear train wheatear-s --data ../shared/data --fold 1 --out runs/fold1
      wheatear train wheatear-s --data ../shared/data --folds
      torchrun --nproc-per-node 4 -m training.cli wheatear-s --data ../shared/data
    """
    if fold and folds:
        raise ConfigError("train: expected --fold or --folds, got both")
    from training import folds as all_folds
    from training import recipe as recipes
    from training.compute import leads
    from training.train import Options
    from training.train import train as run_training
    from training.watch import watching

    say = click.echo if leads() else lambda _: None
    chosen = recipes.load(recipe, changes)
    folder = out or Path("runs") / (chosen.name + (f"-fold{fold}" if fold else ""))

    def one(fold: int | None, folder: Path) -> dict[str, object]:
        metrics = run_training(chosen, data, folder, Options(fold, skip_bad), watching)
        say(f"{folder}: " + ", ".join(f"{k} {_short(v)}" for k, v in metrics.items() if _number(v)))
        return metrics

    try:
        if not folds:
            one(fold, folder)
            return
        found = all_folds.cross_validate(all_folds.folds_of(chosen, data), folder, one)
    except ValueError as error:
        raise ConfigError(f"train: {error}") from None
    if leads():
        all_folds.write(folder, found)
    say(all_folds.table(found))


def _number(value: object) -> bool:
    return isinstance(value, int | float)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
