"""What can be known of a recording's sounds, from much to little, and the text files that hold it.

strong      filename, onset, offset, event_label     a row per sound (DESED's columns; tabs between them)
order       filename, event_order                    dishes_start;speech_start;dishes_end;speech_end (card 15)
weak        filename, event_labels                   Dishes;Speech, or with commas (card 03)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.dataset import Dataset, Item, Sound, label_indices
from training.data.tables import Row

START, END = "_start", "_end"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a strong table."""

    file: str = "filename"
    onset: str = "onset"
    offset: str = "offset"
    label: str = "event_label"


def sound_of(row: Row, labels: Sequence[str], columns: Columns = Columns()) -> Sound | None:
    """Return the sound of one row; None of a row that only says that the recording has none.

    Raises
    ------
    ValueError
        An unknown label, no number, or an end before the beginning.
    """
    if not row[columns.label]:
        return None
    (label,) = label_indices([row[columns.label]], labels, row.where)
    onset, offset = row.number(columns.onset), row.number(columns.offset)
    if not 0 <= onset < offset:
        raise ValueError(f"{row.where}: expected 0 <= onset < offset in seconds, got {onset:g} and {offset:g}")
    return Sound(label, onset, offset)


def parse_order(names: Sequence[str], labels: Sequence[str], where: str) -> tuple[int, ...]:
    """Return boundary symbols of names such as ``Dog_start``.

    Raises
    ------
    ValueError
        A name ends in neither ``_start`` nor ``_end``, or its class is unknown.
    """
    out = []
    for name in names:
        suffix = next((suffix for suffix in (START, END) if name.endswith(suffix)), None)
        if suffix is None:
            raise ValueError(f"{where}: expected names that end in {START} or {END}, got {name!r}")
        (label,) = label_indices([name.removesuffix(suffix)], labels, where)
        out.append(2 * label + (suffix == END))
    return tuple(out)


def order_names(order: Iterable[int], labels: Sequence[str]) -> list[str]:
    """Return the names of boundary symbols, which `parse_order` reads."""
    return [labels[symbol // 2] + (END if symbol % 2 else START) for symbol in order]


def merge(sounds: Iterable[Sound], gap: float = 0.0) -> tuple[Sound, ...]:
    """Join sounds of one class that overlap, touch, or stand at most `gap` seconds apart (DCASE: 0.15), by onset.

    >>> merge([Sound(0, 1.0, 2.0), Sound(0, 1.5, 3.0)])
    (Sound(label=0, onset=1.0, offset=3.0),)
    """
    out: list[Sound] = []
    for sound in sorted(sounds):
        last = out[-1] if out else None
        if last and last.label == sound.label and sound.onset <= last.offset + gap:
            out[-1] = replace(last, offset=max(last.offset, sound.offset))
        else:
            out.append(sound)
    return by_onset(out)


def by_onset(sounds: Iterable[Sound]) -> tuple[Sound, ...]:
    """Return the sounds by onset, then offset, then class."""
    return tuple(sorted(sounds, key=lambda sound: (sound.onset, sound.offset, sound.label)))


def order_of(sounds: Iterable[Sound]) -> tuple[int, ...]:
    """Return the boundaries of sounds in their order; of one moment ends come before beginnings.

    >>> order_of([Sound(0, 0.0, 2.0), Sound(1, 1.0, 3.0)])
    (0, 2, 1, 3)
    """
    boundaries = [
        boundary
        for sound in merge(sounds)
        for boundary in ((sound.onset, 1, 2 * sound.label), (sound.offset, 0, 2 * sound.label + 1))
    ]
    return tuple(symbol for _, _, symbol in sorted(boundaries))


def weak_of(sounds: Iterable[Sound]) -> tuple[int, ...]:
    """Return the classes that sound."""
    return tuple(sorted({sound.label for sound in sounds}))


def weak_of_order(order: Iterable[int]) -> tuple[int, ...]:
    """Return the classes whose boundaries stand in an order."""
    return tuple(sorted({symbol // 2 for symbol in order}))


def timed(item: Item, sounds: Sequence[Sound]) -> Item:
    """Return the recording with times, and what follows from them."""
    return replace(item, weak=weak_of(sounds), strong=by_onset(sounds), order=order_of(sounds))


def sequential(dataset: Dataset) -> Dataset:
    """Return the set with the order of its strong labels in place of their times."""

    def forget(item: Item) -> Item:
        return replace(item, order=order_of(item.strong), strong=None) if item.strong is not None else item

    return replace(dataset, items=tuple(forget(item) for item in dataset.items))


def weak(dataset: Dataset) -> Dataset:
    """Return the set with nothing known but which classes sound."""
    return replace(dataset, items=tuple(replace(item, strong=None, order=None) for item in dataset.items))


def unlabelled(dataset: Dataset) -> Dataset:
    """Return the set with nothing known of its sounds."""
    items = tuple(replace(item, weak=None, strong=None, order=None) for item in dataset.items)
    return replace(dataset, items=items)


def write_strong(path: Path, dataset: Dataset, digits: int = 6) -> None:
    """Write a strong table; a recording without sounds is a row with three empty cells.

    Six digits name each sample of up to 500 kHz.
    """
    lines = ["filename\tonset\toffset\tevent_label"]
    for item in _labelled(dataset):
        lines += [
            f"{item.name}\t{sound.onset:.{digits}f}\t{sound.offset:.{digits}f}\t{dataset.labels[sound.label]}"
            for sound in item.strong or ()
        ] or [f"{item.name}\t\t\t"]
    _write(path, lines)


def write_order(path: Path, dataset: Dataset) -> None:
    """Write a table of boundary orders."""
    items = [item for item in dataset.items if item.order is not None]
    lines = [f"{item.name}\t{';'.join(order_names(item.order or (), dataset.labels))}" for item in items]
    _write(path, ["filename\tevent_order", *lines])


def write_weak(path: Path, dataset: Dataset) -> None:
    """Write a weak table."""
    items = [item for item in dataset.items if item.weak is not None]
    lines = [f"{item.name}\t{';'.join(dataset.labels[k] for k in item.weak or ())}" for item in items]
    _write(path, ["filename\tevent_labels", *lines])


def _labelled(dataset: Dataset) -> list[Item]:
    return [item for item in dataset.items if item.strong is not None]


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
