"""A recording of another place under the sound, at a signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from training.augment.place import background_at
from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Rng, Waveform, augmentation

HOP = 0.02  # seconds over which a level is taken
RANGE = 30.0  # dB below the loudest hop: what is weaker does not count as the sound


class Recording(Protocol):
    """What can give samples: a `training.data.dataset.Item`."""

    def samples(self, rate: int) -> Float32:
        """Mono at `rate` Hz."""


def active_rms(samples: Float32, rate: int) -> float:
    """RMS of the hops at most 30 dB below the loudest: pauses and digital silence do not lower a sound's level."""
    hop = max(1, round(HOP * rate))
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop) if len(samples) >= hop else samples[None]
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = power >= power.max() * 10 ** (-RANGE / 10)
    return float(np.sqrt(power[loud].mean()))


def add_background(samples: Float32, noise: Float32, rate: int, snr: float) -> Float32:
    """Add `noise` so that the sounding part of `samples` stands `snr` dB above it; silence is left alone."""
    level = active_rms(samples, rate)
    return samples + background_at(noise, snr, level) if level > 1e-6 else samples


def stretch_of(recording: Float32, length: int, rng: Rng) -> Float32:
    """Return a random piece of `length` samples; a shorter recording is repeated from a random point."""
    if len(recording) <= length:
        return np.resize(np.roll(recording, -int(rng.integers(len(recording)))), length)
    start = int(rng.integers(len(recording) - length + 1))
    return recording[start : start + length]


class BackgroundSettings(AugmentSettings, frozen=True):
    """Signal-to-noise ratio in dB, [low, high]. Listed twice, the second is a second background."""

    snr: Range = (0.0, 30.0)


@augmentation(WAVEFORM, "background", BackgroundSettings, needs=("backgrounds",))
def build(settings: BackgroundSettings, backgrounds: Sequence[Recording]) -> Waveform:
    """Mix in a drawn piece of a drawn background."""

    def apply(samples: Float32, rate: int, rng: Rng) -> Float32:
        recording = backgrounds[int(rng.integers(len(backgrounds)))].samples(rate)
        return add_background(samples, stretch_of(recording, len(samples), rng), rate, rng.uniform(*settings.snr))

    return apply
