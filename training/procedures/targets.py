"""Targets of frames for a next stage, from what a first one says of a recording: plain functions of arrays.

copied    ████████████    the classes of a recording at every frame (card 03)
loud      ▁▁▁███▁▁██▁▁    … at frames with energy (card 14)
smoothed  ▁▂▃▅▇▇▅▃▂▁▁▁    scores of frames, where the recording has the class at all (cards 19, 34)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
REACH = 4  # a Gaussian is nothing beyond so many deviations


def copied(tags: Sequence[int], frames: int, classes: int) -> Float32:
    """Tags at every frame ``[T, C]``."""
    out = np.zeros((frames, classes), np.float32)
    out[:, list(tags)] = 1
    return out


def loud(features: Float32, gate: float) -> Bool:
    """Whether the mean of a frame's features ``[T, F]`` is above the gate, ``[T]`` (card 14).

    Features are log energies, standardised: 0 is the mean of all that the training hears.
    """
    return features.mean(1) > gate


def masked(frames: Float32, tags: Sequence[int]) -> Float32:
    """Frames ``[T, C]`` of the tags' classes, and 0 of all others: what the clip denies no frame has (card 19)."""
    return frames * copied(tags, 1, frames.shape[1])


def smoothed(scores: Float32, median: int, sigma: float) -> Float32:
    """Median over an odd number of frames, then a Gaussian of `sigma` frames, of each column of ``[T, C]`` (card 34).

    Beyond the ends the first and last score go on: a sound that fills a clip is none the shorter for it.
    """
    out: Float32 = np.median(_windows(scores, median // 2), axis=-1)
    if sigma > 0:
        reach = int(np.ceil(REACH * sigma))
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        out = _windows(out, reach) @ (weights / weights.sum())
    return out.astype(np.float32)


def _windows(scores: Float32, reach: int) -> Float32:
    """Each score with `reach` neighbours on either side, ``[T, C, 2 reach + 1]``."""
    return sliding_window_view(np.pad(scores, ((reach, reach), (0, 0)), mode="edge"), 2 * reach + 1, axis=0)
