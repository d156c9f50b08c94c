"""``wheatear recipes``."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from training.catalogue import Entry


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def recipes(name: str | None, as_json: bool) -> None:
    """List what can be trained, or show one recipe by its NAME (or file) with its table of layers.

    \b
    Examples:
      wheatear recipes
      wheatear recipes wheatear-s
      wheatear recipes my.toml --json
    """
    from training import catalogue, recipe

    found = [catalogue.entry(recipe.load(name))] if name else catalogue.entries()
    if as_json:
        plain = [_plain(entry) for entry in found]
        click.echo(json.dumps(plain[0] if name else plain, indent=1))
        return
    from rich.console import Console

    console = Console(width=None if name is None and sys.stdout.isatty() else 120)
    if name:
        console.print(_facts(found[0]), highlight=False)
    console.print(_layers(found[0]) if name else _overview(found))


def _overview(found: list[Entry]) -> Table:
    from rich.table import Table

    heads = ("recipe", "parameters", "M mult/s", "streams", "lookahead")
    rows = [(e.name, f"{e.parameters:,}", f"{e.cost:.1f}", *_streams(e)) for e in found]
    table = Table(box=None, expand=True)
    for head, *cells in zip(heads, *rows, strict=True):
        justify = "left" if head in ("recipe", "streams") else "right"
        table.add_column(head, no_wrap=True, min_width=max(map(len, (head, *cells))), justify=justify)
    table.add_column("source", ratio=1, no_wrap=True, overflow="ellipsis")  # in full with `recipes NAME` and in --json
    for row, e in zip(rows, found, strict=True):
        table.add_row(*row, e.source)
    return table


def _streams(e: Entry) -> tuple[str, str]:
    return ("yes", f"{e.lookahead * 1e3:.0f} ms") if e.streams else ("window", "-")


def _facts(e: Entry) -> str:
    how = f"streams, lookahead {e.lookahead * 1e3:.0f} ms" if e.streams else f"runs on windows: {e.why}"
    return (
        f"{e.name}: {e.description}\nsource: {e.source}\n{e.parameters:,} parameters, "
        f"{e.cost:.2f} million multiply-adds per second of sound; {how}\n"
    )


def _layers(e: Entry) -> Table:
    from rich.table import Table

    table = Table("layer", "kind", "rate", "delay", "lookahead", "state", "M mult/s", box=None)
    for row in e.layers:
        states = " ".join("x".join(map(str, shape)) for shape in row.states) or "-"
        numbers = (row.rate, row.delay, row.ahead)
        table.add_row(row.path, row.kind, *map(str, numbers), states, f"{row.cost / 1e6:.2f}")
    return table


def _plain(e: Entry) -> dict[str, object]:
    """JSON knows no NaN."""
    fields = dataclasses.asdict(e)
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in fields.items()}
