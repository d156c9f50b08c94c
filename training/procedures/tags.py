"""Tags: which classes a recording has, by its labels, or else by a network's vote on the whole of it (card 03)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from training.procedures.registry import Job
from training.procedures.stages import material_of, shown
from training.procedures.targets import copied

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Tags = tuple[int, ...]
GRID = np.round(np.arange(11) / 10, 1)  # of thresholds
UNTUNED = 0.5  # where nothing that could choose is held back


def tags_of(job: Job, network: nn.Module | None) -> dict[str, Tags]:
    """Tags of all recordings by their names: a labelled one has its labels; None where all are labelled."""
    dataset = material_of(job).dataset
    tags = {item.name: item.weak for item in dataset.items if item.weak is not None}
    unknown = dataset.where(lambda item: item.weak is None)
    if network is not None and len(unknown):
        thresholds = chosen(job, network)
        tags |= {one.item.name: voted(one.clip, thresholds) for one in shown(job, network, unknown)}
    return tags


def chosen(job: Job, network: nn.Module) -> Float32:
    """Thresholds ``[C]`` of a network's clip scores."""
    classes = len(material_of(job).dataset.labels)
    said = [one for one in shown(job, network, job.inner) if one.item.weak is not None]
    if not said:
        return np.full(classes, UNTUNED, np.float32)
    truth = np.concatenate([copied(one.item.weak or (), 1, classes) for one in said]) > 0
    return best_thresholds(np.stack([one.clip for one in said]), truth)


def voted(clip: Float32, thresholds: Float32) -> Tags:
    """Classes whose clip scores ``[C]`` reach their thresholds."""
    return tuple(np.flatnonzero(clip >= thresholds).tolist())


def best_thresholds(clips: Float32, truth: Bool) -> Float32:
    """Thresholds ``[C]`` of a grid of tenths with the highest F1 of clips ``[N, C]``.

    Of equally good ones it is the nearest to `UNTUNED`, which is also that of classes that no clip has.
    """
    found = clips[None] >= GRID[:, None, None].astype(np.float32)
    hits = (found & truth).sum(1)
    f1 = 2 * hits / np.maximum(found.sum(1) + truth.sum(0), 1)
    far = np.where(f1 >= f1.max(0) - 1e-9, np.abs(GRID - UNTUNED)[:, None], np.inf)
    return np.where(truth.any(0), GRID[far.argmin(0)], UNTUNED).astype(np.float32)
