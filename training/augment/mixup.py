"""Mixing a batch with its own permutation, in four ways (card 18; Zhang et al., 2018; Inoue, 2018).

way             input                     target              λ ~ Beta(α, α), one per recording
mixup           λ x + (1 - λ) x'          λ y + (1 - λ) y'
pairing         ½ x + ½ x'                y
preserved       λ x + (1 - λ) x'          y                   with λ ≥ ½, so that y stays the louder one
extrapolation   (1 + λ) x - λ x'          y
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from training.augment.registry import MIXING, AugmentSettings, Float32, Mixing, Rng, augmentation

Way = Literal["mixup", "pairing", "preserved", "extrapolation"]


def mix(
    inputs: Float32, targets: Float32, partner: np.ndarray, weight: np.ndarray, way: Way = "mixup"
) -> tuple[Float32, Float32]:
    """Mix each recording with another of the batch.

    Parameters
    ----------
    inputs
        ``[B, …]``, waveforms or features.
    targets
        ``[B, C]`` or ``[B, T, C]``; -1 where nothing is taught, and nothing is where either has -1.
    partner
        Index of the other recording, ``[B]``.
    weight
        λ of the first, 0 … 1, ``[B]``.
    way
        Which of the table above.
    """
    x = weight.reshape(-1, *[1] * (inputs.ndim - 1)).astype(np.float32)
    if way == "extrapolation":
        return (1 + x) * inputs - x * inputs[partner], targets
    x = np.float32(0.5) if way == "pairing" else x
    mixed = x * inputs + (1 - x) * inputs[partner]
    return mixed, mix_targets(targets, targets[partner], weight) if way == "mixup" else targets


def mix_targets(first: Float32, second: Float32, weight: np.ndarray) -> Float32:
    """Return λ y + (1 - λ) y', and -1 where either says that nothing is taught."""
    y = weight.reshape(-1, *[1] * (first.ndim - 1)).astype(np.float32)
    untaught = (first < 0) | (second < 0)
    return np.where(untaught, np.float32(-1), y * first + (1 - y) * second).astype(np.float32)


class MixupSettings(AugmentSettings, frozen=True):
    """α of the Beta distribution (card 18: 1.5 is best), and the way."""

    alpha: Annotated[float, Meta(gt=0)] = 0.2
    way: Way = "mixup"


@augmentation(MIXING, "mixup", MixupSettings)
def build(settings: MixupSettings) -> Mixing:
    """Mix each recording of a batch with a drawn other one."""

    def apply(inputs: Float32, targets: Float32, rng: Rng) -> tuple[Float32, Float32]:
        weight = rng.beta(settings.alpha, settings.alpha, len(inputs))
        if settings.way == "preserved":
            weight = np.maximum(weight, 1 - weight)
        return mix(inputs, targets, rng.permutation(len(inputs)), weight, settings.way)

    return apply
