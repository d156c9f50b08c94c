"""Time shift."""

from __future__ import annotations

import numpy as np

from training.augment.place import place
from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Waveform, augmentation


def shift(samples: Float32, by: int, *, wrap: bool) -> Float32:
    """Move by `by` samples, later if positive; what falls off one end enters at the other, or silence does."""
    return np.roll(samples, by) if wrap else place(samples, len(samples), by)


class ShiftSettings(AugmentSettings, frozen=True):
    """By how many seconds, [low, high], and whether the sound wraps round."""

    seconds: Range = (-0.5, 0.5)
    wrap: bool = False


@augmentation(WAVEFORM, "shift", ShiftSettings)
def build(settings: ShiftSettings) -> Waveform:
    """Move by a drawn time."""

    def apply(samples: Float32, rate: int, rng: np.random.Generator) -> Float32:
        return shift(samples, round(rng.uniform(*settings.seconds) * rate), wrap=settings.wrap)

    return apply
