"""Which frames of a labelled clip sound: energy with hysteresis, relative to the clip's own peak.

level   ▁▁▁▁▁▃▇█▇▅▃▂▁▁▁▁▁▁      high = peak - 30 dB starts a run, low = peak - 40 dB ends it
active        ██████            1: carries the label
border     ···      ···         ignored (-1): nobody knows where a sound exactly ends
rest    000            000000   0: negative
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]

SILENCE_DB = -90.0


def level(samples: Float32, hop: int) -> Float32:
    """RMS level of each whole hop, dB re full scale, float32 ``[N // hop]``, at least -120."""
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    power = np.einsum("th,th->t", frames, frames) / hop
    return (10.0 * np.log10(np.maximum(power, 1e-12))).astype(np.float32)


def activity(
    samples: Float32, hop: int, *, high: float = 30.0, low: float = 40.0, close: int = 15, border: int = 10
) -> Int8:
    """Mark each hop active (1), ignored (-1) or negative (0).

    Parameters
    ----------
    samples
        float32 ``[N]``.
    hop
        Samples per frame.
    high, low
        Decibels below the peak at which a run begins and ends.
    close
        Gaps of at most this many frames inside are active as well.
    border
        Frames ignored on both sides of a run.
    """
    db = level(samples, hop)
    if not len(db) or db.max() <= SILENCE_DB:
        return np.zeros(len(db), np.int8)
    peak = db.max()
    active = close_gaps(_hysteresis(db, max(peak - high, SILENCE_DB), max(peak - low, SILENCE_DB)), close)
    marks = np.where(_widen(active, border), np.int8(-1), np.int8(0))
    marks[active] = 1
    return marks


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, stop) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def close_gaps(mask: npt.NDArray[np.bool_], longest: int) -> npt.NDArray[np.bool_]:
    """Fill gaps between true values of at most `longest`."""
    filled = mask.copy()
    inner = runs(mask)
    for (_, stop), (start, _) in pairwise(inner):
        if start - stop <= longest:
            filled[stop:start] = True
    return filled


def _hysteresis(db: Float32, high: float, low: float) -> npt.NDArray[np.bool_]:
    active = np.zeros(len(db), np.bool_)
    for start, stop in runs(db >= low):
        if db[start:stop].max() >= high:
            active[start:stop] = True
    return active


def _widen(mask: npt.NDArray[np.bool_], by: int) -> npt.NDArray[np.bool_]:
    return np.convolve(mask, np.ones(2 * by + 1))[by : by + len(mask)] > 0 if by else mask
