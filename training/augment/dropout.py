"""Time-interval drop-out (Lasseck, card 28): a piece of the recording is skipped, not silenced."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Rng, Waveform, augmentation


def skip(samples: Float32, start: int, count: int) -> Float32:
    """Leave out `count` samples from `start` and join the rest; the length stays, what is missing comes from the front.

    The last samples are those of the beginning: the recording goes on as if it were read in a circle.
    """
    return np.resize(np.concatenate((samples[:start], samples[start + count :])), len(samples))


class TimeDropSettings(AugmentSettings, frozen=True):
    """Longest piece that is skipped, as a share of the recording."""

    longest: Annotated[float, Meta(gt=0, lt=1)] = 0.5


@augmentation(WAVEFORM, "time-drop", TimeDropSettings)
def build(settings: TimeDropSettings) -> Waveform:
    """Skip a drawn piece."""

    def apply(samples: Float32, rate: int, rng: Rng) -> Float32:  # noqa: ARG001 - the contract
        count = int(rng.uniform(0, settings.longest) * len(samples))
        return skip(samples, int(rng.integers(len(samples) - count + 1)), count)

    return apply
