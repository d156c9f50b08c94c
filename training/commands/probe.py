"""``wheatear probe``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.errors import ConfigError
from training.commands.evaluate import command_line
from training.commands.sources import data_options, progress, table_of


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_options
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="File of results that gets the table.")
@click.option("--section", help="Name of the section of --into.")
def probe(
    run: Path,
    data: Path,
    folder: str | None,
    kind: str | None,
    settings: tuple[str, ...],
    background: str | None,
    into: Path | None,
    section: str | None,
) -> None:
    """Measure what the embeddings of RUN are worth: a linear classifier on them, and one on the features alone.

    \b
    Examples:
      wheatear probe runs/c-compact-multilevel --data ../shared/data --folder urbansound8k
    """
    from training import run as runs
    from training.evaluation import report
    from training.evaluation.evaluate import open_source
    from training.evaluation.linear_probe import probe as probed

    if background:
        raise ConfigError("probe: expected labelled recordings alone, got --background")
    if bool(into) != bool(section):
        raise ConfigError("probe: expected --into FILE and --section NAME together, got one of them")
    loaded = runs.read(run)
    try:
        source = open_source(table_of(folder, kind, settings) or loaded.recipe.data.table(), data)
        with progress() as tell:
            found = probed(loaded, source.dataset, source.folder, lambda done, total: tell(run.name, done, total))
    except ValueError as error:
        raise ConfigError(f"probe: {error}") from None
    found["command"] = command_line(sys.argv[1:])
    click.echo(report.markdown(found))
    if into and section:
        report.merge(into, section, found)
