"""Mean and standard deviation of features over the last minute, at every hop, by running sums (card 26).

    frame      0 1 2 3 4 5 6 7 8 9 …          window 5, blocks of 4
    Σ[7]             3 4 5 6 7                add the newest frame, subtract the oldest

A sum that is added to for ever drifts: with every addition a rounding error stays. So it is made anew from the ring
once per window, which costs one addition more per frame; the error is that of `window` additions, however long it runs.
Sums are of differences from a fixed centre (the first frame of the window at the last renewal), because Σx² − (Σx)²/n
cancels where the mean is large beside the deviation, as it is for the first MFCC.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Savitzky–Golay over 9 frames, polynomials of order 1 and 2: slope and curvature (card 26)
DELTA = np.arange(-4, 5) / 60
DELTA_DELTA = np.array([28, 7, -8, -17, -20, -17, -8, 7, 28]) / 462
REACH = 4  # frames that both look ahead


class RunningStatistics:
    """Mean and standard deviation of the last frames.

    Parameters
    ----------
    size
        Features of a frame.
    window
        Frames; before so many have come, the statistics are of those that have.
    """

    def __init__(self, size: int, window: int) -> None:
        if window < 1:
            raise ValueError(f"running statistics: expected a window of 1 frame or more, got {window}")
        self._ring = np.zeros((window, size))
        self._centre = np.zeros(size)
        self._sums = np.zeros((2, size))
        self._seen = 0

    def push(self, frames: npt.ArrayLike) -> Floats:
        """Take frames ``[T, F]``; return mean and deviation behind each of them, ``[T, 2 F]``."""
        frames = np.asarray(frames, np.float64)
        out = np.empty((len(frames), 2 * self._ring.shape[1]))
        for t, frame in enumerate(frames):
            out[t] = self._advance(frame)
        return out

    def _advance(self, frame: Floats) -> Floats:
        place = self._seen % len(self._ring)
        oldest = self._ring[place].copy()
        self._ring[place] = frame
        self._seen += 1
        if place == 0:
            self._renew()
        else:
            self._add(frame, 1)
            if self._seen > len(self._ring):
                self._add(oldest, -1)
        count = min(self._seen, len(self._ring))
        mean, square = self._sums / count
        return np.concatenate([self._centre + mean, np.sqrt(np.maximum(square - mean * mean, 0))])

    def _add(self, frame: Floats, sign: int) -> None:
        difference = frame - self._centre
        self._sums[0] += sign * difference
        self._sums[1] += sign * difference * difference

    def _renew(self) -> None:
        """Sum the ring anew."""
        seen = self._ring[: min(self._seen, len(self._ring))]
        self._centre = seen[0].copy()
        differences = seen - self._centre
        self._sums = np.stack([differences.sum(axis=0), (differences * differences).sum(axis=0)])


def with_deltas(features: npt.ArrayLike) -> Floats:
    """Features ``[T, F]`` with their slopes and curvatures beside them, ``[T − 8, 3 F]``; frame t speaks of t + 4.

    Raises
    ------
    ValueError
        There are fewer than 9 frames.
    """
    features = np.asarray(features, np.float64)
    if len(features) < len(DELTA):
        raise ValueError(f"deltas: expected at least {len(DELTA)} frames, got {len(features)}")
    windows = np.lib.stride_tricks.sliding_window_view(features, len(DELTA), axis=0)
    return np.concatenate([features[REACH:-REACH], windows @ DELTA, windows @ DELTA_DELTA], axis=1)


def block_vector(features: npt.ArrayLike, drop_first: bool = True) -> Floats:
    """Mean and deviation of a block's MFCC ``[T, 20]`` and of their slopes and curvatures: 114 numbers, 120 with c₀.

    Parameters
    ----------
    features
        MFCC of all frames of the block.
    drop_first
        Leave the first coefficient out, with its slope and curvature: the best set of the card.
    """
    full = with_deltas(features)
    size = np.shape(features)[1]
    kept = [k for k in range(3 * size) if not drop_first or k % size]
    return np.concatenate([full[:, kept].mean(axis=0), full[:, kept].std(axis=0)])
