"""A folder per class: ``dog/1.wav``, ``rain/2.flac``; with parts, ``train/dog/1.wav``, ``test/dog/2.wav``."""

from __future__ import annotations

import re
from pathlib import Path

from training.data import tables
from training.data.dataset import Dataset, Item
from training.data.formats.registry import FORMATS
from training.registry import Settings


class FoldersSettings(Settings, frozen=True):
    """How the folders are to be read.

    Attributes
    ----------
    labels
        Only these classes, in this order; empty: every folder, by name.
    splits
        Folders of the official parts, above those of the classes; empty: there are none.
    group
        Regular expression on a file's name (without its folder); what its first parenthesis matches is the group.
    licence, attribution
        Of the recordings.
    """

    labels: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    group: str = ""
    licence: str = ""
    attribution: str = ""


@FORMATS.register("folders", FoldersSettings)
def load(settings: FoldersSettings, folder: Path) -> Dataset:
    """Return every sound file below the folders of the classes.

    Raises
    ------
    ValueError
        No folders, a class without sound files, a file whose name tells no group.
    """
    parts = [(split, folder / split) for split in settings.splits] or [("", folder)]
    there = sorted({path.name for _, part in parts for path in _folders(part)})
    labels = tables.chosen_labels(settings.labels, there, str(folder))
    items = [
        Item(path.relative_to(folder).as_posix(), path, weak=(label,), split=split, group=_group(settings.group, path))
        for split, part in parts
        for label, name in enumerate(labels)
        if (part / name).is_dir()
        for path in tables.sound_files(part / name)
    ]
    return tables.finished(
        Dataset(
            folder.name,
            labels,
            tuple(items),
            exclusive=True,
            licence=settings.licence,
            attribution=settings.attribution,
        ),
        folder,
    )


def _folders(part: Path) -> list[Path]:
    if not part.is_dir():
        raise ValueError(f"expected a folder of classes at {part}, got nothing there; check --data and [data]")
    return [path for path in part.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _group(pattern: str, path: Path) -> str:
    if not pattern:
        return ""
    found = re.search(pattern, path.name)
    if not found or not found.groups() or found[1] is None:
        raise ValueError(f"{path}: expected a name that `group` = {pattern!r} finds a group in, got {path.name!r}")
    return found[1]
