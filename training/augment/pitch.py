"""Pitch without tempo: stretched in time, then played faster or slower back to the old length."""

from __future__ import annotations

import numpy as np

from training.augment.place import place
from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Waveform, augmentation
from training.augment.speed import speed
from training.augment.stretch import stretch, window_of


def pitch(samples: Float32, rate: int, semitones: float) -> Float32:
    """Raise by semitones (a factor of ``2 ** (semitones / 12)``) at the same length ``[N]``."""
    factor = 2.0 ** (semitones / 12)
    slow = stretch(samples, 1 / factor, window_of(rate))
    return place(speed(slow, rate, factor), len(samples), 0)


class PitchSettings(AugmentSettings, frozen=True):
    """By how many semitones, [low, high]."""

    semitones: Range = (-2.0, 2.0)


@augmentation(WAVEFORM, "pitch", PitchSettings)
def build(settings: PitchSettings) -> Waveform:
    """Raise or lower by a drawn interval."""

    def apply(samples: Float32, rate: int, rng: np.random.Generator) -> Float32:
        return pitch(samples, rate, rng.uniform(*settings.semitones))

    return apply
