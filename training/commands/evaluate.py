"""``wheatear evaluate``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from edge.errors import ConfigError
from training.commands.sources import background_of, data_options, progress, table_of

WRITTEN = ("--out", "--into", "--section", "--title", "--text")


@click.command()
@click.argument("targets", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_options
@click.option(
    "--vote",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another run or model: frames count where most say that the recording has the class.",
)
@click.option(
    "--over",
    type=click.Choice(["last", "mean", "max"]),
    default="last",
    help="What a recording's score is made of: the last window that the network pooled, or all of them.",
)
@click.option(
    "--fuse",
    type=click.Choice(["mean", "max", "rank"]),
    help="Also measure all TARGETS as one, on what none of them learnt from.",
)
@click.option("--weight", "weights", multiple=True, type=float, help="Of each of TARGETS in turn, for --fuse mean.")
@click.option(
    "--learn-weights", is_flag=True, help="Find the weights of --fuse mean: each half is measured by the other's."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for report.json, .md and PNGs.")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="File of results that gets the section.")
@click.option("--section", help="Name of the section of --into.")
@click.option("--title", default="", help="Title of the section; default: its name.")
@click.option("--text", default="", help="What stands above its tables.")
def evaluate(
    targets: tuple[Path, ...],
    data: Path,
    folder: str | None,
    kind: str | None,
    settings: tuple[str, ...],
    background: str | None,
    vote: tuple[Path, ...],
    over: Literal["last", "mean", "max"],
    fuse: Literal["mean", "max", "rank"] | None,
    weights: tuple[float, ...],
    learn_weights: bool,
    out: Path | None,
    into: Path | None,
    section: str | None,
    title: str,
    text: str,
) -> None:
    """Measure TARGETS: runs of training, in float, and model folders, every file as a device runs it.

    Each is judged only by recordings that its training never saw: a run by the fold that it held out, a model by what
    its card does not name. Runs that held out different folds are also measured together. With one model among the
    targets, all are decided by its card's rules. With --vote, given twice, three networks say which classes a
    recording has, and each target when.

    \b
    Examples:
      wheatear evaluate runs/esc10-s --data ../shared/data
      wheatear evaluate runs/esc10-s-fold* edge/zoo/esc10-s --data ../shared/data --out report
      wheatear evaluate edge/zoo/esc10-s --data ../shared/data --folder esc50 --format esc --set subset=esc50
      wheatear evaluate runs/seed* --data ../shared/data --over max --fuse mean
      wheatear evaluate bulbul bulbul-ht bulbul-hf --data ../shared/data --fuse mean --weight 2 --weight 1 --weight 1
      wheatear evaluate runs/fold* --data ../shared/data --into docs/results.json --section esc10-s
      wheatear evaluate runs/19-two-rate --vote runs/16-gcrnn --vote runs/43-cnn8 --data ../shared/data
    """
    from training.evaluation import report
    from training.evaluation.evaluate import evaluate as measure

    if weights and learn_weights:
        raise ConfigError("evaluate: expected --weight or --learn-weights, got both")
    if bool(into) != bool(section):
        raise ConfigError("evaluate: expected --into FILE and --section NAME together, got one of them")
    try:
        with progress() as tell:
            found = measure(
                targets,
                data,
                table_of(folder, kind, settings),
                background_of(background),
                tell,
                voters=vote,
                over=over,
                fuse=fuse,
                weights="learn" if learn_weights else weights,
            )
    except ValueError as error:
        raise ConfigError(f"evaluate: {error}") from None
    found |= {"title": title or section or "", "text": text, "command": command_line(sys.argv[1:])}
    click.echo(report.markdown(found))
    if out:
        written = report.write(out, found)
        click.echo(f"{out}: {', '.join(path.name for path in written)}", err=True)
    if into and section:
        report.merge(into, section, found)
        click.echo(f"{into}: section {section}", err=True)


def command_line(arguments: Sequence[str]) -> str:
    """Return the command that gives the same figures: as typed, without where they were written to.

    >>> command_line(["evaluate", "runs/a", "--data", "d", "--out", "here", "--title=A b"])
    'wheatear evaluate runs/a --data d'
    """
    kept, left = [], list(arguments)
    while left:
        word = left.pop(0)
        option, equals, _ = word.partition("=")
        if option not in WRITTEN:
            kept.append(word)
        elif not equals and left:
            left.pop(0)
    return shlex.join(["wheatear", *kept])
