"""Known sets: how the format's settings read them, as a TOML file each."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edge.errors import ConfigError
from training.data.dataset import Dataset
from training.data.formats import FORMATS


def names() -> list[str]:
    """Return the names of the known sets."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.toml"))


def table(name: str) -> dict[str, Any]:
    """Return a recipe's ``[data]`` table of a known set, or of a format by its own name with its defaults.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if name in names():
        return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))
    if name in FORMATS:
        return {"kind": name}
    raise ConfigError(f"expected a data set of {', '.join(names())}, or a format of {', '.join(FORMATS)}, got {name!r}")


def load(name: str, folder: Path, **changes: Any) -> Dataset:
    """Return a set that lies in a folder; `changes` go before the settings of its file.

    Raises
    ------
    ConfigError
        No such set, or settings that do not fit.
    ValueError
        The folder does not hold it.
    """
    return FORMATS.build(FORMATS.parse({**table(name), **changes}), folder)
