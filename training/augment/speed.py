"""Speed and pitch together, as a tape does."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import soxr
from msgspec import Meta

from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Waveform, augmentation

Factor = Annotated[float, Meta(ge=0.25, le=4)]


def speed(samples: Float32, rate: int, factor: float) -> Float32:
    """Play `factor` times as fast: the sound is shorter and higher by that factor."""
    return soxr.resample(samples, rate * factor, rate, quality="LQ").astype(np.float32)


class SpeedSettings(AugmentSettings, frozen=True):
    """How many times as fast, [low, high]."""

    factor: tuple[Factor, Factor] = (0.87, 1.15)


@augmentation(WAVEFORM, "speed", SpeedSettings)
def build(settings: SpeedSettings) -> Waveform:
    """Play at a drawn speed."""
    return lambda samples, rate, rng: speed(samples, rate, rng.uniform(*settings.factor))
