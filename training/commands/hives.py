"""``wheatear hives``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from edge.errors import ConfigError
from training.commands.evaluate import command_line

SETS = {"swarming": "swarming-features", "queenless": "queenless-features"}


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="WHEATEAR_DATA",
    help="Folder of the data sets.",
)
@click.option("--folder", default="beehive", show_default=True, help="The hives' folder below it.")
@click.option(
    "--generated",
    type=click.Path(file_okay=False, path_type=Path),
    help="Instead: the orderings of card 26 on hives that are generated into this folder, with the runs of a CNN.",
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Generated sets of hives.")
@click.option("--steps", type=click.IntRange(0), default=200, show_default=True, help="Of the CNN; 0: only the SVM.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Results file to put the tables into.")
def hives(data: Path | None, folder: str, generated: Path | None, seeds: int, steps: int, out: Path | None) -> None:
    """Measure classifiers on feature vectors of real hives: swarming or not, queenless or not.

    With --generated, tell bees alone from bees with a sound from outside in generated hives, which say nothing of a
    real one: what matters to an SVM and a CNN there, beside what the card found. Sounds and trainings that are in the
    folder are not made again.

    \b
    Examples:
      wheatear hives --data ../shared/data
      wheatear hives --data ../shared/data --out docs/results.json
      wheatear hives --generated data/generated-hives --out docs/results.json
    """
    if generated:
        _generated(generated, seeds, steps, out)
    elif data:
        _real(data / folder, out)
    else:
        raise ConfigError("hives: expected --data FOLDER or --generated FOLDER, got neither")


def _generated(folder: Path, seeds: int, steps: int, out: Path | None) -> None:
    from training.hive import orderings

    size, say = orderings.Size(seeds=seeds, steps=steps), partial(click.echo, err=True)
    svm = orderings.svms(folder, size, say)
    network = orderings.cnn(folder, size, say) if steps else None
    _tell("hives-generated", orderings.section(svm, network, size, command_line(sys.argv[1:])), out)


def _real(folder: Path, out: Path | None) -> None:
    from training.hive import figures

    measures = {"swarming": figures.of_swarming, "queenless": figures.of_queenless}
    command = "wheatear hives --data ../shared/data --out docs/results.json"
    for name, measure in measures.items():
        try:
            section = measure(folder / SETS[name], command)
        except ValueError as error:
            raise ConfigError(f"hives: {error}") from None
        _tell(f"hives-{name}", section, out)


def _tell(name: str, section: dict[str, Any], out: Path | None) -> None:
    from training.evaluation import report

    click.echo(f"## {section['title']}\n\n{report.markdown(section)}")
    if out:
        report.merge(out, name, section)
