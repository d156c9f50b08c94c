"""``wheatear ceiling``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.errors import ConfigError
from training.commands.evaluate import command_line
from training.commands.sources import table_of

Seconds = click.FloatRange(min=0)


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              envvar="WHEATEAR_DATA", help="Folder of the data sets.")  # fmt: skip
@click.option("--folder", required=True, help="Data set below it.")
@click.option("--format", "kind", help="Its format: esc, table, desed …; default: by the folder's name.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of the format.")
@click.option("--gap", "gaps", multiple=True, type=Seconds, default=(0.0, 0.15), show_default=True,
              help="Seconds up to which sounds of a class are joined.")  # fmt: skip
@click.option("--jitter", "jitters", multiple=True, type=Seconds, default=(0.0, 0.1), show_default=True,
              help="Deviation in seconds of ends that were set again.")  # fmt: skip
@click.option(
    "--apart", type=Seconds, default=0.0, help="Seconds of a pause in the frames where sounds touch: one more row."
)
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="File of results that gets the table.")
@click.option("--section", help="Name of the section of --into.")
def ceiling(
    data: Path,
    folder: str,
    kind: str | None,
    settings: tuple[str, ...],
    gaps: tuple[float, ...],
    jitters: tuple[float, ...],
    apart: float,
    into: Path | None,
    section: str | None,
) -> None:
    """Say how good a detector of frames can be on a set's strong labels: touching sounds are one, unless frames pause.

    \b
    Example:
      wheatear ceiling --data ../shared/data --folder piha --set events=strong.tsv --gap 0 --gap 0.15 --gap 1
    """
    from training.evaluation import report
    from training.evaluation.ceiling import ceiling as best
    from training.evaluation.evaluate import open_source

    if bool(into) != bool(section):
        raise ConfigError("ceiling: expected --into FILE and --section NAME together, got one of them")
    try:
        found = best(open_source(table_of(folder, kind, settings) or {}, data).dataset, gaps, jitters, apart)
    except ValueError as error:
        raise ConfigError(f"ceiling: {error}") from None
    found["command"] = command_line(sys.argv[1:])
    click.echo(report.markdown(found))
    if into and section:
        report.merge(into, section, found)
