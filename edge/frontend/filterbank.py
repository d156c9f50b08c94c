"""Window functions and mel filter banks, in float64; computed once per spec, never per frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.frontend.spec import Decibel, FrontEndSpec, Mel

Float64 = npt.NDArray[np.float64]

# Slaney's Auditory Toolbox scale: linear below 1 kHz (15 mels there), then 27 mels per factor of 6.4.
_SLANEY_LINEAR = 200.0 / 3.0
_SLANEY_BREAK = 1000.0
_SLANEY_STEP = np.log(6.4) / 27.0


def taper(kind: str, length: int) -> Float64:
    """Window function of `length` samples, shape ``[length]``.

    ``hann`` and ``hamming`` are periodic, ``hann-symmetric`` ends in two zeros.
    """
    n = np.arange(length)
    if kind == "rectangular":
        return np.ones(length)
    if kind == "hann-symmetric":
        return 0.5 - 0.5 * np.cos(2 * np.pi * n / max(1, length - 1))
    floor = {"hann": 0.5, "hamming": 0.54}[kind]
    return floor - (1 - floor) * np.cos(2 * np.pi * n / length)


def hz_to_mel(hz: npt.ArrayLike, scale: str) -> Float64:
    """Frequency in Hz → mel, ``slaney`` or ``htk`` (2595 · log10(1 + f / 700))."""
    f = np.asarray(hz, np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + f / 700.0)
    above = np.log(np.maximum(f, _SLANEY_BREAK) / _SLANEY_BREAK) / _SLANEY_STEP
    return np.where(f < _SLANEY_BREAK, f / _SLANEY_LINEAR, _SLANEY_BREAK / _SLANEY_LINEAR + above)


def mel_to_hz(mel: npt.ArrayLike, scale: str) -> Float64:
    """Mel → frequency in Hz, the inverse of `hz_to_mel`."""
    m = np.asarray(mel, np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (m / 2595.0) - 1.0))
    knee = _SLANEY_BREAK / _SLANEY_LINEAR
    return np.where(m < knee, m * _SLANEY_LINEAR, _SLANEY_BREAK * np.exp(_SLANEY_STEP * (np.maximum(m, knee) - knee)))


def mel_bank(bands: Mel, rate: int, size: int) -> Float64:
    """Triangular filters over the bins of a real transform, shape ``[count, size / 2 + 1]``.

    Each triangle rises from its left neighbour's centre to its own and falls to its right neighbour's, linearly in Hz.
    ``norm="slaney"`` divides by half the width in Hz, so that white noise is flat over bands.
    """
    low, high = hz_to_mel([bands.low, bands.high or rate / 2], bands.scale)
    edges = mel_to_hz(np.linspace(low, high, bands.count + 2), bands.scale)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.arange(size // 2 + 1) * (rate / size)
    weights = np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    if bands.norm == "slaney":
        weights *= 2.0 / (right - left)
    return np.asarray(weights)


def bank(spec: FrontEndSpec) -> Float64:
    """Weights of the spec's bands over bins, ``[count, bins]``; the identity for a plain spectrum."""
    if isinstance(spec.bands, Mel):
        return mel_bank(spec.bands, spec.rate, spec.frames.size)
    return np.eye(spec.frames.size // 2 + 1)


def affine(spec: FrontEndSpec) -> tuple[Float64, Float64]:
    """Decibel reference and standardisations of the spec as one ``y = x · gain + shift``, each ``[count]``."""
    gain, shift = np.ones(spec.count), np.zeros(spec.count)
    if isinstance(spec.scale, Decibel):
        shift -= 10 * np.log10(spec.scale.reference)
    for stage in spec.post:
        mean, std = np.asarray(stage.mean, np.float64), np.asarray(stage.std, np.float64)
        gain, shift = gain / std, (shift - mean) / std
    return gain, shift
