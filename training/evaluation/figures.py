"""The clip-level figures that every training reports of what it held back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.metrics import clips

Float32 = npt.NDArray[np.float32]


def clip_figures(
    scores: Float32, labels: Sequence[Sequence[int]], names: Sequence[str], exclusive: bool
) -> dict[str, object]:
    """Return figures of clip scores ``[N, C]``; the first one is what a training is judged by.

    Where every clip has one class: accuracy, recall by class and the confusion [true, predicted]; else mean average
    precision and AUC. Classes without positives or negatives are left out of means.
    """
    if exclusive:
        truth = [label[0] for label in labels]
        table = clips.confusion(scores, truth)
        recall = {n: round(float(table[k, k] / table[k].sum()), 4) for k, n in enumerate(names) if table[k].sum()}
        return {"clip_accuracy": clips.accuracy(scores, truth), "recall": recall, "confusion": table.tolist()}
    truth_table = clips.table_of(labels, len(names))
    precision, area = clips.average_precision(scores, truth_table), clips.auc(scores, truth_table)
    by_class = {n: round(float(v), 4) for n, v in zip(names, precision, strict=True) if not math.isnan(v)}
    return {"map": clips.macro(precision), "auc": clips.macro(area), "average_precision": by_class}


def headline(figures: dict[str, object]) -> dict[str, float]:
    """Return the single numbers of `figures`, in their order."""
    return {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
