"""Older files in today's keys: what a sensor was told years ago stays valid.

    version 1   one stream, its keys at the top level, its name under `stream`
    version 2   [[streams]]

A file without `version` is read as the version whose keys it uses.
"""

from __future__ import annotations

from typing import Any

from edge.config.config import VERSION
from edge.errors import ConfigError

STREAM_KEYS = ("source", "model", "engine", "precision", "channel", "realtime", "pcm", "start", "decode")


def migrate(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` in the keys of today's version; what it does not know is left for the check to find.

    Raises
    ------
    ConfigError
        A version of the future, or none at all.
    """
    version = version_of(data)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ConfigError(
            f"Expected a version from 1 to {VERSION}, got {version!r:.40} - at `$.version`; upgrade wheatear"
        )
    return _from_1(data) if version == 1 else data


def version_of(data: dict[str, Any]) -> Any:
    """The version that a file says it has, or whose keys it uses."""
    return data.get("version", VERSION if "streams" in data else 1)


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    if "streams" in data:
        raise ConfigError("Expected no `streams` in a file of version 1 - at `$.version`; write version = 2")
    rest = {key: value for key, value in data.items() if key not in STREAM_KEYS and key != "stream"}
    stream = {key: data[key] for key in STREAM_KEYS if key in data}
    if "stream" in data:
        stream["name"] = data["stream"]
    return {**rest, "version": VERSION, "streams": [stream]}
