"""Clips of a set as several devices hear them, which `wheatear compose --devices` wrote.

devices.json    classes, licences, and what each device does
labels.csv      file, label, fold, group, device, source
strong.tsv      where times are known
audio/DEVICE/   the sounds
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from training.data import tables
from training.data.dataset import Dataset
from training.data.formats import table
from training.data.formats.registry import FORMATS
from training.registry import Settings


class Said(msgspec.Struct, frozen=True):
    """What `devices.json` says that a training wants to know."""

    labels: tuple[str, ...]
    exclusive: bool = False
    licence: str = ""
    attribution: str = ""


class DevicesSettings(Settings, frozen=True):
    """What to know of the clips.

    Attributes
    ----------
    unlabelled
        Devices whose labels a training must not know: what the procedure ``domain`` is to be led over to. An
        evaluation leaves this out.
    """

    unlabelled: tuple[str, ...] = ()


@FORMATS.register("devices", DevicesSettings)
def load(settings: DevicesSettings, folder: Path) -> Dataset:
    """Return the clips of all devices.

    Raises
    ------
    ValueError
        No such clips, files that `wheatear compose` did not write, or no such device.
    """
    path = folder / "devices.json"
    if not path.is_file():
        raise ValueError(
            f"expected clips of several devices at {path}, got nothing there; write some with `wheatear compose "
            "--devices`"
        )
    try:
        said = msgspec.json.decode(path.read_bytes(), type=Said)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected what `wheatear compose --devices` writes, got: {error}") from None
    columns = table.TableSettings(
        labels=said.labels,
        separators=";",
        fold="fold" if "fold" in tables.header(folder / "labels.csv") else "",
        group="group",
        device="device",
        events="strong.tsv" if (folder / "strong.tsv").exists() else "",
        exclusive=said.exclusive,
        unlabelled=settings.unlabelled,
        licence=said.licence,
        attribution=said.attribution,
    )
    return table.load(columns, folder)
