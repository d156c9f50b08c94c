"""What a network says of recordings: scores once, then any number of questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge.blocks import ScoreBlock
from edge.inference.card import Decode
from training.data.dataset import Dataset, Item, Sound
from training.data.windows import beside
from training.evaluation.targets import Over, Target, clip_scores
from training.metrics.events import decode, sounds

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
    decided
        Where the block was not kept, without scores: the rules, and the events that they made.
    """

    item: Item
    seconds: float
    block: ScoreBlock
    clip: Float32
    decided: tuple[Decode, tuple[Sound, ...]] | None = None

    def events(self, labels: Sequence[str], rules: Decode) -> tuple[Sound, ...]:
        """Return what the product's decoder makes of the scores.

        Raises
        ------
        ValueError
            The scores were not kept, and other rules decided.
        """
        if self.decided is None:
            return sounds(decode(self.block, labels, rules), labels, self.block.rate)
        if self.decided[0] != rules:
            raise ValueError(f"{self.item.name}: expected the rules that its scores were decided by, got others")
        return self.decided[1]

    def thin(self, labels: Sequence[str], rules: Decode) -> Heard:
        """Return it without its frames: ten seconds of 527 classes are a megabyte."""
        block = replace(self.block, scores=self.block.scores[:0], clip=None)
        return replace(self, block=block, decided=(rules, self.events(labels, rules)))


def hear(
    target: Target,
    dataset: Dataset,
    tell: Callable[[int, int], None] = lambda *_: None,
    *,
    keep: bool = True,
    over: Over = "last",
) -> list[Heard]:
    """Score every recording of a set; its labels become the network's.

    Parameters
    ----------
    keep
        Keep the scores of all frames; else only of recordings with strong labels, and the others are decided by the
        target's rules at once.
    tell
        Called with the number of recordings done and of all.
    over
        What a recording's score is made of, see `training.evaluation.targets.clip_scores`.

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
        found = Heard(item, len(samples) / target.rate, block, clip_scores(block, over))
        heard.append(found if keep or item.strong is not None else found.thin(target.labels, target.rules))
        tell(k + 1, len(dataset))
    return heard


def hear_windows(
    target: Target, dataset: Dataset, size: float, tell: Callable[[int, int], None] = lambda *_: None
) -> list[Heard]:
    """Score windows that were labelled one by one, each row of them in one piece, as recordings are heard.

    Parameters
    ----------
    size
        Seconds of a window.

    Raises
    ------
    ValueError
        As `hear`; or an item is no such window.
    """
    dataset, heard = relabelled(dataset, target.labels), []
    for row in beside(dataset.items, size):
        samples = replace(row[0], stop=row[-1].stop).samples(target.rate)
        block = target.scorer(samples)
        for item in row:
            length = (item.stop or 0.0) - item.start
            first, stop = (
                round((t - row[0].start) * block.rate / block.hop) for t in (item.start, item.start + length)
            )
            running = None if block.clip is None else block.clip[first:stop]
            cut = replace(block, scores=block.scores[first:stop], clip=running, embeddings=None)
            heard.append(Heard(item, length, cut, clip_scores(cut)))
            tell(len(heard), len(dataset))
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
