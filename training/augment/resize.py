"""Reading frames between their places, by the filters that pictures are resized with (Lasseck, card 28).

new[i] = Σ_j K((j − at[i]) / s) · old[j] / Σ_j K(…)        s: old frames per new one, at least 1
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from training.augment.registry import Float32

Float64 = npt.NDArray[np.float64]


def _bicubic(x: Float64) -> Float64:
    """Keys' kernel with a = −½ (IEEE Trans. ASSP 29, 1981)."""
    inner, outer = 1 - 2.5 * x**2 + 1.5 * x**3, 2 - 4 * x + 2.5 * x**2 - 0.5 * x**3
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


FILTERS: dict[str, Callable[[Float64], Float64]] = {
    "lanczos": lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0.0),
    "nearest": lambda x: np.where(x <= 0.5, 1.0, 0.0),
    "box": lambda x: np.where(x <= 0.5, 1.0, 0.0),
    "bilinear": lambda x: np.maximum(1 - x, 0.0),
    "hamming": lambda x: np.where(x < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0.0),
    "bicubic": _bicubic,
}
"""Weights of |distance| in frames; ``nearest`` is a box that never grows wider."""


def weights(length: int, at: Float64, scale: float, kind: str, *, wrap: bool = False) -> Float64:
    """Return ``[len(at), length]``: what each new frame takes of each old one; every row sums to 1.

    Parameters
    ----------
    length
        Old frames.
    at
        Where the new frames are read, in old ones from 0; outside, the ends are read.
    scale
        Old frames per new one.
    kind
        One of `FILTERS`.
    wrap
        The first frame follows the last.
    """
    at = at % length if wrap else np.clip(at, 0, length - 1)
    apart = np.abs(np.arange(length) - at[:, None])
    if wrap:
        apart = np.minimum(apart, length - apart)
    found = FILTERS[kind](apart / (1.0 if kind == "nearest" else max(scale, 1.0)))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def resize(frames: Float32, matrix: Float64, axis: int) -> Float32:
    """Apply `weights` along an axis of ``[T, F]``."""
    kept = matrix.astype(np.float32)
    return kept @ frames if axis == 0 else frames @ kept.T
