"""A plain table whose columns the settings name: a row per recording, per stretch of one, or per sound.

labels.csv        file, label, recordist        [data] kind = "table", group = "recordist"
stretches.csv     file, start, stop, label      … start = "start", stop = "stop"
sounds.csv        file, label, onset, offset    … onset = "onset", offset = "offset": strong labels
labels.csv and    file, label                   … events = "strong.tsv": strong labels (DESED's columns) of the
strong.tsv                                        recordings that stand there; with window = 2.0, seconds = "seconds"
                                                  weak labels of two seconds each in their place
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from training.data import annotations, tables
from training.data.annotations import Columns, merge, timed
from training.data.dataset import Dataset, Item, Sound, label_indices
from training.data.formats.registry import FORMATS
from training.data.windows import fold_per_recording, windows
from training.registry import Settings


class TableSettings(Settings, frozen=True):
    """Which table, and what its columns are called; "" where it has none.

    Attributes
    ----------
    table, delimiter
        The file below the set's folder, and what parts its columns; "" for a tab if the header has one, else a comma.
    audio
        Folder below the set's, to which the files' names are relative.
    file, label, onset, offset, start, stop, fold, split, group, device
        Columns. With `onset` and `offset` a row is a sound, and a row without a label says that there is none; with
        `start` and `stop` (seconds) a recording is that stretch of the file.
    separators
        Characters that part several labels in a cell; "" where a cell is one label.
    labels
        The classes in their order; empty: all in the table, by name.
    none
        Labels that say that no class sounds.
    others
        What to do with further labels: ``refuse`` them, ``drop`` their recordings, or take these as ``negative``s,
        in which no class sounds.
    events
        A table with times.
    merge
        Sounds of one class at most so many seconds apart are one (DCASE: 0.15).
    folds
        ``recording``: each recording with sounds is a fold of its own.
    seconds
        Column of the recordings' lengths, which `window` needs.
    window
        Seconds of the windows into which recordings are cut, each with its classes but not their times; 0 for whole
        recordings with times.
    exclusive
        Whether a recording has exactly one class.
    unlabelled
        Devices whose labels a training must not know (procedure ``domain``); an evaluation leaves this out.
    licence, attribution
        Of the recordings.
    """

    table: str = "labels.csv"
    delimiter: str = ""
    audio: str = ""
    file: str = "file"
    label: str = "label"
    onset: str = ""
    offset: str = ""
    start: str = ""
    stop: str = ""
    fold: str = ""
    split: str = ""
    group: str = ""
    device: str = ""
    separators: str = ""
    labels: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    others: Literal["refuse", "drop", "negative"] = "refuse"
    events: str = ""
    merge: float = 0.0
    folds: Literal["", "recording"] = ""
    seconds: str = ""
    window: float = 0.0
    exclusive: bool = False
    unlabelled: tuple[str, ...] = ()
    licence: str = ""
    attribution: str = ""

    def columns(self) -> list[str]:
        """Return the names of the columns that the table must have."""
        named = [
            self.label,
            self.onset,
            self.offset,
            self.start,
            self.stop,
            self.fold,
            self.split,
            self.group,
            self.device,
        ]
        named += [self.seconds] if self.window else []
        return [self.file, *filter(None, named)]


@FORMATS.register("table", TableSettings)
def load(settings: TableSettings, folder: Path) -> Dataset:
    """Return the recordings of the table.

    Raises
    ------
    ValueError
        No table, wrong columns, an unknown label, an impossible time, an empty class.
    """
    s, path = settings, folder / settings.table
    rows = tables.read(path, s.columns(), s.delimiter)
    names = [_names(s, row) for row in rows]
    labels = s.labels or tuple(sorted({name for some in names for name in some}))
    kept = [(row, some) for row, some in zip(rows, names, strict=True) if _is_kept(s, row, some, labels)]
    items = _by_sound(s, folder, kept, labels) if s.onset else [_item(s, folder, *one, labels) for one in kept]
    if s.events:
        items = _with_events(items, folder / s.events, labels)
    items = [timed(item, merge(item.strong, s.merge)) if s.merge and item.strong else item for item in items]
    items = fold_per_recording(items) if s.folds else items
    dataset = Dataset(
        folder.name, labels, tuple(items), exclusive=s.exclusive, licence=s.licence, attribution=s.attribution
    )
    if s.window:
        dataset = windows(dataset, s.window, {row[s.file]: row.number(s.seconds) for row, _ in kept})
    if s.unlabelled:
        dataset = _untold(dataset, s.unlabelled, path)
    return tables.finished(dataset, path)


def _names(s: TableSettings, row: tables.Row) -> list[str]:
    """Return the labels of a row without those that mean none."""
    names = tables.split_labels(row[s.label], s.separators) if s.label and s.separators else []
    names = names or ([row[s.label]] if s.label and row[s.label] and not s.separators else [])
    return [name for name in names if name not in s.none]


def _is_kept(s: TableSettings, row: tables.Row, names: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether a row stays, of which some label may be none of the classes."""
    if s.others == "refuse":
        label_indices(names, labels, row.where)
    return s.others != "drop" or all(name in labels for name in names)


