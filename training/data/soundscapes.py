"""Unlabelled soundscapes on disk (``files.csv``; names end in ``_YYYYMMDD_HHMMSS``), split by the hour of the day."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from training.data.decode import Float32, decode

_TIME = re.compile(r"_\d{8}_(\d{2})\d{4}\.\w+$")


@dataclass(frozen=True, eq=False)
class Soundscape:
    """One recording: samples float32 ``[N]`` and the hour it was made, 0 … 23."""

    name: str
    hour: int
    samples: Float32


def load(folder: Path, rate: int, *, held_out: bool) -> list[Soundscape]:
    """Return half of the recordings: even hours are for training, odd hours are held out.

    Every part of the day stands in both halves, and no hour does.

    Raises
    ------
    ValueError
        The table is missing, or a name tells no time.
    """
    table = folder / "files.csv"
    if not table.exists():
        raise ValueError(f"expected the soundscapes' table at {table}, got nothing there; check --data")
    with table.open(newline="", encoding="utf-8") as handle:
        names = [row["file"] for row in csv.DictReader(handle)]
    hours = [_hour(name) for name in names]
    chosen = [(name, hour) for name, hour in zip(names, hours, strict=True) if hour % 2 == held_out]
    return [Soundscape(name, hour, decode(folder / name, rate)) for name, hour in chosen]


def _hour(name: str) -> int:
    found = _TIME.search(name)
    if not found:
        raise ValueError(f"expected a file name that ends in _YYYYMMDD_HHMMSS, got {name!r}")
    return int(found[1])
