"""ESC-10 and ESC-50 (K. J. Piczak, 2015), with five official folds.

official    meta/esc50.csv   filename, fold, target, category, esc10, src_file, take     audio/1-100032-A-0.wav
small       labels.csv       file, fold, label                                           audio/1-100032-A-dog_bark.ogg

Clips that were cut from one Freesound recording share its id, which stands second in their names: their group.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from training.data import tables
from training.data.dataset import Dataset, Item, label_indices
from training.data.formats.registry import FORMATS
from training.registry import Settings

# ESC-10's own names of its classes, in its order, by the names that ESC-50 gave them later.
ESC10 = {
    "dog": "dog_bark",
    "rain": "rain",
    "sea_waves": "sea_waves",
    "crying_baby": "baby_cry",
    "clock_tick": "clock_tick",
    "sneezing": "person_sneeze",
    "helicopter": "helicopter",
    "chainsaw": "chainsaw",
    "rooster": "rooster",
    "crackling_fire": "fire_crackling",
}
LABELS = tuple(ESC10.values())


class EscSettings(Settings, frozen=True):
    """Which of the set.

    Attributes
    ----------
    subset
        ``esc10`` or ``esc50``.
    labels
        Only these classes, in this order; empty: all.
    """

    subset: Literal["esc10", "esc50"] = "esc10"
    labels: tuple[str, ...] = ()


@FORMATS.register("esc", EscSettings)
def load(settings: EscSettings, folder: Path) -> Dataset:
    """Return ESC-10 or ESC-50.

    Raises
    ------
    ValueError
        No table, wrong columns, an unknown label, an empty class.
    """
    table = tables.first_existing(folder, ["meta/esc50.csv", "labels.csv"], "the table of ESC")
    clips = _official(table, settings.subset) if table.parent != folder else _small(table)
    small = settings.subset == "esc10"
    there = list(LABELS) if small else list(dict.fromkeys(label for _, _, label in clips))
    labels = tables.chosen_labels(settings.labels, there, str(table))
    items = []
    for row, name, label in clips:
        label_indices([label], there, row.where)
        if label in labels:
            items.append(_item(folder, row, name, labels.index(label)))
    return tables.finished(
        Dataset(
            "ESC-10" if small else "ESC-50",
            labels,
            tuple(items),
            exclusive=True,
            licence="CC BY 3.0" if small else "CC BY-NC 3.0",
            attribution="ESC (K. J. Piczak), clips from Freesound",
        ),
        table,
    )


def _official(table: Path, subset: str) -> list[tuple[tables.Row, str, str]]:
    """Rows of ``esc50.csv`` by target, with the file's path and the label by the names of the subset."""
    rows = tables.read(table, ("filename", "fold", "target", "category", "esc10"))
    if subset == "esc10":
        rows = [row for row in rows if row["esc10"].lower() == "true"]
        return [(row, f"audio/{row['filename']}", ESC10.get(row["category"], row["category"])) for row in rows]
    rows.sort(key=lambda row: row.integer("target"))
    return [(row, f"audio/{row['filename']}", row["category"]) for row in rows]


def _small(table: Path) -> list[tuple[tables.Row, str, str]]:
    return [(row, row["file"], row["label"]) for row in tables.read(table, ("file", "fold", "label"))]


def _item(folder: Path, row: tables.Row, name: str, label: int) -> Item:
    parts = PurePosixPath(name).stem.split("-")
    group = parts[1] if len(parts) > 2 else ""
    return Item(name, folder / name, weak=(label,), fold=row.integer("fold"), group=group)
