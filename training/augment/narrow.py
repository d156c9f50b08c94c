"""Recorders that hear less: above some band there is nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


def narrow(power: Float32, rng: np.random.Generator, least: float, floor: float) -> Float32:
    """Silence the upper bands of ``[T, F]``, at most all but the share `least`: a lower rate, a codec, a lid."""
    kept = int(rng.integers(int(least * power.shape[1]), power.shape[1] + 1))
    out = power.copy()
    out[:, kept:] = floor
    return out
