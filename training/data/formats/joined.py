"""Several sets as one, each of them a fold: `--folds` leaves out one place after another.

[data]                            acrocephalus    4 species          bird    fold 1
kind = "joined"                   urbansound8k    10 classes         –       fold 1
label = "bird"                    birds9          8 species, NoClass bird, – fold 2
[[data.sets]]                     …
folder = "acrocephalus"
fold = 1
format = { kind = "table" }

A figure on recordings of the same microphones and recordists says little of a new place (cards 21, 28, 32); a fold
that is a data set of its own does. Without `label` the members keep their classes, those of one name being one; a
member whose labels are ``unknown`` is then the sound of a new place or microphone, for the procedure ``domain``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import soundfile
from msgspec import Meta

from training.data import tables
from training.data.combine import relabel
from training.data.dataset import Dataset, Item
from training.data.formats.registry import FORMATS
from training.registry import Settings

SHORTEST = 0.5  # of a piece: a shorter rest is left out


class Member(Settings, frozen=True):
    """One of the sets.

    Attributes
    ----------
    folder
        Below the joined set's.
    format
        Its format's ``kind`` and settings.
    fold
        The fold that all of its recordings are.
    labels
        Which classes sound in its recordings: its ``own`` (with one class for all: whether it has any), ``none``, or
        ``unknown``, whatever its table says.
    drop
        Labels whose recordings are left out.
    only
        Regular expression that the names of recordings fit; others are left out.
    device
        What all of them were recorded with; "": what their set tells.
    """

    folder: str
    format: dict[str, Any]
    fold: Annotated[int, Meta(ge=1)]
    labels: Literal["own", "none", "unknown"] = "own"
    drop: tuple[str, ...] = ()
    only: str = ""
    device: str = ""


class JoinedSettings(Settings, frozen=True):
    """Which sets, and as what.

    Attributes
    ----------
    label
        The one class; "" keeps those of the members.
    sets
        The members.
    piece
        Recordings are cut into pieces of so many seconds, one behind another, with the labels of the whole, so that
        long recordings and short ones are judged alike; 0: they stay whole.
    """

    label: str = ""
    sets: tuple[Member, ...] = ()
    piece: Annotated[float, Meta(ge=0)] = 0.0


@FORMATS.register("joined", JoinedSettings)
def load(settings: JoinedSettings, folder: Path) -> Dataset:
    """Return the recordings of all members.

    Raises
    ------
    ConfigError
        A member's format is unknown or has other settings.
    ValueError
        No members; one that cannot be read, or has no recording that fits `only`.
    """
    if not settings.sets:
        raise ValueError(f"{folder}: expected sets to join, as [[data.sets]] of the recipe, got none")
    sets = [_known(settings.label, m, _read(m, folder / m.folder, k)) for k, m in enumerate(settings.sets)]
    labels = tuple(dict.fromkeys(label for dataset in sets for label in dataset.labels))
    items = [item for dataset in sets for item in relabel(dataset, labels).items]
    if settings.piece:
        items = [piece for item in items for piece in _pieces(item, settings.piece)]
    texts = {name: "; ".join(dict.fromkeys(filter(None, (getattr(d, name) for d in sets)))) for name in TEXTS}
    exclusive = not settings.label and all(len(item.weak or (0,)) == 1 for item in items)
    joined = Dataset(settings.label or folder.name, labels, tuple(items), exclusive=exclusive, **texts)
    return tables.finished(joined, folder)


TEXTS = ("licence", "attribution")


def _read(member: Member, folder: Path, number: int) -> Dataset:
    return FORMATS.build(FORMATS.parse(member.format, f"data.sets[{number}].format"), folder)


def _known(label: str, member: Member, dataset: Dataset) -> Dataset:
    """Return what is taken of a member, with the classes of the joined set that it tells of."""
    unknown = sorted(set(member.drop) - set(dataset.labels))
    if unknown:
        raise ValueError(f"{member.folder}: expected `drop` of {', '.join(dataset.labels)}, got {unknown[0]!r}")
    dropped = {dataset.labels.index(name) for name in member.drop}
    kept = [item for item in dataset.items if not dropped & set(item.weak or ()) and re.search(member.only, item.name)]
    if not kept:
        raise ValueError(f"{member.folder}: expected recordings that fit only = {member.only!r}, got none")
    items = tuple(
        replace(
            item,
            name=f"{member.folder}/{item.name}",
            weak=_weak(label, member, item),
            strong=None,
            order=None,
            fold=member.fold,
            split="",
            group=item.group and f"{member.folder}/{item.group}",
            device=member.device or item.device,
        )
        for item in kept
    )
    own = () if member.labels != "own" else dataset.labels
    return replace(dataset, labels=(label,) if label else own, items=items)


def _weak(label: str, member: Member, item: Item) -> tuple[int, ...] | None:
    if member.labels != "own":
        return () if member.labels == "none" else None
    return ((0,) if item.weak else ()) if label and item.weak is not None else item.weak


def _pieces(item: Item, seconds: float) -> list[Item]:
    """Cut a recording; what is too short stays one piece. The pieces are one group."""
    try:
        stop = item.stop if item.stop is not None else soundfile.info(item.path).duration
    except soundfile.LibsndfileError:
        return [item]  # the check of all files says what is wrong with it
    count = max(1, int((stop - item.start) / seconds + 1 - SHORTEST))
    starts = [item.start + k * seconds for k in range(count)]
    return [
        replace(
            item,
            name=f"{item.name}@{start:g}",
            start=start,
            stop=min(start + seconds, stop),
            group=item.group or item.name,
        )
        for start in starts
    ]
