"""Secrets stand in the environment or in files, never in the configuration itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge.errors import ConfigError

PLACE = re.compile(r"\$\{(file:)?([^}]*)\}")
LARGEST = 4096  # characters


def reveal(text: str) -> str:
    """Return `text` with ``${NAME}`` replaced from the environment and ``${file:PATH}`` by a file's first line.

    Raises
    ------
    ConfigError
        Where a variable is not set, or a file cannot be read.
    """
    return PLACE.sub(lambda found: _file(found[2]) if found[1] else _variable(found[2]), text)


def _variable(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigError(f"source: expected a variable {name} in the environment, found none; set it") from None


def _file(path: str) -> str:
    try:
        with Path(path).expanduser().open() as file:
            return file.read(LARGEST).split("\n")[0].strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise ConfigError(f"source: expected a readable file {path} with a secret: {why}") from None
