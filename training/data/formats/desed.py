"""DESED and its first form, DCASE2018 task 4: weak, strong and unlabelled parts of one set of ten household sounds.

What a part's table knows, its columns say (`training.data.annotations` has the text):

filename, onset, offset, event_label     strong; a row with only the name is a recording without sounds
filename, event_order                    the order of beginnings and ends
filename, event_labels                   weak
filename                                 unlabelled
no table                                 unlabelled: every sound file of the folder
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from training.data import annotations, tables
from training.data.dataset import Dataset, Item, label_indices
from training.data.formats.registry import FORMATS
from training.registry import Settings

LABELS = (
    "Alarm_bell_ringing",
    "Blender",
    "Cat",
    "Dishes",
    "Dog",
    "Electric_shaver_toothbrush",
    "Frying",
    "Running_water",
    "Speech",
    "Vacuum_cleaner",
)
_YOUTUBE = re.compile(r"^Y(.{11})_\d")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One part of a set.

    Attributes
    ----------
    audio
        Folder of its sounds, below the set's.
    table
        Its table, below the set's folder; "" for every sound file of the folder, unlabelled.
    split
        Name of the part.
    """

    audio: str
    table: str = ""
    split: str = ""


# Where the challenges of 2018 (.csv) and later (.tsv) have their parts; those that are not there are left out.
OFFICIAL = (
    Section(table="metadata/train/weak.csv", audio="audio/train/weak", split="train"),
    Section(table="metadata/train/unlabel_in_domain.csv", audio="audio/train/unlabel_in_domain", split="unlabelled"),
    Section(table="metadata/test/test.csv", audio="audio/test", split="test"),
    Section(table="metadata/eval/eval.csv", audio="audio/eval", split="eval"),
    Section(table="metadata/train/weak.tsv", audio="audio/train/weak", split="train"),
    Section(table="metadata/train/unlabel_in_domain.tsv", audio="audio/train/unlabel_in_domain", split="unlabelled"),
    Section(table="metadata/validation/validation.tsv", audio="audio/validation", split="validation"),
    Section(table="metadata/eval/public.tsv", audio="audio/eval/public", split="eval"),
)


class DesedSettings(Settings, frozen=True):
    """Which parts, and where.

    Attributes
    ----------
    parts
        Empty: what is there of the official ones.
    labels
        The classes.
    licence, attribution
        Of the recordings.
    """

    parts: tuple[Section, ...] = ()
    labels: tuple[str, ...] = LABELS
    licence: str = ""
    attribution: str = ""


@FORMATS.register("desed", DesedSettings)
def load(settings: DesedSettings, folder: Path) -> Dataset:
    """Return all parts as one set; a recording's `split` says which one it is of.

    Raises
    ------
    ValueError
        No part, wrong columns, an unknown label, an impossible time, an empty class.
    """
    parts = settings.parts or tuple(part for part in OFFICIAL if _is_there(folder, part))
    if not parts:
        raise ValueError(
            f"expected a table such as {folder / OFFICIAL[0].table} or {folder / OFFICIAL[4].table}, got none; "
            "check --data, or name the set's tables in [data] parts"
        )
    items = tuple(item for part in parts for item in _items(folder, part, settings.labels))
    return tables.finished(
        Dataset(folder.name, settings.labels, items, licence=settings.licence, attribution=settings.attribution),
        folder,
    )


def _is_there(folder: Path, part: Section) -> bool:
    return (folder / part.table).exists()


def _items(folder: Path, part: Section, labels: tuple[str, ...]) -> list[Item]:
    if not part.table:
        return [_item(folder, part, path.name) for path in tables.sound_files(folder / part.audio)]
    table = folder / part.table
    columns = tables.header(table)
    if "event_label" in columns:
        rows = tables.read(table, ("filename", "onset", "offset", "event_label"))
        return _strong(folder, part, rows, labels)
    rows = tables.read(table, ("filename",))
    if "event_order" in columns:
        orders = [annotations.parse_order(tables.split_labels(r["event_order"], ";,"), labels, r.where) for r in rows]
        return [
            _item(folder, part, row["filename"], order=order, weak=annotations.weak_of_order(order))
            for row, order in zip(rows, orders, strict=True)
        ]
    if "event_labels" in columns:
        names = [tables.split_labels(row["event_labels"], ";,") for row in rows]
        return [
            _item(folder, part, row["filename"], weak=label_indices(some, labels, row.where))
            for row, some in zip(rows, names, strict=True)
        ]
    return [_item(folder, part, row["filename"]) for row in rows]


def _strong(folder: Path, part: Section, rows: list[tables.Row], labels: tuple[str, ...]) -> list[Item]:
    sounds: dict[str, list[annotations.Sound]] = {}
    for row in rows:
        sound = annotations.sound_of(row, labels)
        sounds.setdefault(row["filename"], []).extend([sound] if sound else [])
    return [annotations.timed(_item(folder, part, name), some) for name, some in sounds.items()]


def _item(
    folder: Path,
    part: Section,
    name: str,
    *,
    weak: tuple[int, ...] | None = None,
    order: tuple[int, ...] | None = None,
) -> Item:
    """One recording; those cut from one YouTube video are a group."""
    path = folder / part.audio / name
    video = _YOUTUBE.match(name)
    return Item(
        path.relative_to(folder).as_posix(),
        path,
        weak=weak,
        order=order,
        split=part.split,
        group=video[1] if video else "",
    )
