"""Blocks of hive recordings: is a stretch of S seconds pure bee, or is there a sound from outside in it (card 26)?

annotation   bee────────────nobee─bee──────────────────────────
blocks       |    S    |    S    |    S    |    S    | rest |     the rest is repeated up to S
label          bee       nobee     bee       bee       bee

External sounds shorter than Θ are ignored; it is the whole sound's length that counts, not the part inside the block. A
block is nobee as soon as any part of it touches a sound that is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.data.dataset import Dataset, Item, Sound

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A stretch of a recording.

    Attributes
    ----------
    start, stop
        Seconds; the last block of a recording may be shorter than the others.
    strength
        Seconds of external sound in it, for each second of a whole block: 0 … 1.
    external
        Whether any external sound touches it.
    """

    start: float
    stop: float
    strength: float
    external: bool


def blocks(sounds: Sequence[Sound], nobee: int, seconds: float, length: float, least: float = 0.0) -> list[Block]:
    """Cut a recording and label its blocks.

    Parameters
    ----------
    sounds
        The annotation.
    nobee
        Class of external sounds; others are ignored.
    seconds
        Length of the recording.
    length
        S: of a block, seconds.
    least
        Θ: shorter external sounds are ignored, seconds.

    Raises
    ------
    ValueError
        The block has no length.
    """
    if length <= 0:
        raise ValueError(f"blocks: expected a length over 0 s, got {length:g}")
    kept = [sound for sound in sounds if sound.label == nobee and sound.offset - sound.onset >= least]
    count = math.ceil(seconds / length)
    return [_block(kept, k * length, min((k + 1) * length, seconds), length) for k in range(count)]


def _block(kept: Sequence[Sound], start: float, stop: float, length: float) -> Block:
    inside = [min(sound.offset, stop) - max(sound.onset, start) for sound in kept]
    inside = [overlap for overlap in inside if overlap > 0]
    return Block(start, stop, sum(inside) / length, bool(inside))


def cut(dataset: Dataset, nobee: int, length: float, least: float = 0.0) -> Dataset:
    """Return the set with blocks in place of recordings, each with one class; groups stay, so hives never cross.

    Parameters
    ----------
    dataset
        Recordings with strong labels that cover them, as `training.data.formats.lab` gives them.
    nobee, length, least
        As for `blocks`; the other class is 1 − nobee.

    Raises
    ------
    ValueError
        A recording without times, or not two classes.
    """
    if len(dataset.labels) != 2:
        raise ValueError(f"{dataset.name}: expected the two classes bee and nobee, got {', '.join(dataset.labels)}")
    items = [piece for item in dataset.items for piece in _pieces(item, nobee, length, least)]
    return replace(dataset, items=tuple(items), exclusive=True)


def _pieces(item: Item, nobee: int, length: float, least: float) -> list[Item]:
    if item.strong is None:
        raise ValueError(f"{item.name}: expected times of what sounds, got none; annotate it")
    seconds = max((sound.offset for sound in item.strong), default=0.0)
    return [
        replace(
            item,
            name=f"{item.name}@{block.start:g}",
            weak=(nobee if block.external else 1 - nobee,),
            strong=None,
            start=item.start + block.start,
            stop=item.start + block.stop,
        )
        for block in blocks(item.strong, nobee, seconds, length, least)
    ]


def filled(samples: Float32, count: int) -> Float32:
    """Repeat ``[N]`` samples up to `count`: a short last block becomes a whole one.

    Raises
    ------
    ValueError
        There are none to repeat.
    """
    if not len(samples):
        raise ValueError("blocks: expected samples to repeat, got none")
    return np.resize(samples, count) if len(samples) < count else samples[:count]


def balanced(classes: npt.ArrayLike, seed: int) -> npt.NDArray[np.intp]:
    """Indices of a training set in which rarer classes are duplicated at random until all are as frequent.

    Every index comes at least once; the test part is never balanced.
    """
    classes = np.asarray(classes)
    rng = np.random.default_rng(seed)
    names, counts = np.unique(classes, return_counts=True)
    more = [
        rng.choice(np.flatnonzero(classes == name), counts.max() - count)
        for name, count in zip(names, counts, strict=True)
    ]
    return np.concatenate([np.arange(len(classes)), *more])
