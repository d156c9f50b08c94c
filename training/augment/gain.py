"""Loudness."""

from __future__ import annotations

import numpy as np

from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Waveform, augmentation


def gain(samples: Float32, db: float) -> Float32:
    """Amplify by `db` decibels and clip at full scale, as a recorder does."""
    return np.clip(samples * np.float32(10 ** (db / 20)), -1.0, 1.0)


def fade(samples: Float32, head: int, tail: int) -> Float32:
    """Fade in over `head` samples and out over `tail`, linearly."""
    out = samples.copy()
    head, tail = min(head, len(out)), min(tail, len(out))
    out[:head] *= np.linspace(0, 1, head, dtype=np.float32)
    out[len(out) - tail :] *= np.linspace(1, 0, tail, dtype=np.float32)
    return out


class GainSettings(AugmentSettings, frozen=True):
    """By how many dB, [low, high]."""

    db: Range = (-12.0, 6.0)


@augmentation(WAVEFORM, "gain", GainSettings)
def build(settings: GainSettings) -> Waveform:
    """Amplify by a drawn gain; what goes beyond full scale is clipped."""
    return lambda samples, rate, rng: gain(samples, rng.uniform(*settings.db))  # noqa: ARG005 - the contract
