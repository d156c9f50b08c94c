"""Recordings with a ``.lab`` file each, as the beehive set of Nolasco and Benetos has them (card 26).

Hive1_12_06_2018.lab        Hive1_12_06_2018            the recording
                            0	12.5	bee            start, end, label, with tabs
                            12.5	20	nobee
                            .                           the end
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from training.data import annotations, blocks, tables
from training.data.dataset import Dataset, Item, Sound
from training.data.formats.registry import FORMATS
from training.registry import Settings

COLUMNS = annotations.Columns()
NAMES = (COLUMNS.onset, COLUMNS.offset, COLUMNS.label)


class LabSettings(Settings, frozen=True):
    """How the set is to be read.

    Attributes
    ----------
    labels
        The classes.
    names
        What a model and its events shall call them, in the order of `labels`; as the files do where empty.
    audio
        Folder of the sounds; "" where they lie beside their ``.lab`` files.
    group
        Regular expression on a recording's name; what its first parenthesis matches is the group. The default finds
        the hive of the beehive set: ``Hive1`` of Hive1_12_06, ``CF003`` of "CF003 - Active - Day". A name that it
        does not fit is its own group.
    block
        S: seconds of the blocks that recordings are cut into, each with one of the two labels, the second of which is
        that of external sound; 0 leaves the recordings whole, with their times.
    least
        Θ: external sounds shorter than so many seconds do not count in blocks.
    licence, attribution
        Of the recordings.
    """

    labels: tuple[str, ...] = ("bee", "nobee")
    names: tuple[str, ...] = ()
    audio: str = ""
    group: str = r"^(Hive\d+|[A-Z]+\d+)"
    block: Annotated[float, Meta(ge=0)] = 0.0
    least: Annotated[float, Meta(ge=0)] = 0.0
    licence: str = ""
    attribution: str = ""


@FORMATS.register("lab", LabSettings)
def load(settings: LabSettings, folder: Path) -> Dataset:
    """Return the recordings that have a ``.lab`` file.

    Raises
    ------
    ValueError
        No such file, a line that is no annotation, an unknown label, a recording without sound file, or not a name for
        each label.
    """
    if settings.names and len(settings.names) != len(settings.labels):
        raise ValueError(
            f"names: expected one for each of the labels {', '.join(settings.labels)}, got {', '.join(settings.names)}"
        )
    labs = sorted(folder.glob("*.lab"))
    if not labs:
        raise ValueError(f"expected .lab files in {folder}, got nothing there; check --data")
    sounds = {path.stem: path for path in tables.sound_files(folder / settings.audio)}
    items = tuple(_item(settings, lab, sounds) for lab in labs)
    whole = tables.finished(
        Dataset(
            folder.name,
            settings.names or settings.labels,
            items,
            licence=settings.licence,
            attribution=settings.attribution,
        ),
        folder,
    )
    return blocks.cut(whole, 1, settings.block, settings.least) if settings.block else whole


def read(path: Path, labels: Sequence[str]) -> list[Sound]:
    """Return the annotations of a ``.lab`` file.

    Raises
    ------
    ValueError
        A line is none, or has an unknown label: it is named.
    """
    out = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        if line.strip() in ("", "."):
            continue
        cells = line.split("\t")
        if len(cells) != len(NAMES):
            raise ValueError(f"{path}:{number}: expected start, end and label with tabs between them, got {line!r}")
        row = tables.Row(f"{path}:{number}", dict(zip(NAMES, (cell.strip() for cell in cells), strict=True)))
        sound = annotations.sound_of(row, labels)
        out += [sound] if sound else []
    return out


def write(path: Path, sounds: Sequence[Sound], labels: Sequence[str]) -> None:
    """Write a ``.lab`` file for the recording of the same name."""
    lines = [f"{sound.onset:g}\t{sound.offset:g}\t{labels[sound.label]}" for sound in annotations.by_onset(sounds)]
    path.write_text("\n".join([path.stem, *lines, "."]) + "\n", encoding="utf-8", newline="\n")


def _item(settings: LabSettings, lab: Path, sounds: dict[str, Path]) -> Item:
    if lab.stem not in sounds:
        raise ValueError(f"{lab}: expected a sound file of the same name, got none; set `audio` to its folder")
    found = re.search(settings.group, lab.stem) if settings.group else None
    group = found[1] if found and found.groups() else ""
    path = sounds[lab.stem]
    return annotations.timed(Item(path.name, path, group=group or ""), read(lab, settings.labels))
