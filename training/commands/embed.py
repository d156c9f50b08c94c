"""``wheatear embed``."""

from __future__ import annotations

from pathlib import Path

import click

from edge.errors import ConfigError
from training.commands.sources import data_options, progress, table_of


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_options
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the files.")
def embed(
    run: Path,
    data: Path,
    folder: str | None,
    kind: str | None,
    settings: tuple[str, ...],
    background: str | None,
    out: Path,
) -> None:
    """Write the embeddings that RUN's extractor makes of a data set, as AudioSet has them: PCA, 8 bits, TFRecord.

    They train in minutes what listens to them; the folder is also what that training starts from.

    \b
    Examples:
      wheatear embed runs/c-compact-multilevel --data ../shared/data --out data/esc10-embeddings
      wheatear train my.toml --data data                  with [data] kind = "embeddings", [sampling] kind = "sequences"
    """
    from training import run as runs
    from training.embed import embed as embedded
    from training.evaluation.evaluate import open_source

    if background:
        raise ConfigError("embed: expected one data set, got --background")
    loaded = runs.read(run)
    try:
        source = open_source(table_of(folder, kind, settings) or loaded.recipe.data.table(), data)
        with progress() as tell:
            counts = embedded(loaded, source.dataset, out, lambda done, total: tell(run.name, done, total))
    except ValueError as error:
        raise ConfigError(f"embed: {error}") from None
    click.echo(f"{out}: " + ", ".join(f"{part} {count}" for part, count in counts.items()))
