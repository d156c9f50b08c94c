"""Decision rules written back into a card or recipe: nothing else of the file changes."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import ConfigError
from edge.inference import check
from edge.inference.card import Card, Decode
from training import recipe as recipes
from training.metrics.extra import need


def write(path: Path, rules: Decode, tuned_on: str = "") -> None:
    """Put rules into the ``[decode]`` table of a ``card.toml`` or recipe, whole or not at all.

    Comments, order and all other values stay. What is written is checked as whoever reads it will.

    Parameters
    ----------
    tuned_on
        What the rules rest on; a card keeps it as ``metrics.rules_tuned_on``.

    Raises
    ------
    ConfigError
        The file cannot be read or written, is no card or recipe, or would be none any more.
    """
    tomlkit = need("tomlkit")
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except (tomlkit.exceptions.ParseError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML, got something else: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    _update(document, "decode", msgspec.to_builtins(rules))
    if tuned_on and path.name == check.CARD:
        _update(document, "metrics", {"rules_tuned_on": tuned_on})
    text = tomlkit.dumps(document)
    written = read(path, text)
    if written != rules:
        raise ConfigError(f"{path}: expected to read back the rules that were written, got others; nothing was changed")
    _replace(path, text)


def read(path: Path, text: str) -> Decode:
    """Return the rules of a card's or recipe's text, after checking all of it.

    Raises
    ------
    ConfigError
        It is neither.
    """
    table = tomllib.loads(text)
    if path.name != check.CARD:
        return recipes.parse(table).decode
    try:
        card = msgspec.convert(table, Card)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from None
    check.check_card(card, str(path))
    return card.decode


def _update(table: Any, key: str, values: dict[str, Any]) -> None:
    """Set what differs, table by table, so that what stays keeps its place and comments."""
    if key not in table:
        table[key] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            _update(table[key], name, value)
        elif table[key].get(name) != value:
            table[key][name] = value


def _replace(path: Path, text: str) -> None:
    """Write beside, sync and rename: a kill leaves the old file or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(path.stat().st_mode & 0o777)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
