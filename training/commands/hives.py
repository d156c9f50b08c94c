"""``wheatear hives``."""

from __future__ import annotations

from pathlib import Path

import click

from edge.errors import ConfigError

SETS = {"swarming": "swarming-features", "queenless": "queenless-features"}


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    envvar="WHEATEAR_DATA",
    help="Folder of the data sets.",
)
@click.option("--folder", default="beehive", show_default=True, help="The hives' folder below it.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Results file to put the tables into.")
def hives(data: Path, folder: str, out: Path | None) -> None:
    """Measure classifiers on feature vectors of real hives: swarming or not, queenless or not.

    \b
    Examples:
      wheatear hives --data ../shared/data
      wheatear hives --data ../shared/data --out docs/results.json
    """
    from training.evaluation import report
    from training.hive import figures

    measures = {"swarming": figures.of_swarming, "queenless": figures.of_queenless}
    command = "wheatear hives --data ../shared/data --out docs/results.json"
    for name, measure in measures.items():
        try:
            section = measure(data / folder / SETS[name], command)
        except ValueError as error:
            raise ConfigError(f"hives: {error}") from None
        click.echo(f"## {section['title']}\n\n{report.markdown(section)}")
        if out:
            report.merge(out, f"hives-{name}", section)
