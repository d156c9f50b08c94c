"""Reading a configuration file, and options over it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from edge.config.check import problems
from edge.config.config import Config
from edge.config.migrate import migrate, version_of
from edge.config.streams import Stream
from edge.errors import ConfigError

OPTIONS = "options"
LARGEST = 1 << 20  # bytes
STREAM_OPTIONS = {"stream": "name", **{name: name for name in Stream.__struct_fields__ if name != "name"}}


def load(path: Path) -> Config:
    """Read a configuration file of any version.

    Raises
    ------
    ConfigError
        Unreadable file, broken TOML, unknown keys, wrong types or ranges: all of them, with the file and the keys.
    """
    return convert(read(path), str(path), "; `wheatear config schema` lists the keys")


def read(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        Where it cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: expected a readable TOML file, got: {why}; check the path") from None
    if len(text) > LARGEST:
        raise ConfigError(f"{path}: expected a TOML file of at most {LARGEST} bytes, got more; is it the right file?")
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: expected TOML, got: {_line(error)}") from None


def convert(data: dict[str, Any], where: str, hint: str = "") -> Config:
    """Return the configuration that plain `data` of any version describes.

    Raises
    ------
    ConfigError
        All that is wrong, in one line.
    """
    try:
        old, data = version_of(data) == 1, migrate(data)
        found = problems(data, Config)
        if old or where == OPTIONS:  # say it of the keys that the user wrote
            found = [one.replace("$.streams[0].name", "$.stream").replace("$.streams[0]", "$") for one in found]
    except ConfigError as error:
        found = [str(error)]
    if found:
        count = f"{len(found)} problems: " if len(found) > 1 else ""
        raise ConfigError(f"{where}: {count}{'; '.join(found)}{hint}")
    return msgspec.convert(data, Config)


def override(config: Config, changes: dict[str, object]) -> Config:
    """The configuration with options of the command line over it; None leaves a key as it was.

    Parameters
    ----------
    config
        What the options go over.
    changes
        By key, dotted for one in a table; ``source``, ``model``, ``stream`` … mean the one stream.

    Raises
    ------
    ConfigError
        Where an option does not fit its key, or means one stream of many.
    """
    data: dict[str, Any] = msgspec.to_builtins(config)
    data["streams"] = list(data["streams"])
    for key, value in changes.items():
        if value is None:
            continue
        table, _, name = key.rpartition(".")
        if key in STREAM_OPTIONS or table == "decode":
            target, name = _only_stream(data, key, table), STREAM_OPTIONS.get(key, name)
        else:
            target = data[table] if table else data
        target[name] = value
    return convert(data, OPTIONS)


def _only_stream(data: dict[str, Any], key: str, table: str) -> dict[str, Any]:
    streams: list[dict[str, Any]] = data["streams"]
    if len(streams) > 1:
        raise ConfigError(
            f"options: expected a configuration of one stream for `{key}`, got {len(streams)} streams; "
            "say it in the file, under [[streams]]"
        )
    return streams[0][table] if table else streams[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
