"""Is every file of a set there, and is it sound? Asked before a training starts, of the headers only."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import soundfile

from training.data.dataset import Dataset, Item
from training.data.tables import require_every_class

# A label may end a little after its file: annotators and codecs round.
SLACK = 0.1


@dataclass(frozen=True)
class Checked:
    """A set whose files can be read.

    Attributes
    ----------
    dataset
        The items that are left.
    bad
        What was left out, a line each, with the path.
    seconds
        Of the sound that is left.
    """

    dataset: Dataset
    bad: tuple[str, ...]
    seconds: float


def check(dataset: Dataset, rate: int | Literal["any"] = "any", *, skip_bad: bool = False, threads: int = 8) -> Checked:
    """Open every file's header.

    Parameters
    ----------
    dataset
        The set.
    rate
        The sample rate that every file must have, Hz; ``any``: files are resampled when they are read.
    skip_bad
        Leave bad files out instead of refusing the set.
    threads
        Files that are opened at once: a disk far away answers slowly.

    Raises
    ------
    ValueError
        A file is missing, is no sound file, is empty, has another rate, or ends before its labels do (the first one is
        named, and how many there are); or a class has no item left.
    """
    if dataset.embedded:
        return Checked(dataset, (), 0.0)  # their format has read all of them
    paths = list({item.path: None for item in dataset.items})
    with ThreadPoolExecutor(threads) as pool:
        headers = dict(zip(paths, pool.map(_header, paths), strict=True))
    faults = [_fault(item, headers[item.path], rate) for item in dataset.items]
    bad = tuple(dict.fromkeys(fault for fault in faults if fault))
    if bad and not skip_bad:
        raise ValueError(f"{bad[0]}{_others(bad)}; repair them, or leave them out with --skip-bad")
    left = replace(dataset, items=tuple(item for item, fault in zip(dataset.items, faults, strict=True) if not fault))
    if not left.items:
        raise ValueError(f"{dataset.name}: expected some files that can be read, got none; the first: {bad[0]}")
    require_every_class(left, f"{dataset.name} without its {len(bad)} bad files" if bad else dataset.name)
    return Checked(left, bad, sum(_seconds(item, headers[item.path]) for item in left.items))


@dataclass(frozen=True)
class _Header:
    """Rate and length of a file, or why it has none."""

    rate: int = 0
    seconds: float = 0.0
    fault: str = ""


def _header(path: Path) -> _Header:
    if not path.is_file():
        return _Header(fault=f"expected a sound file at {path}, got nothing there")
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        return _Header(fault=f"expected a sound file at {path}, got: {error}")
    if not info.frames:
        return _Header(fault=f"expected sound in {path}, got none")
    return _Header(info.samplerate, info.frames / info.samplerate)


def _fault(item: Item, header: _Header, rate: int | str) -> str:
    """What is wrong with an item's file; "" if nothing is."""
    if header.fault:
        return header.fault
    if rate not in ("any", header.rate):
        return f'expected {rate} Hz in {item.path}, got {header.rate} Hz; resample the set, or set rate = "any"'
    ends = [item.stop or 0.0, *(item.start + sound.offset for sound in item.strong or ())]
    if max(ends) > header.seconds + SLACK:
        return f"expected at least {max(ends):g} s in {item.path}, as its labels say, got {header.seconds:g} s"
    if item.start >= header.seconds:
        return f"expected more than {item.start:g} s in {item.path}, where a stretch begins, got {header.seconds:g} s"
    return ""


def _seconds(item: Item, header: _Header) -> float:
    return min(item.stop or header.seconds, header.seconds) - item.start


def _others(bad: Sequence[str]) -> str:
    return f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else ""
