"""Reading a configuration file, and options over it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from edge.config.config import Config
from edge.errors import ConfigError


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises
    ------
    ConfigError
        Unreadable file, broken TOML, unknown key, wrong type or range: with the file and the key.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable TOML file, got: {error.strerror}; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML, got: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; `wheatear schema config` lists the keys") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: expected TOML, got: {error}") from None


def override(config: Config, changes: dict[str, object]) -> Config:
    """The configuration with options of the command line over it; None leaves a key as it was.

    Raises
    ------
    ConfigError
        Where an option does not fit its key.
    """
    data = msgspec.to_builtins(config)
    for key, value in changes.items():
        if value is None:
            continue
        table, _, name = key.rpartition(".")
        (data[table] if table else data)[name] = value
    try:
        return msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"options: {error}") from None
