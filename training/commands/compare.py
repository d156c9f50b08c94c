"""``wheatear compare``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from edge.errors import ConfigError
from training.commands.evaluate import command_line


@click.command()
@click.argument("names", metavar="RECIPE...", nargs=-1, required=True)
@click.option("--benchmark", default="domestic-esc10", show_default=True, help="One of `wheatear compose --benchmark`.")
@click.option("--on", metavar="RECIPE", help="Instead: its recordings, each fold held out in turn, by clip labels.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    envvar="WHEATEAR_DATA",
    help="Folder of the data sets that the benchmark is composed of.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of scenes and runs."
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), required=True, help="Processor time per training.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Trainings of each recipe.")
@click.option("--batch", type=click.IntRange(1), help="Examples in a batch at most: smaller ones, more steps.")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="File of results that gets the table.")
@click.option("--section", help="Name of the section of --into; default: that of the benchmark or recipe.")
@click.option("--text", default="", help="What stands above the table.")
def compare(
    names: tuple[str, ...],
    benchmark: str,
    on: str | None,
    data: Path,
    out: Path,
    minutes: float,
    seeds: int,
    batch: int | None,
    into: Path | None,
    section: str | None,
    text: str,
) -> None:
    """Train RECIPEs on one benchmark's weak labels, each for the same time, and measure them by its strong labels.

    The scenes of the fourth fold are held out of all trainings. Event F1 is told twice: by each recipe's own rules, and
    with rules tuned on one half of those scenes for the other half. The same command goes on where it was interrupted,
    and more recipes or seeds can be added to the same --out.

    \b
    Examples:
      wheatear compare esc10-s-weak --data ../shared/data --out runs/domestic --minutes 10
      wheatear compare bird-s 28-lasseck --on bird-s --data ../shared/data --out runs/birds --minutes 2
      wheatear compare a.toml b.toml --data ../shared/data --out runs/domestic --minutes 10 --seeds 3 \\
        --into docs/results.json
    """
    from training.comparison import across
    from training.comparison import compare as comparing
    from training.evaluation import report

    if on and seeds > 1:
        raise ConfigError("compare: expected one seed with --on, which trains once per fold, got more")
    say, typed = partial(click.echo, err=True), command_line(sys.argv[1:])
    try:
        if on:
            rows = across.across(names, on, data, out, minutes, batch=batch, say=say)
            made = across.section(rows, on, text, typed)
        else:
            found = comparing.compare(names, benchmark, data, out, minutes, seeds=seeds, batch=batch, say=say)
            made = comparing.section(found, text, typed)
    except ValueError as error:
        raise ConfigError(f"compare: {error}") from None
    click.echo(report.markdown(made))
    if into:
        named = section or (f"recipes-on-{Path(on).stem}" if on else benchmark)
        report.merge(into, named, made)
        click.echo(f"{into}: section {named}", err=True)
