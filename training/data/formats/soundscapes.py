"""Unlabelled recordings: backgrounds, or the unlabelled part of a semi-supervised training.

files.csv with the column file (or every sound file of the folder). Where names end in ``_YYYYMMDD_HHMMSS``, as
recorders write them, the hour is the group: even hours are the split ``train``, odd ones ``test``, so that every part
of the day stands in both and no hour does.
"""

from __future__ import annotations

import re
from pathlib import Path

from training.data import tables
from training.data.dataset import Dataset, Item
from training.data.formats.registry import FORMATS
from training.registry import Settings

_TIME = re.compile(r"_(\d{8})_(\d{2})\d{4}\.\w+$")


class SoundscapesSettings(Settings, frozen=True):
    """What is known of them.

    Attributes
    ----------
    labels
        Classes of which it is known that none sounds in them; empty: nothing is known, they are unlabelled.
    table
        The table below the folder; where it is not there, every sound file of the folder.
    licence, attribution
        Of the recordings.
    """

    labels: tuple[str, ...] = ()
    table: str = "files.csv"
    licence: str = ""
    attribution: str = ""


@FORMATS.register("soundscapes", SoundscapesSettings)
def load(settings: SoundscapesSettings, folder: Path) -> Dataset:
    """Return the recordings; those with a time in their names with a split by the hour.

    Raises
    ------
    ValueError
        No folder, no recording, a table without the column file.
    """
    table = folder / settings.table
    if table.exists():
        names = [row["file"] for row in tables.read(table, ("file",))]
    else:
        names = [path.name for path in tables.sound_files(folder)]
    nothing = () if settings.labels else None
    items = tuple(_item(folder, name, nothing) for name in names)
    dataset = Dataset(folder.name, settings.labels, items, licence=settings.licence, attribution=settings.attribution)
    if not items:
        raise ValueError(f"{folder}: expected at least one recording, got none; check --data")
    return dataset


def _item(folder: Path, name: str, weak: tuple[int, ...] | None) -> Item:
    found = _TIME.search(name)
    group, split = (f"{found[1]} {found[2]}", "test" if int(found[2]) % 2 else "train") if found else ("", "")
    return Item(name, folder / name, weak=weak, strong=weak, split=split, group=group)
