"""Adding recordings that bring no new class (Lasseck, card 28): of the same classes, or of none at all.

For waveforms: sounds add, their logarithms do not. A bird over another bird's wind is still that bird; the target stays
as it is. A recording without any class only receives others without any.
"""

from __future__ import annotations

import numpy as np

from training.augment.registry import MIXING, AugmentSettings, Float32, Mixing, Range, Rng, augmentation


def allowed(targets: Float32) -> np.ndarray:
    """Return ``[B, B]``: may recording j be added to i, because each of its classes is one of i's.

    Frame targets count by the classes that sound anywhere. A recording with something that is not taught (-1) is added
    to none but its like: nobody knows what it would bring.
    """
    clip = targets.reshape(len(targets), -1, targets.shape[-1])
    there, unknown = (clip > 0).any(axis=1), (clip < 0).any(axis=1)
    brings = there[None] | unknown[None]
    holds = there[:, None] | unknown[:, None]
    pairs = (~brings | holds).all(axis=2)
    np.fill_diagonal(pairs, val=False)
    return pairs


class SameLabelSettings(AugmentSettings, frozen=True):
    """Gain of what is added, in dB, [low, high]. Listed twice, two recordings may be added."""

    db: Range = (-10.0, 0.0)


@augmentation(MIXING, "same-label", SameLabelSettings)
def build(settings: SameLabelSettings) -> Mixing:
    """Add to each recording of a batch a drawn one that brings no new class, where there is any."""

    def apply(inputs: Float32, targets: Float32, rng: Rng) -> tuple[Float32, Float32]:
        out = inputs.copy()
        for k, others in enumerate(allowed(targets)):
            if others.any():
                other = rng.choice(np.flatnonzero(others))
                out[k] += np.float32(10 ** (rng.uniform(*settings.db) / 20)) * inputs[other]
        return out, targets

    return apply
