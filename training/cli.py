"""``wheatear train`` and ``wheatear evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.errors import ConfigError


@click.command()
@click.argument("recipe")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the data sets."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Run folder; default runs/NAME[-foldK].")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a value: --set fit.steps=500.")
@click.option("--fold", type=click.IntRange(1, 4), help="Hold this fold out and measure on it; default: train on all.")
def train(recipe: str, data: Path, out: Path | None, changes: tuple[str, ...], fold: int | None) -> None:
    """Train a model from a RECIPE (a file, or a built-in name such as esc10-s) and write a run folder.

    An interrupted training goes on where it was when the same command is given again. The same seed, data and
    versions give the same weights.

    \b
    Examples:
      wheatear train esc10-s --data ../shared/data
      wheatear train esc10-s --data ../shared/data --fold 1 --out runs/fold1
    """
    from training import recipe as recipes
    from training.train import train as run_training

    chosen = recipes.load(recipe, changes)
    folder = out or Path("runs") / (chosen.name + (f"-fold{fold}" if fold else ""))
    try:
        metrics = run_training(chosen, data, folder, fold, _report)
    except ValueError as error:
        raise ConfigError(f"train: {error}") from None
    click.echo(f"{folder}: " + ", ".join(f"{k} {v}" for k, v in metrics.items() if isinstance(v, int | float)))


def _report(step: int, loss: float, seconds: float) -> None:
    click.echo(f"step {step:5d}  loss {loss:.4f}  {seconds:6.1f} s", err=True)


@click.command()
@click.argument("fold_runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="Folder.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), required=True, envvar="WHEATEAR_DATA")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write OUT.json and OUT.md.")
def evaluate(fold_runs: tuple[Path, ...], model: Path, data: Path, out: Path | None) -> None:
    """Measure FOLD_RUNS on the folds that they never saw, and a model folder on what must stay quiet.

    Both by the decision rules of the model's card.

    \b
    Example:
      wheatear evaluate runs/esc10-s-fold* --model edge/zoo/esc10-s --data ../shared/data --out docs/results
    """
    from training import report
    from training.evaluate import evaluate as measure

    try:
        results = measure(fold_runs, model, data)
    except ValueError as error:
        raise ConfigError(f"evaluate: {error}") from None
    text = report.markdown(results)
    click.echo(text)
    if out:
        report.write(out, results, text)


if __name__ == "__main__":
    sys.exit(train())
