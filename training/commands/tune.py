"""``wheatear tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from edge.errors import ConfigError
from training.commands.sources import background_of, data_options, progress, table_of


@click.command()
@click.argument("target", type=click.Path(exists=True, path_type=Path))
@data_options
@click.option(
    "--runs",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Fold runs of the target's recipe: each is heard on the fold that it never saw.",
)
@click.option(
    "--criterion",
    type=click.Choice(["f1", "false-alarms", "agreement"]),
    default="f1",
    show_default=True,
    help="agreement: without labels, by what the network says of the events and of the rest between them.",
)
@click.option(
    "--per-hour",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Most false alarms per hour of each class, for --criterion false-alarms.",
)
@click.option(
    "--decoder",
    "smoothing",
    type=click.Choice(["median", "viterbi"]),
    default="median",
    show_default=True,
    help="viterbi: also learn how long events and pauses last, from known times, else from the events decided now.",
)
@click.option(
    "--clip-events",
    "clips",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Also try, class by class, events as long as clips of so many seconds: what the model's clip scores pool.",
)
@click.option(
    "--search",
    type=click.Choice(["classes", "genetic"]),
    default="classes",
    show_default=True,
    help="genetic: the thresholds of all classes at once, by --average; medians stay.",
)
@click.option(
    "--average",
    type=click.Choice(["macro", "micro"]),
    default="macro",
    show_default=True,
    help="F1 of --search genetic: the mean of the classes, or of all their events together.",
)
@click.option("--seen", is_flag=True, help="Allow recordings that the model was trained on; the card will say so.")
@click.option("--write", is_flag=True, help="Write the rules into the target's card or recipe.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for report.json and report.md.")
def tune(
    target: Path,
    data: Path,
    folder: str | None,
    kind: str | None,
    settings: tuple[str, ...],
    background: str | None,
    runs: tuple[Path, ...],
    criterion: Literal["f1", "false-alarms", "agreement"],
    per_hour: float,
    smoothing: Literal["median", "viterbi"],
    clips: float,
    search: Literal["classes", "genetic"],
    average: Literal["macro", "micro"],
    seen: bool,
    write: bool,
    out: Path | None,
) -> None:
    """Choose thresholds and median widths for every class of TARGET: a model folder, a run, or a recipe file.

    States are chosen together: their thresholds, the median, and for how long one must hold before it is told.

    With --decoder viterbi also how long its events and pauses last. A run is tuned on what its training held back for
    choosing, a model on data that its card does not name. For a model that was trained on all folds, or a recipe, give
    --runs of its folds: the rules are chosen on held-out scores, and what they are worth is told by rules that the
    other folds chose.

    \b
    Examples:
      wheatear tune runs/esc10-s --data ../shared/data --write
      wheatear tune edge/zoo/esc10-s --data ../shared/data --runs runs/fold1 --runs runs/fold2 --write
      wheatear tune my-model --data . --folder garden --format desed --decoder viterbi --write
      wheatear tune my-model --data . --folder kitchen --format desed --clip-events 10 --write
      wheatear tune my-model --data . --folder garden --format desed --search genetic --average micro
      wheatear tune my-model --data . --folder garden --format folders --criterion false-alarms --per-hour 0.5
      wheatear tune my-model --data . --folder new-site --format soundscapes --criterion agreement --write
    """
    from training.evaluation import report
    from training.tuning.target import tune_target

    table = table_of(folder, kind, settings)
    try:
        with progress() as tell:
            found = tune_target(
                target, data, runs=runs, table=table, background=background_of(background), seen=seen, tell=tell,
                criterion=criterion, per_hour=per_hour, smoothing=smoothing,
                clips=clips, search=search, average=average,
            )  # fmt: skip
    except ValueError as error:
        raise ConfigError(f"tune: {error}") from None
    click.echo(report.markdown(found.report))
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if out:
        report.write(out, found.report)
    if write:
        from training.tuning import rules

        rules.write(found.path, found.rules, found.tuned_on)
        click.echo(f"{found.path}: rules of {found.changed} classes written", err=True)
