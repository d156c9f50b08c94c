"""``wheatear ttest``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from edge.errors import ConfigError

REPORT = "report.json"


@click.command()
@click.argument("first", type=click.Path(exists=True, path_type=Path))
@click.argument("second", type=click.Path(exists=True, path_type=Path))
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="File of results that gets the table.")
@click.option("--section", help="Name of the section of --into.")
def ttest(first: Path, second: Path, into: Path | None, section: str | None) -> None:
    """Say whether two systems differ: FIRST and SECOND are reports of `wheatear evaluate --out`.

    Their figures are paired by class and by held-out fold, for a paired t-test each.

    \b
    Examples:
      wheatear evaluate runs/mean/fold* --data ../shared/data --out reports/mean
      wheatear evaluate runs/attention/fold* --data ../shared/data --out reports/attention
      wheatear ttest reports/attention reports/mean
    """
    from training.evaluation import report
    from training.evaluation.ttest import compare as compared

    if bool(into) != bool(section):
        raise ConfigError("ttest: expected --into FILE and --section NAME together, got one of them")
    found = compared(_read(first), _read(second), (_name(first), _name(second)))
    found["command"] = shlex.join(["wheatear", "ttest", str(first), str(second)])
    click.echo(report.markdown(found))
    if into and section:
        report.merge(into, section, found)


def _read(path: Path) -> dict[str, Any]:
    path = path / REPORT if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"ttest: expected a {REPORT} at {path}, got: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"ttest: expected a report at {path}, got {type(found).__name__}")
    return found


def _name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.resolve().parent.name
