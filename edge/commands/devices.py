"""`wheatear devices`: the microphones that there are."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def devices(as_json: bool) -> None:
    """List the microphones; the star marks the default one.

    Any index, name or part of a name goes with --source: `wheatear run --source 3`, `wheatear run --source USB`. Below
    stand the sound cards by what stays the same when they are unplugged: the best names for a configuration.
    """
    from edge.sources.identity import cards
    from edge.sources.microphone import list_devices

    found = list_devices()
    if as_json:
        click.echo(json.dumps([asdict(device) for device in found], ensure_ascii=False))
        return
    if not found and not cards():
        click.echo("no microphone found; plug one in, or see `arecord -l`", err=True)
        return
    width = max((len(device.name) for device in found), default=4)
    click.echo(f"  index  {'name':{width}}  api   channels  rate")
    for device in found:
        star = "*" if device.default else " "
        click.echo(
            f"{star} {device.index:5}  {device.name:{width}}  {device.api:4}  {device.channels:8}  {device.rate} Hz"
        )
    for card in cards():
        click.echo(f"  {card.source}  {card.name}")
