"""Clip-level figures. Scores are ``[N, C]``, the truth is a label each or a table ``[N, C]`` of 0 and 1.

A class without positives, or without negatives, has no precision and no ROC curve: its figure is NaN, and the means
leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from training.metrics.extra import need

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Table = npt.NDArray[np.int64]


def clip_score(scores: Float32) -> Float32:
    """Pool frame scores ``[T, C]`` to ``[C]`` by linear softmax: frames weighted by their own score."""
    return (scores**2).sum(axis=0) / np.maximum(scores.sum(axis=0), 1e-6)


def correct(clip_scores: Float32, labels: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Which clips' highest score is their label's, ``[N]``; of equal scores the first class counts."""
    return np.argmax(clip_scores, axis=1) == np.asarray(labels)


def accuracy(clip_scores: Float32, labels: Sequence[int]) -> float:
    """Share of clips ``[N, C]`` whose highest score is their label's."""
    return float(np.mean(correct(clip_scores, labels)))


def confusion(clip_scores: Float32, labels: Sequence[int]) -> Table:
    """Counts ``[true, predicted]``."""
    classes = clip_scores.shape[1]
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (np.asarray(labels), np.argmax(clip_scores, axis=1)), 1)
    return table


def map_at_3(clip_scores: Float32, labels: Sequence[int]) -> float:
    """Mean of 1, 1/2, 1/3 or 0 where the true class ranks first, second, third or later (card 13).

    Equal scores rank last, so that a network which says the same of all classes earns nothing.
    """
    own = np.take_along_axis(clip_scores, np.asarray(labels)[:, None], axis=1)
    rank = np.sum(clip_scores >= own, axis=1)
    return float(np.mean(np.where(rank <= 3, 1 / rank, 0.0)))


def average_precision(clip_scores: Float32, truth: Table) -> Float64:
    """Average precision of every class ``[C]``: precision at each hit, averaged over the hits (card C)."""
    metrics = need("sklearn.metrics")
    return _by_class(clip_scores, truth, metrics.average_precision_score)


def auc(clip_scores: Float32, truth: Table) -> Float64:
    """Area under the ROC curve of every class ``[C]``; a tie is half a win."""
    metrics = need("sklearn.metrics")
    return _by_class(clip_scores, truth, metrics.roc_auc_score)


def macro(values: Float64) -> float:
    """Mean over the classes that have a figure; NaN where none has."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def weighted(values: Float64, truth: Table) -> float:
    """Mean over the classes that have a figure, weighted by their positives: ``Σ πᵢ·AUCᵢ / Σ πᵢ`` (card B)."""
    known = np.isfinite(values)
    positives = truth.sum(axis=0)[known]
    return float(np.average(values[known], weights=positives)) if positives.any() else float("nan")


def d_prime(area: float) -> float:
    """``d′ = √2 Φ⁻¹(AUC)`` (card A): how many standard deviations lie between two equal normal distributions.

    ±∞ at an area of 1 or 0, where no such distance would be large enough.
    """
    if not 0 < area < 1:
        return float("nan") if np.isnan(area) else float(np.copysign(np.inf, area - 0.5))
    return float(np.sqrt(2) * NormalDist().inv_cdf(area))


def table_of(labels: Sequence[Sequence[int]], classes: int) -> Table:
    """Return the truth as a table ``[N, C]`` of 0 and 1 from each clip's class indices."""
    table = np.zeros((len(labels), classes), np.int64)
    for row, present in zip(table, labels, strict=True):
        row[list(present)] = 1
    return table


def f1(found: Table, truth: Table) -> Float64:
    """F1 of every class ``[C]`` from tables of 0 and 1; NaN where a class is neither there nor found."""
    hits, claims = (found & truth).sum(axis=0), found.sum(axis=0) + truth.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(claims > 0, 2 * hits / claims, np.nan)


def _by_class(clip_scores: Float32, truth: Table, figure: object) -> Float64:
    both = (truth.min(axis=0) == 0) & (truth.max(axis=0) == 1)
    return np.array([figure(truth[:, c], clip_scores[:, c]) if both[c] else np.nan for c in range(truth.shape[1])])
