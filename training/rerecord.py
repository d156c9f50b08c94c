"""The clips of a set as other microphones would have made them: composed device shifts, on disk.

OUT/audio/b/00000.flac …        clip 0 by device b
OUT/labels.csv                  file, label, fold, group, device, source
OUT/strong.tsv                  where the set knows times
OUT/devices.json                the devices, the set, licences

All clips are the same for each device, so what differs between devices is the devices. A clip and its likes are one
group: no split parts them. The format `devices` reads it back.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile

from edge.errors import ConfigError
from training.compose import load
from training.data import annotations
from training.data.dataset import Dataset, Item
from training.data.device import Device, plain

RATE = 16_000  # Hz
COLUMNS = ("file", "label", "fold", "group", "device", "source")
SEPARATOR = ";"


def rerecord(
    table: dict[str, Any], devices: Sequence[Device], root: Path, out: Path, rate: int = RATE, *, skip_bad: bool = False
) -> Iterator[tuple[int, int]]:
    """Write a set as each device hears it; gives (clips written, clips in all) after each.

    Parameters
    ----------
    table
        ``[data]`` of the set as a recipe has it, with its `folder` below `root`.
    devices
        See `training.data.device.load`.
    root
        Folder of the data sets.
    out
        Folder that is written: new, or empty.
    rate
        Of the files, Hz.
    skip_bad
        Leave recordings out that cannot be read.

    Raises
    ------
    ConfigError
        A folder that holds something.
    ValueError
        No such set, a bad file, or a clip without labels.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out: expected a new or empty folder, got {out}, which holds something; choose another")
    dataset = load(table, root, skip_bad=skip_bad)
    unknown = next((item for item in dataset.items if item.weak is None), None)
    if unknown:
        raise ValueError(f"{dataset.name}: expected labelled recordings, got {unknown.name!r} without labels")
    done: list[tuple[Item, Item]] = []
    for device in devices:
        (out / "audio" / device.name).mkdir(parents=True)
        for number, item in enumerate(dataset.items):
            name = f"audio/{device.name}/{number:05d}.flac"
            heard = device.hear(item.samples(rate), rate, item.name)
            soundfile.write(out / name, heard, rate, subtype="PCM_16")
            done.append((item, replace(item, name=name, device=device.name, group=item.group or item.name)))
            yield len(done), len(devices) * len(dataset)
    _write(out, table, rate, devices, dataset, done)


def _write(
    out: Path,
    table: dict[str, Any],
    rate: int,
    devices: Sequence[Device],
    dataset: Dataset,
    done: Sequence[tuple[Item, Item]],
) -> None:
    folds = all(item.fold is not None for item in dataset.items)
    with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column for column in COLUMNS if folds or column != "fold"])
        for source, item in done:
            label = SEPARATOR.join(dataset.labels[k] for k in item.weak or ())
            fold = [item.fold] if folds else []
            writer.writerow([item.name, label, *fold, item.group, item.device, source.name])
    if any(item.strong is not None for item in dataset.items):
        annotations.write_strong(out / "strong.tsv", replace(dataset, items=tuple(item for _, item in done)))
    said = {
        "labels": dataset.labels,
        "exclusive": dataset.exclusive,
        "licence": dataset.licence,
        "attribution": dataset.attribution,
        "set": table,
        "rate": rate,
        "devices": [plain(device) for device in devices],
    }
    (out / "devices.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8", newline="\n")
