"""Scenes that `wheatear compose` wrote: one recording has strong, sequential and weak labels at once.

scenes.json     labels, rate, licences, and of each scene its file, fold and split
strong.tsv      what sounds when; order.tsv and weak.tsv say the same with less
audio/          the sounds
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from training.data import annotations, tables
from training.data.dataset import Dataset, Item, Sound
from training.data.formats.registry import FORMATS
from training.registry import Settings

UNLABELLED = "unlabelled"  # the split of scenes that are in no table


class Scene(msgspec.Struct, frozen=True):
    """What `scenes.json` says of a scene that a training wants to know."""

    file: str
    fold: int | None = None
    split: str = ""


class Scenes(msgspec.Struct, frozen=True):
    """What `scenes.json` says of all of them."""

    labels: tuple[str, ...]
    scenes: tuple[Scene, ...]
    licence: str = ""
    attribution: str = ""


class ComposedSettings(Settings, frozen=True):
    """What to know of the scenes.

    Attributes
    ----------
    known
        ``strong``: the times, the order and the classes; ``order``: the order and the classes; ``weak``: the classes.
    unlabelled
        Whether scenes of which nothing is known come along, for procedures that learn from them.
    """

    known: Literal["strong", "order", "weak"] = "strong"
    unlabelled: bool = False


@FORMATS.register("composed", ComposedSettings)
def load(settings: ComposedSettings, folder: Path) -> Dataset:
    """Return the scenes.

    Raises
    ------
    ValueError
        No scenes, or files that `wheatear compose` did not write.
    """
    path = folder / "scenes.json"
    if not path.is_file():
        raise ValueError(f"expected composed scenes at {path}, got nothing there; write some with `wheatear compose`")
    try:
        said = msgspec.json.decode(path.read_bytes(), type=Scenes)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected what `wheatear compose` writes, got: {error}") from None
    sounds: dict[str, list[Sound]] = {scene.file: [] for scene in said.scenes}
    for row in tables.read(folder / "strong.tsv", ("filename", "onset", "offset", "event_label")):
        sound = annotations.sound_of(row, said.labels)
        if row["filename"] not in sounds:
            raise ValueError(f"{row.where}: expected a scene of scenes.json, got {row['filename']!r}")
        sounds[row["filename"]] += [sound] if sound else []
    items = tuple(
        _item(scene, folder, sounds[scene.file])
        for scene in said.scenes
        if settings.unlabelled or scene.split != UNLABELLED
    )
    dataset = Dataset(folder.name, said.labels, items, licence=said.licence, attribution=said.attribution)
    less = {"strong": lambda x: x, "order": annotations.sequential, "weak": annotations.weak}
    return tables.finished(less[settings.known](dataset), folder)


def _item(scene: Scene, folder: Path, sounds: list[Sound]) -> Item:
    item = Item(scene.file, folder / scene.file, fold=scene.fold, split=scene.split)
    return item if scene.split == UNLABELLED else annotations.timed(item, sounds)
