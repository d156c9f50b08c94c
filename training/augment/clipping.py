"""An overloaded recorder."""

from __future__ import annotations

import numpy as np

from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Waveform, augmentation


def overload(samples: Float32, db: float) -> Float32:
    """Limit hard at `db` decibels below the sound's own peak."""
    limit = np.float32(np.abs(samples).max(initial=0.0) * 10 ** (-db / 20))
    return np.clip(samples, -limit, limit)


class ClipSettings(AugmentSettings, frozen=True):
    """By how many dB the sound goes beyond full scale, [low, high]."""

    db: Range = (0.0, 12.0)


@augmentation(WAVEFORM, "clip", ClipSettings)
def build(settings: ClipSettings) -> Waveform:
    """Overload by a drawn level."""
    return lambda samples, rate, rng: overload(samples, rng.uniform(*settings.db))  # noqa: ARG005 - the contract
