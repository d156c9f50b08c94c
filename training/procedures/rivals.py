"""Which of several networks tells a class best, by recordings that are held back for choosing (card 34).

            deep, median   deep, Gaussian   shallow, median   shallow, Gaussian
class a         .61 ◀           .48              .52               .40            the best F1; the first of equal ones
class b         .30             .41              .55 ◀             .55            frames: column a of the first rival,
                                                                                  column b of the third
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import nn

from edge.blocks import ScoreBlock
from edge.inference.card import Decode
from training.data.dataset import Dataset, Item
from training.procedures.registry import Job
from training.procedures.stages import Shown, material_of, shown
from training.tuning import sweep

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Smooth = Callable[[Float32], Float32]
ON = 0.5  # score from which a frame has a class


class Rival(NamedTuple):
    """A network, and what smooths its frames."""

    network: nn.Module
    smooth: Smooth


def best_of(job: Job, rivals: Sequence[Rival]) -> list[Rival]:
    """Return the best rival at each class, by its smoothed frames of the recordings held back.

    A class is judged by the F1 of its events (200 ms / 20 %) where times of it are known, else of clips: does any frame
    have it?

    Raises
    ------
    ValueError
        Nothing is held back, or nothing is known of it.
    """
    if len(rivals) == 1:
        return list(rivals) * len(material_of(job).dataset.labels)
    known = job.inner.where(lambda item: item.weak is not None)
    if not len(known):
        raise ValueError("procedure: expected labelled recordings to choose between networks by, got none: set `inner`")
    said = {rival.network: list(shown(job, rival.network, known)) for rival in rivals}
    f1 = np.array(
        [f1_of([one._replace(frame=smooth(one.frame)) for one in said[network]], job) for network, smooth in rivals]
    )
    return [rivals[best] for best in f1.argmax(0)]


def f1_of(said: Sequence[Shown], job: Job) -> Float64:
    """F1 ``[C]`` of what a network's smoothed frames say."""
    spec = material_of(job).spec
    blocks = [ScoreBlock("recording", 0, spec.hop, spec.rate, one.frame, spec.hop) for one in said]
    classes = said[0].frame.shape[1]
    return np.array([_f1(said, blocks, label) for label in range(classes)])


def merged(job: Job, best: Sequence[Rival], dataset: Dataset) -> Iterator[tuple[Item, Float32]]:
    """Yield recordings and frames ``[T, C]``, of each class those of its best rival, smoothed."""
    networks = list(dict.fromkeys(rival.network for rival in best))
    for said in zip(*(shown(job, network, dataset) for network in networks), strict=True):
        frames = {network: one.frame for network, one in zip(networks, said, strict=True)}
        columns = [rival.smooth(frames[rival.network][:, [label]]) for label, rival in enumerate(best)]
        yield said[0].item, np.concatenate(columns, axis=1)


def _f1(said: Sequence[Shown], blocks: Sequence[ScoreBlock], label: int) -> float:
    sounds = [one.item.strong or () for one in said]
    truth = sweep.truth_of(sounds, label)
    if len(truth.edges):
        timed = [k for k, one in enumerate(said) if one.item.strong is not None]
        truth = sweep.truth_of([sounds[k] for k in timed], label)
        pair = np.array([[ON, ON]])
        events, hits = sweep.counts([blocks[k] for k in timed], label, Decode(on=ON, off=ON), pair, truth)[0].sum(0)
        return float(2 * hits / (events + len(truth.edges)))
    there = np.array([label in (one.item.weak or ()) for one in said])
    found = np.array([bool((one.frame[:, label] >= ON).any()) for one in said])
    return float(2 * (there & found).sum() / max(1, there.sum() + found.sum()))
