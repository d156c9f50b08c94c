"""Window functions, filter banks and the cosine transform, in float64; computed once per spec, never per frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.frontend.spec import (
    Decibel,
    FrontEndSpec,
    Highpass,
    Linear,
    LinearBands,
    Ln,
    Log10,
    Mel,
    Mfcc,
    Spectrum,
    Standardise,
)

Float64 = npt.NDArray[np.float64]

LINEAR, LN, LOG10 = 0, 1, 2

# Slaney's Auditory Toolbox scale: linear below 1 kHz (15 mels there), then 27 mels per factor of 6.4.
_SLANEY_LINEAR = 200.0 / 3.0
_SLANEY_BREAK = 1000.0
_SLANEY_STEP = np.log(6.4) / 27.0


def taper(kind: str, length: int) -> Float64:
    """Window function of `length` samples, shape ``[length]``.

    ``hann`` and ``hamming`` are periodic, ``-symmetric`` ones and ``povey`` begin and end alike.
    """
    if kind == "rectangular":
        return np.ones(length)
    period = length if kind in ("hann", "hamming") else max(1, length - 1)
    floor = 0.54 if kind.startswith("hamming") else 0.5
    window = floor - (1 - floor) * np.cos(2 * np.pi * np.arange(length) / period)
    return window**0.85 if kind == "povey" else window


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

    Each triangle rises from its left neighbour's centre to its own and falls to its right neighbour's, linearly in Hz
    or in mel.
    """
    low, high = hz_to_mel([bands.low, bands.high or rate / 2], bands.scale)
    mels = np.linspace(low, high, bands.count + 2)
    edges, bins = mel_to_hz(mels, bands.scale), _bins(rate, size)
    weights = _triangles(mels, hz_to_mel(bins, bands.scale)) if bands.slopes == "mel" else _triangles(edges, bins)
    return _normalised(weights, edges, bands.norm)


def linear_bank(bands: LinearBands, rate: int, size: int) -> Float64:
    """Triangular filters evenly spaced in Hz, ``[count, size / 2 + 1]``."""
    edges = np.linspace(bands.low, bands.high or rate / 2, bands.count + 2)
    return _normalised(_triangles(edges, _bins(rate, size)), edges, bands.norm)


def bank(spec: FrontEndSpec) -> Float64:
    """Weights of the spec's bands over bins, ``[count, bins]``; the identity for a plain spectrum."""
    weights: Float64
    match spec.bands:
        case Mel():
            weights = mel_bank(spec.bands, spec.rate, spec.frames.size)
        case LinearBands():
            weights = linear_bank(spec.bands, spec.rate, spec.frames.size)
        case Spectrum():
            weights = np.eye(spec.frames.size // 2 + 1)
    if spec.highpass is None:
        return weights
    power = highpass_power(spec.highpass, spec.rate, _bins(spec.rate, spec.frames.size))
    return weights * (power if spec.bands.spectrum == "power" else np.sqrt(power))


def highpass_power(filter_: Highpass, rate: int, hz: npt.ArrayLike) -> Float64:
    """Share of the power that a second-order high-pass lets through at frequencies in Hz, 0 … 1 for q ≤ 0.707.

    The analogue filter s² / (s² + s / q + 1) under the bilinear transform, which puts tan(πf / rate) in place of the
    frequency: with x = tan(πf / rate) / tan(π · hz / rate),  |H|² = x⁴ / ((1 − x²)² + x² / q²).
    """
    x = np.tan(np.pi * np.minimum(np.asarray(hz, np.float64), rate / 2 * (1 - 1e-9)) / rate)
    x2 = (x / np.tan(np.pi * filter_.hz / rate)) ** 2
    return np.asarray(x2**2 / ((1 - x2) ** 2 + x2 / filter_.q**2))


def cosine_transform(stage: Mfcc, count: int) -> Float64:
    """Orthonormal DCT-II of `count` features, liftered: ``[count, stage.count]``, applied from the right."""
    k = np.arange(stage.count)
    basis = np.sqrt(2 / count) * np.cos(np.pi * k * (2 * np.arange(count)[:, None] + 1) / (2 * count))
    basis[:, 0] /= np.sqrt(2)
    if stage.lifter:
        basis *= 1 + stage.lifter / 2 * np.sin(np.pi * (k + stage.origin) / stage.lifter)
    return np.asarray(basis)


def affine(spec: FrontEndSpec) -> tuple[Float64, Float64]:
    """Decibel reference and leading standardisations of the spec as one ``y = x · gain + shift``, each ``[count]``."""
    gain, shift = np.ones(spec.band_count), np.zeros(spec.band_count)
    if isinstance(spec.scale, Decibel) and spec.scale.reference != "max":
        shift -= 10 * np.log10(spec.scale.reference)
    for stage in spec.post[: folded(spec)]:
        if isinstance(stage, Standardise):
            mean, std = np.asarray(stage.mean, np.float64), np.asarray(stage.std, np.float64)
            gain, shift = gain / std, (shift - mean) / std
    return gain, shift


def compression(spec: FrontEndSpec) -> tuple[int, float, float, float]:
    """The scale as LINEAR, or as factor · LN or LOG10 of max(x, floor) + add: kind, floor, add and factor."""
    match spec.scale:
        case Ln(floor, add):
            return LN, floor, add, 1.0
        case Log10(floor, add):
            return LOG10, floor, add, 1.0
        case Decibel(floor, _):
            return LOG10, floor, 0.0, 10.0
        case Linear():
            return LINEAR, 0.0, 0.0, 1.0


def folded(spec: FrontEndSpec) -> int:
    """How many post stages `affine` holds: the standardisations before any other stage."""
    kinds = [isinstance(stage, Standardise) for stage in spec.post]
    return kinds.index(False) if False in kinds else len(kinds)


def _bins(rate: int, size: int) -> Float64:
    return np.arange(size // 2 + 1, dtype=np.float64) * (rate / size)


def _triangles(edges: Float64, x: Float64) -> Float64:
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.asarray(np.maximum(0.0, np.minimum((x - left) / (centre - left), (right - x) / (right - centre))))


def _normalised(weights: Float64, edges: Float64, norm: str) -> Float64:
    """``slaney`` divides by half the width in Hz, so that white noise is flat over bands; ``area`` by the sum."""
    if norm == "slaney":
        return np.asarray(weights * (2.0 / (edges[2:] - edges[:-2]))[:, None])
    if norm == "area":
        total = weights.sum(axis=1, keepdims=True)
        return np.asarray(weights / np.where(total > 0, total, 1.0))
    return weights
