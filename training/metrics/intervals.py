"""How sure a figure is: bootstrap intervals over clips, and the paired t-test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """Lower and upper end at a confidence level."""

    low: float
    high: float


def bootstrap(
    statistic: Callable[[Index], float], count: int, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Return the percentile interval of a figure over resamplings of its clips (Efron and Tibshirani, 1993, ch. 13).

    Parameters
    ----------
    statistic
        The figure of a choice of clips: takes indices ``[count]`` with repetitions. NaN where the choice has none.
    count
        Number of clips.

    Raises
    ------
    ValueError
        No clips.
    """
    if not count:
        raise ValueError("bootstrap: expected one clip or more, got none")
    draw = np.random.default_rng(seed)
    values = [statistic(draw.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def of_mean(values: npt.ArrayLike, seed: int = 0, resamples: int = 2000, level: float = 0.95) -> Interval:
    """Return the percentile interval of a mean over clips: of accuracy, from hits of 0 and 1."""
    values = np.asarray(values, np.float64)
    return bootstrap(lambda index: float(values[index].mean()), len(values), seed, resamples, level)


def paired_t(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p-value that two systems' figures, paired by fold or class, have the same mean (card C).

    1 where they are equal everywhere; 0 where they differ by the same amount everywhere.

    Raises
    ------
    ValueError
        Fewer than two pairs.
    """
    from scipy.special import stdtr  # all of scipy.stats takes seconds to import

    differences = np.subtract(a, b)
    n = len(differences)
    if n < 2:
        raise ValueError(f"paired t-test: expected two pairs or more, got {n}")
    if np.ptp(differences) == 0:
        return 0.0 if differences[0] else 1.0
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(n))
    return float(2 * stdtr(n - 1, -abs(t)))
