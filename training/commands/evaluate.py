"""``wheatear evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from edge.errors import ConfigError


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
