"""What a network says of recordings: scores once, then any number of questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge.blocks import ScoreBlock
from edge.inference.card import Decode
from training.data.dataset import Dataset, Item, Sound
from training.metrics.events import decode, sounds
from training.targets import Target, clip_scores

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Heard:
    """One recording and its scores.

    Attributes
    ----------
    item
        With the classes of the network, not of the data set.
    seconds
        Length.
    block, clip
        Scores on their grid, and ``[C]`` of the whole.
    """

    item: Item
    seconds: float
    block: ScoreBlock
    clip: Float32

    def events(self, labels: Sequence[str], rules: Decode) -> tuple[Sound, ...]:
        """Return what the product's decoder makes of the scores."""
        return sounds(decode(self.block, labels, rules), labels, self.block.rate)


def hear(target: Target, dataset: Dataset, tell: Callable[[int, int], None] = lambda *_: None) -> list[Heard]:
    """Score every recording of a set; its labels become the network's.

    Parameters
    ----------
    tell
        Called with the number of recordings done and of all.

    Raises
    ------
    ValueError
        The set has labels, but none that the network knows; a file cannot be read, or is too short for one score.
    """
    dataset, heard = relabelled(dataset, target.labels), []
    for k, item in enumerate(dataset.items):
        samples = item.samples(target.rate)
        block = target.scorer(samples)
        if not len(block.scores):
            raise ValueError(f"{item.path}: expected a recording long enough for one score, got {len(samples)} samples")
        heard.append(Heard(item, len(samples) / target.rate, block, clip_scores(block)))
        tell(k + 1, len(dataset))
    return heard


def relabelled(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """Return the set with the indices of a network's classes; classes that it does not know are left out.

    Raises
    ------
    ValueError
        It knows none of the set's classes.
    """
    index = {k: labels.index(name) for k, name in enumerate(dataset.labels) if name in labels}
    if dataset.labels and not index:
        raise ValueError(
            f"{dataset.name}: expected some of the classes {', '.join(labels)}, got only {', '.join(dataset.labels)}"
        )
    return replace(dataset, labels=tuple(labels), items=tuple(_renumbered(item, index) for item in dataset.items))


def nothing_sounds(dataset: Dataset) -> Dataset:
    """Return a set of recordings in which none of a network's classes sounds, labelled so."""
    return replace(dataset, items=tuple(replace(item, weak=(), strong=()) for item in dataset.items), labels=())


def _renumbered(item: Item, index: dict[int, int]) -> Item:
    weak, strong = item.weak, item.strong
    return replace(
        item,
        weak=None if weak is None else tuple(sorted(index[k] for k in weak if k in index)),
        strong=None if strong is None else tuple(replace(s, label=index[s.label]) for s in strong if s.label in index),
    )
