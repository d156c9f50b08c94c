"""Taking steady noise away: a network that hears both forms of a recording learns less of its background.

samples ──▶ STFT, 32 ms every 8 ms ──▶ × gain of the log-spectral amplitude, noise by IMCRA ──▶ overlap and add

Card 32 does so to whole data sets, so that they resemble one another; alone that raised no figure of the paper. A
device does not do it: enhance some of the examples, not all.
"""

from __future__ import annotations

import numpy as np

from training.augment.imcra import Tracker
from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Waveform, augmentation

HOPS_PER_S, OVERLAP = 125, 4


def enhance(samples: Float32, rate: int, floor_db: float = -25.0) -> Float32:
    """Return samples ``[N]`` with steady noise lowered, at most by `floor_db`."""
    hop = max(1, round(rate / HOPS_PER_S))
    size = OVERLAP * hop
    if len(samples) < 2:
        return samples.copy()
    window = np.sqrt(2 / OVERLAP) * np.sin(np.pi * (np.arange(size) + 0.5) / size)  # its squares add up to 1
    padded = np.pad(samples.astype(np.float64), (size, size + -len(samples) % hop), mode="reflect")
    starts = range(0, len(padded) - size + 1, hop)
    spectra = np.fft.rfft(np.stack([padded[k : k + size] for k in starts]) * window)
    power = np.abs(spectra) ** 2
    tracker, lowest = Tracker(power[0]), 10 ** (floor_db / 20)
    gains = np.stack([np.maximum(tracker.push(frame)[1], lowest) for frame in power])
    out = np.zeros(len(padded))
    for start, piece in zip(starts, np.fft.irfft(gains * spectra, size) * window, strict=True):
        out[start : start + size] += piece
    return out[size : size + len(samples)].astype(np.float32)


class EnhanceSettings(AugmentSettings, frozen=True):
    """How far noise is lowered at most, dB, [low, high]; the card's is -25."""

    floor_db: Range = (-25.0, -6.0)


@augmentation(WAVEFORM, "enhance", EnhanceSettings)
def build(settings: EnhanceSettings) -> Waveform:
    """Enhance down to a drawn floor."""
    return lambda samples, rate, rng: enhance(samples, rate, rng.uniform(*settings.floor_db))
