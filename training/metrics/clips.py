"""Clip-level figures from frame scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


def clip_score(scores: Float32) -> Float32:
    """Pool frame scores ``[T, C]`` to ``[C]`` by linear softmax: frames weighted by their own score."""
    return (scores**2).sum(axis=0) / np.maximum(scores.sum(axis=0), 1e-6)


def accuracy(clip_scores: Float32, labels: Sequence[int]) -> float:
    """Share of clips ``[N, C]`` whose highest score is their label's."""
    return float(np.mean(np.argmax(clip_scores, axis=1) == np.asarray(labels)))


def confusion(clip_scores: Float32, labels: Sequence[int]) -> npt.NDArray[np.int64]:
    """Counts ``[true, predicted]``."""
    classes = clip_scores.shape[1]
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (np.asarray(labels), np.argmax(clip_scores, axis=1)), 1)
    return table
