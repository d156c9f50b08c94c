"""``wheatear labels``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from edge.errors import ConfigError


@click.group(epilog="\b\nExample:\n  wheatear labels convert strong.tsv order.tsv --to order")
def labels() -> None:
    """Work with tables of labels."""


@labels.command(
    epilog="""\b
Examples:
  wheatear labels convert strong.tsv order.tsv --to order
  wheatear labels convert order.tsv weak.tsv --to weak
  wheatear labels convert annotated.tsv strong.tsv --to strong --merge 0.15 --shortest 0.25"""
)
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--to", "kind", type=click.Choice(["strong", "order", "weak"]), required=True, help="What it shall say.")
@click.option("--merge", type=click.FloatRange(0), default=0.0, help="Join sounds of a class so many seconds apart.")
@click.option("--shortest", type=click.FloatRange(0), default=0.0, help="Leave out shorter sounds, after joining.")
def convert(
    source: Path, target: Path, kind: Literal["strong", "order", "weak"], merge: float, shortest: float
) -> None:
    """Write what the table SOURCE says with less, or as much, to TARGET.

    strong tells when each class sounds, order in which order sounds begin and end, weak which classes there are; the
    columns of SOURCE say what it is. DCASE joins sounds up to 0.15 s apart and asks for 0.25 s at least.
    """
    from training.data import convert as converting

    try:
        found = converting.convert(source, target, kind, merge, shortest)
    except ValueError as error:
        raise ConfigError(f"labels: {error}") from None
    click.echo(f"{target}: {len(found)} recordings, classes {', '.join(found.labels)}")
