"""Colour of microphones and rooms: a smooth random curve over log frequency."""

from __future__ import annotations

import numpy as np

from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Waveform, augmentation


def equalise(samples: Float32, rate: int, curve: Float32) -> Float32:
    """Filter with zero phase by `curve`, dB at points evenly spaced in log frequency from 50 Hz to half the rate."""
    size = -(-len(samples) // 4096) * 4096  # a length of small primes: an odd one is five times slower
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / rate), 1.0)
    points = np.geomspace(50.0, rate / 2, len(curve))
    db = np.interp(np.log(frequency), np.log(points), curve)
    gain = (10 ** (db / 20)).astype(np.float32)
    return np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: len(samples)].astype(np.float32)


def draw_curve(rng: np.random.Generator, depth: float, points: int = 7) -> Float32:
    """Independent gains of `depth` dB standard deviation with mean 0, limited to ±2 depth."""
    curve = np.clip(rng.normal(0.0, depth, points), -2 * depth, 2 * depth)
    return (curve - curve.mean()).astype(np.float32)


class EqualiseSettings(AugmentSettings, frozen=True):
    """Standard deviation of the curve in dB, and how many points it has."""

    depth: float = 6.0
    points: int = 7


@augmentation(WAVEFORM, "equalise", EqualiseSettings)
def build(settings: EqualiseSettings) -> Waveform:
    """Filter by a drawn curve."""
    return lambda samples, rate, rng: equalise(samples, rate, draw_curve(rng, settings.depth, settings.points))
