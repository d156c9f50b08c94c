"""``wheatear models``: what can be run, what it hears, and how to add another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from edge.decode.decoder import lookahead, rule_of
from edge.inference import check, store
from edge.inference.card import Card, Stateful

EXAMPLES = """
\b
Examples:
  wheatear models list
  wheatear models show wheatear-s
  wheatear models check ./birdnet-stm32
  wheatear models add ./birdnet-stm32
"""


@click.group(epilog=EXAMPLES)
def models() -> None:
    """List, show, check and add models. A model is a folder with a card.toml and its model files."""


@models.command("list", epilog="\b\nExample:\n  wheatear models list --json")
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def list_(as_json: bool) -> None:
    """List the built-in and the added models."""
    entries = store.list()
    if as_json:
        click.echo(json.dumps([_summary(entry) for entry in entries], ensure_ascii=False))
        return
    for entry in entries:
        origin = "built-in" if entry.built_in else "added"
        if entry.card is None:
            click.echo(f"{entry.name:<24} {origin:<9} unusable: {entry.error}")
        else:
            click.echo(f"{entry.name:<24} {origin:<9} {entry.card.version:<10} {_essence(entry.card)}")
    if not entries:
        click.echo("no models; add one with `wheatear models add FOLDER`", err=True)


@models.command(epilog="\b\nExamples:\n  wheatear models show wheatear-s\n  wheatear models show ./my-model --json")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The whole card as JSON.")
def show(name: str, as_json: bool) -> None:
    """Show the card of model NAME (or of a folder)."""
    folder = store.find(name)
    card = store.load_card(folder)
    check.check_card(card, f"{folder.name}/{check.CARD}")
    if as_json:
        click.echo(msgspec.json.encode(card).decode())
        return
    for key, value in _lines(card, folder):
        click.echo(f"{key:<12} {value}")


@models.command("check", epilog="\b\nExample:\n  wheatear models check ./my-model")
@click.argument("folder", type=click.Path(path_type=Path))
def check_(folder: Path) -> None:
    """Check that the model in FOLDER can be trusted and run."""
    folder = folder.resolve()
    card = store.load_card(folder)
    check.validate(card, folder)
    click.echo(f"{card.name} {card.version}: card, {len(card.files)} file(s) and graphs agree")


@models.command(epilog="\b\nExamples:\n  wheatear models add ./my-model\n  wheatear models add ./my-model --replace")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Take the place of an added model of the same name.")
def add(folder: Path, replace: bool) -> None:
    """Check the model in FOLDER and copy it to the user's models."""
    target = store.add(folder, replace)
    click.echo(f"added {target.name}: {target}")


def _summary(entry: store.Entry) -> dict[str, Any]:
    card = entry.card
    return {
        "name": entry.name,
        "version": card.version if card else None,
        "built_in": entry.built_in,
        "folder": str(entry.folder),
        "description": card.description if card else None,
        "labels": check.label_names(card) if card else [],
        "error": entry.error or None,
    }


def _essence(card: Card) -> str:
    return f"{len(card.labels)} classes, {card.input.rate} Hz, {_mode(card)}"


def _mode(card: Card) -> str:
    hop = card.frontend.hop if card.frontend else 1
    if isinstance(card.stream, Stateful):
        return f"stateful, a step every {card.stream.chunk * hop / card.input.rate:g} s"
    length, step = (frames * hop / card.input.rate for frames in (card.stream.length, card.stream.hop))
    return f"windows of {length:.3g} s every {step:.3g} s"


def _lookahead(card: Card) -> str:
    """Seconds that scores run behind the sound, and rules behind the scores: of most classes, then of the others."""
    hop = card.frontend.hop if card.frontend else 1
    if isinstance(card.stream, Stateful):
        step, delay = card.stream.rate * hop, card.stream.delay
    else:  # how many scores a window of frame scores has is known to the graph alone
        step, delay = (card.stream.hop if card.output.kind == "clip" else 1) * hop, 0
    frame = step / card.input.rate
    names = [name for name in check.label_names(card) if name not in card.decode.ignore]
    waits = [f"{lookahead(rule_of(card.decode, name), frame):.3g} s" for name in names]
    usual = max(waits, key=waits.count, default="0 s")
    others = [f", {name} {wait}" for name, wait in zip(names, waits, strict=True) if wait != usual]
    return f"network {delay * frame:.3g} s; rules {usual}{''.join(others)}"


def _lines(card: Card, folder: Path) -> list[tuple[str, str]]:
    lines = [
        ("name", card.name),
        ("version", card.version),
        ("description", card.description.replace("\n", " ")),
        ("licence", card.licence.replace("\n", " ")),
        ("attribution", card.attribution.replace("\n", " ")),
        ("trained on", ", ".join(card.data)),
        ("folder", str(folder)),
        ("files", ", ".join(f"{file.name} ({file.engine}, {file.precision})" for file in card.files)),
        ("input", f"{card.input.kind}, {card.input.rate} Hz"),
        ("front end", card.frontend_hash),
        ("stream", _mode(card)),
        ("labels", ", ".join(check.label_names(card))),
        ("lookahead", _lookahead(card)),
    ]
    lines += [(f"metric {name}", str(value)) for name, value in card.metrics.items()]
    return [(key, value) for key, value in lines if value]
