"""`wheatear schema`: JSON Schemas of what is written and read."""

from __future__ import annotations

import json

import click
import msgspec

from edge.blocks import Event
from edge.config import Config
from edge.inference.card import Card
from edge.levels.message import Levels

TYPES = {"event": Event, "levels": Levels, "card": Card, "config": Config}


@click.command()
@click.argument("what", type=click.Choice(list(TYPES)))
def schema(what: str) -> None:
    """Print the JSON Schema of an event, a minute of levels, a model card or a configuration file.

    \b
    Example:
      wheatear schema event > event.schema.json
    """
    text = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(TYPES[what])}
    click.echo(json.dumps(text, indent=2))
