"""Options and progress that the commands share which listen to a data set."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from edge.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])
Tell = Callable[[str, int, int], None]


def data_options(command: Command) -> Command:
    """Add ``--data``, ``--folder``, ``--format``, ``--set`` and ``--background``."""
    options = [
        click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
                     envvar="WHEATEAR_DATA", help="Folder of the data sets."),
        click.option("--folder", help="Data set below it; default: that of the run or the card."),
        click.option("--format", "kind", help="Its format: esc, table, desed …; default: by the folder's name."),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of the format."),
        click.option("--background", help="Folder below --data of recordings without any of the classes."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def table_of(folder: str | None, kind: str | None, settings: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the recipe table of a data set as the options name it; None where they do not.

    Raises
    ------
    ConfigError
        No format is given, and the folder's name tells none; or a setting is no ``key=value``.
    """
    from training.data import sets

    if not folder:
        if kind or settings:
            raise ConfigError("--format and --set: expected --folder beside them, got none")
        return None
    name = kind or folder
    return {"folder": folder, **sets.table(name), **dict(map(_setting, settings))}


def background_of(folder: str | None) -> dict[str, Any] | None:
    """Return the recipe table of background recordings: a known set, or a folder of sound files."""
    from training.data import sets

    if not folder:
        return None
    return {"folder": folder, **(sets.table(folder) if folder in sets.names() else {"kind": "soundscapes"})}


@contextmanager
def progress() -> Iterator[Tell]:
    """Show what is being listened to, on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks or bars.tasks[tasks[name]].total != total:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        yield tell


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set: expected key=value, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
