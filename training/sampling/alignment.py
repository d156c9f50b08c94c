"""Correlation alignment (CORAL): features of one place get the covariance of another's (Sun et al. 2016; card 32).

A' = A (C_source + λI)^-½ (C_target + λI)^½        rows of A are frames; λ near 0: the covariances become equal

Only what is learnt from is changed. The target's features, which the device hears, stay as they are, so that a device
needs nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.data.dataset import Item

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
MEASURED = 32  # recordings of a place that its covariance is measured on; the card's number


class Affine(NamedTuple):
    """Frames ``[T, F]`` to ``frames @ matrix + shift``."""

    matrix: Float32
    shift: Float32

    def __call__(self, frames: Float32) -> Float32:
        """Apply it."""
        return frames @ self.matrix + self.shift


def power(matrix: Floats, exponent: float) -> Floats:
    """Return a symmetric positive matrix ``[F, F]`` to a power."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T


def coral(source: Floats, target: Floats, strength: float) -> Floats:
    """Return the matrix ``[F, F]`` that frames of the source are multiplied by.

    Parameters
    ----------
    source, target
        Covariances.
    strength
        λ: the larger, the less is changed.
    """
    identity = strength * np.eye(len(source))
    return power(source + identity, -0.5) @ power(target + identity, 0.5)


def align(source: Float32, target: Float32, strength: float, means: bool) -> Affine:
    """Return what makes frames ``[N, F]`` of the source resemble those of the target, ``[M, F]``.

    Parameters
    ----------
    means
        Bring the mean over as well; the card's transform moves it somewhere.
    """
    matrix = coral(np.cov(source, rowvar=False), np.cov(target, rowvar=False), strength)
    shift = target.mean(0) - source.mean(0) @ matrix if means else np.zeros(len(matrix))
    return Affine(matrix.astype(np.float32), shift.astype(np.float32))


class Alignment:
    """Aligns the labelled recordings of each place, a fold of the set, to the unlabelled ones.

    Parameters
    ----------
    features
        Frames ``[T, F]`` of a recording.
    labelled, unlabelled
        Recordings.
    strength, means
        As for `align`.

    Raises
    ------
    ValueError
        There are no unlabelled recordings.
    """

    def __init__(
        self,
        features: Callable[[Item], Float32],
        labelled: Iterable[Item],
        unlabelled: Sequence[Item],
        strength: float,
        means: bool,
    ) -> None:
        if not unlabelled:
            raise ValueError("sampling: `align` expects unlabelled recordings of the target, got none in the data set")
        places: dict[int | None, list[Item]] = {}
        for item in labelled:
            places.setdefault(item.fold, []).append(item)

        def heard(items: Sequence[Item]) -> Float32:
            return np.concatenate([features(item) for item in items[:: max(1, len(items) // MEASURED)][:MEASURED]])

        target = heard(unlabelled)
        self._places = {fold: align(heard(items), target, strength, means) for fold, items in places.items()}

    def __call__(self, frames: Float32, item: Item) -> Float32:
        """Return the frames of a recording as the target might have them; unlabelled ones as they are."""
        return frames if item.weak is None else self._places[item.fold](frames)
