"""Putting a sound into a scene: at a time, at a signal-to-noise ratio."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


def place(values: npt.NDArray, length: int, start: int) -> npt.NDArray:
    """Return `length` zeros with `values` put at `start` (may be negative); what lies outside is cut."""
    out = np.zeros(length, values.dtype)
    first, stop = max(start, 0), min(start + len(values), length)
    if first < stop:
        out[first:stop] = values[first - start : stop - start]
    return out


def background_at(noise: Float32, snr: float, signal_rms: float) -> Float32:
    """Scale `noise` so that a signal of `signal_rms` stands `snr` dB above it; silence stays silence."""
    rms = float(np.sqrt(np.mean(noise**2)))
    return noise * np.float32(signal_rms / rms * 10 ** (-snr / 20)) if rms > 1e-9 else noise
