"""Tables of labels turned into tables that say less: strong → sequential → weak (card 15).

strong    filename onset offset event_label      a.wav 0.0 2.0 speech │ a.wav 1.0 5.0 blender
order     filename event_order                   a.wav speech_start;blender_start;speech_end;blender_end
weak      filename event_labels                  a.wav blender;speech
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from training.data import annotations, tables
from training.data.dataset import Dataset, Sound
from training.data.formats import desed

Kind = Literal["strong", "order", "weak"]
COLUMNS: dict[Kind, str] = {"strong": "event_label", "order": "event_order", "weak": "event_labels"}
WRITE = {"strong": annotations.write_strong, "order": annotations.write_order, "weak": annotations.write_weak}


def convert(source: Path, target: Path, kind: Kind, merge: float = 0.0, shortest: float = 0.0) -> Dataset:
    """Read one table and write another; returns what was written.

    Parameters
    ----------
    merge
        Sounds of a class at most so many seconds apart become one.
    shortest
        Sounds below so many seconds are left out, after merging.

    Raises
    ------
    ValueError
        No table of labels, something wrong in it, or it says less than it is asked for.
    """
    has, dataset = read(source)
    order = list(COLUMNS)
    if order.index(has) > order.index(kind):
        raise ValueError(f"{source}: expected {' or '.join(order[: order.index(kind) + 1])} labels, got {has} ones")
    if (merge or shortest) and has != "strong":
        raise ValueError(f"{source}: expected strong labels to merge or to leave out short sounds, got {has} ones")
    if has == "strong":
        items = [annotations.timed(item, _kept(item.strong or (), merge, shortest)) for item in dataset.items]
        dataset = replace(dataset, items=tuple(items))
    WRITE[kind](target, dataset)
    return dataset


def read(path: Path) -> tuple[Kind, Dataset]:
    """Return what kind of labels a table has, and its recordings; the classes are those that it names, in order.

    Raises
    ------
    ValueError
        No table of labels, or something wrong in it.
    """
    columns = tables.header(path)
    kind = next((kind for kind, column in COLUMNS.items() if column in columns), None)
    if kind is None:
        raise ValueError(f"{path}: expected a column {', '.join(COLUMNS.values())}, got {', '.join(columns)}")
    names = {name for row in tables.read(path, ("filename",)) for name in tables.split_labels(row[COLUMNS[kind]], ";,")}
    if kind == "order":
        names = {name.removesuffix(annotations.START).removesuffix(annotations.END) for name in names}
    part = desed.Section(audio="", table=path.name)
    return kind, desed.load(desed.DesedSettings(parts=(part,), labels=tuple(sorted(names))), path.parent)


def _kept(sounds: tuple[Sound, ...], merge: float, shortest: float) -> tuple[Sound, ...]:
    joined = annotations.merge(sounds, merge) if merge else annotations.by_onset(sounds)
    return tuple(sound for sound in joined if sound.offset - sound.onset >= shortest)