def _item(s: TableSettings, folder: Path, row: tables.Row, names: Sequence[str], labels: Sequence[str]) -> Item:
    start = row.number(s.start) if s.start else 0.0
    stop = row.number(s.stop) if s.stop else None
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"{row.where}: expected 0 <= start < stop in seconds, got {start:g} and {stop:g}")
    return Item(
        f"{row[s.file]}@{start:g}" if s.start else row[s.file],
        folder / s.audio / row[s.file],
        weak=tuple(sorted({labels.index(name) for name in names if name in labels})) if s.label else None,
        fold=row.integer(s.fold) if s.fold else None,
        split=row[s.split] if s.split else "",
        group=row[s.group] if s.group else "",
        device=row[s.device] if s.device else "",
        start=start,
        stop=stop,
    )


def _untold(dataset: Dataset, devices: Sequence[str], path: Path) -> Dataset:
    """Forget what is known of the recordings of some devices."""
    there = sorted({item.device for item in dataset.items} - {""})
    missing = [name for name in devices if name not in there]
    if missing:
        raise ValueError(
            f"{path}: expected `unlabelled` of the devices {', '.join(there) or '(`device` names no column)'}, got "
            f"{missing[0]!r}"
        )
    forgotten = annotations.unlabelled(dataset).items
    items = (new if old.device in devices else old for old, new in zip(dataset.items, forgotten, strict=True))
    return replace(dataset, items=tuple(items))


def _by_sound(
    s: TableSettings, folder: Path, rows: Sequence[tuple[tables.Row, Sequence[str]]], labels: Sequence[str]
) -> list[Item]:
    """Recordings of a table that has a row per sound."""
    columns = Columns(s.file, s.onset, s.offset, s.label)
    items: dict[str, Item] = {}
    sounds: dict[str, list[Sound]] = {}
    for row, names in rows:
        item = _item(s, folder, row, [], labels)
        items.setdefault(item.name, item)
        sound = annotations.sound_of(row, labels, columns) if any(name in labels for name in names) else None
        sounds.setdefault(item.name, []).extend([sound] if sound else [])
    return [annotations.timed(item, sounds[name]) for name, item in items.items()]


def _with_events(items: Sequence[Item], path: Path, labels: Sequence[str]) -> list[Item]:
    """Give times to the recordings that stand in a strong table, and to those without any sound."""
    sounds: dict[str, list[Sound]] = {item.name: [] for item in items if not item.weak}
    names = {item.name for item in items}
    for row in tables.read(path, ("filename", "onset", "offset", "event_label")):
        if row["filename"] not in names:
            raise ValueError(f"{row.where}: expected a recording of the set's table, got {row['filename']!r}")
        sound = annotations.sound_of(row, labels)
        sounds.setdefault(row["filename"], []).extend([sound] if sound else [])
    return [annotations.timed(item, sounds[item.name]) if item.name in sounds else item for item in items]
