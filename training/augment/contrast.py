"""Brightness and contrast of features as of a picture in grey (Lasseck, card 28).

Where features are logarithms, brightness is a gain, and contrast an exponent: energies further apart, or nearer.
"""

from __future__ import annotations

import numpy as np

from training.augment.registry import FEATURE, AugmentSettings, Feature, Float32, Range, augmentation


def adjust(frames: Float32, contrast: float, brightness: float) -> Float32:
    """Multiply what features lie from their mean by `contrast`, and add `brightness`."""
    mean = frames.mean(dtype=np.float64)
    return np.asarray((frames - mean) * contrast + (mean + brightness), np.float32)


class ContrastSettings(AugmentSettings, frozen=True):
    """Factor of the contrast, and what is added, in units of the features; each [low, high]."""

    contrast: Range = (0.7, 1.3)
    brightness: Range = (-0.3, 0.3)


@augmentation(FEATURE, "contrast", ContrastSettings)
def build(settings: ContrastSettings) -> Feature:
    """Adjust by drawn amounts."""
    return lambda frames, rng: adjust(frames, rng.uniform(*settings.contrast), rng.uniform(*settings.brightness))
