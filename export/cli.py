"""``wheatear export``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edge.errors import ConfigError


@click.command()
@click.argument("run", type=click.Path(file_okay=False, path_type=Path))
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Model folder.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="WHEATEAR_DATA",
    help="Folder of the data sets: training clips check the files and calibrate int8.",
)
@click.option("--formats", default="onnx,tflite", show_default=True, help="Comma-separated.")
@click.option("--int8/--no-int8", default=True, show_default=True, help="Write int8 copies as well.")
@click.option(
    "--metrics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON from `wheatear evaluate`; its `card` table (in a file of results, the model's) goes into the card.",
)
@click.option("--rules", help="Recipe whose texts and decision rules the card gets, instead of the run's own.")
@click.option("--plan", is_flag=True, help="Print every layer's delay, state and cost, and the latency; write nothing.")
@click.option(
    "--window",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Slide a window instead of carrying state: for networks that cannot stream.",
)
def export(
    run: Path,
    folder: Path | None,
    data: Path | None,
    formats: str,
    int8: bool,
    metrics: Path | None,
    rules: str | None,
    plan: bool,
    window: float | None,
) -> None:
    """Export a RUN of training to a model folder: ONNX and TFLite, float and int8, the card, and the proof.

    Every float file is streamed over real clips, over a gap too, and must give the network's own scores within 1e-5,
    else nothing is called a success. What was found stands in the folder's parity.json.

    \b
    Examples:
      wheatear export runs/esc10-s --plan
      wheatear export runs/esc10-s --to esc10-s --data ../shared/data
      wheatear export runs/esc10-s --to esc10-s --data ../shared/data --formats tflite --no-int8
    """
    from export.package import FORMATS, package, planned
    from training import recipe as recipes
    from training.run import Run, read

    chosen = [name.strip() for name in formats.split(",")]
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise ConfigError(f"--formats: expected some of {', '.join(FORMATS)}, got {', '.join(unknown)}")
    try:
        loaded = read(run)
        figures = _figures(metrics, loaded.recipe.name) if metrics else {}
        recipe = recipes.presented(loaded.recipe, recipes.load(rules)) if rules else loaded.recipe
        loaded = Run(recipe, loaded.model, loaded.metrics, loaded.splits)
        if plan:
            click.echo(planned(loaded))
            return
        if not (folder and data):
            raise ConfigError("export: expected --to FOLDER and --data FOLDER, or --plan alone")
        say = lambda line: click.echo(line, err=True)  # noqa: E731 - a name for one argument
        card = package(loaded, folder, data, chosen, int8, figures, say, window or 0.0)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"export: {error}") from None
    size = sum((folder / file.name).stat().st_size for file in card.files)
    click.echo(f"{folder}: {card.name}@{card.version}, {len(card.files)} files, {size / 1e6:.2f} MB")


def _figures(path: Path, name: str) -> dict[str, float]:
    """The ``card`` table of a report, or of the model's section in a file of results.

    Raises
    ------
    ConfigError
        No JSON, or there is none for this model.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--metrics: expected JSON of `wheatear evaluate` in {path}, got: {error}") from None
    found = report.get("sections", {}).get(name, report) if isinstance(report, dict) else {}
    if "card" not in found:
        raise ConfigError(
            f"--metrics: expected figures of {name!r} in {path}, got none; `wheatear evaluate` them first"
        )
    return dict(found["card"])


if __name__ == "__main__":
    sys.exit(export())
