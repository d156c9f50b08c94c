"""ESC-10 on disk: a folder with ``labels.csv`` (file, fold, label) and the clips it names."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.decode import Float32, decode

LABELS = (
    "dog_bark",
    "rain",
    "sea_waves",
    "baby_cry",
    "clock_tick",
    "person_sneeze",
    "helicopter",
    "chainsaw",
    "rooster",
    "fire_crackling",
)


@dataclass(frozen=True, eq=False)
class Clip:
    """One labelled recording: samples float32 ``[N]``, class index, fold."""

    name: str
    label: int
    fold: int
    samples: Float32


def load(folder: Path, rate: int, folds: Sequence[int] | None = None) -> list[Clip]:
    """Return the clips of the given folds (all by default), mono at `rate` Hz, in the table's order.

    Raises
    ------
    ValueError
        The table is missing, has an unknown label, or a file cannot be decoded.
    """
    return [
        Clip(row["file"], label, fold, decode(folder / row["file"], rate))
        for row, label, fold in _rows(folder / "labels.csv")
        if folds is None or fold in folds
    ]


def _rows(table: Path) -> list[tuple[dict[str, str], int, int]]:
    if not table.exists():
        raise ValueError(
            f"expected ESC-10's table at {table}, got nothing there; --data names the folder above `esc10`"
        )
    with table.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    if not rows or not {"file", "fold", "label"} <= rows[0].keys():
        raise ValueError(f"{table}: expected rows with the columns file, fold, label")
    for number, row in enumerate(rows, start=2):
        if row["label"] not in LABELS:
            raise ValueError(f"{table}:{number}: expected a label of {', '.join(LABELS)}, got {row['label']!r}")
    return [(row, LABELS.index(row["label"]), int(row["fold"])) for row in rows]
