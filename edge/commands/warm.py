"""`wheatear warm`: compile ahead what a configuration needs."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edge.config import Config, load
from edge.config.settle import settle


@click.command()
@click.option("--config", "-c", "path", type=click.Path(path_type=Path), help="A TOML file; else the default model.")
@click.option("--plain", type=click.Path(path_type=Path), hidden=True, help="A configuration as JSON.")
@click.option("--model", "-m", "models", multiple=True, help="A model's name or folder; may be repeated.")
def warm(path: Path | None, plain: Path | None, models: tuple[str, ...]) -> None:
    """Compile the kernels of a configuration's models into the cache, so that the daemon starts within a second.

    To be run after an installation or an update, as the user that the daemon runs as; a reload does it by itself.

    \b
    Examples:
      wheatear warm
      wheatear warm --config sensor.toml
    """
    config = settle(_plain(plain) if plain else load(path) if path else Config())
    from edge.supervise.warm import compile_ahead  # brings numba, which must know its cache by now

    began = time.monotonic()
    for name in compile_ahead(config, models):
        click.echo(f"{name} is ready")
    click.echo(f"compiled and loaded in {time.monotonic() - began:.1f} s", err=True)


def _plain(path: Path) -> Config:
    import msgspec

    return msgspec.json.decode(path.read_bytes(), type=Config)
