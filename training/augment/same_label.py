"""Adding recordings that bring no new class (Lasseck, card 28): of the same classes, or of none at all.

For waveforms: sounds add, their logarithms do not. A bird over another bird's wind is still that bird; the target stays
as it is. A recording without any class only receives others without any.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from training.augment.registry import MIXING, AugmentSettings, Float32, Mixing, Range, Rng, augmentation

What = Literal["any", "none", "same"]


def allowed(targets: Float32, what: What = "any") -> np.ndarray:
    """Return ``[B, B]``: may recording j be added to i, because each of its classes is one of i's.

    Frame targets count by the classes that sound anywhere. A recording with something that is not taught (-1) is added
    to none but its like: nobody knows what it would bring.

    Parameters
    ----------
    targets
        ``[B, C]`` or ``[B, T, C]``.
    what
        ``any`` that may be; of these only recordings with none of the classes, or with the same ones as i.
    """
    clip = targets.reshape(len(targets), -1, targets.shape[-1])
    there, unknown = (clip > 0).any(axis=1), (clip < 0).any(axis=1)
    brings = there[None] | unknown[None]
    holds = there[:, None] | unknown[:, None]
    pairs = (~brings | holds).all(axis=2)
    if what == "none":
        pairs &= ~brings.any(axis=2)
    if what == "same":
        pairs &= (brings == holds).all(axis=2)
    np.fill_diagonal(pairs, val=False)
    return pairs


class SameLabelSettings(AugmentSettings, frozen=True):
    """What is added to the recordings of a batch.

    Attributes
    ----------
    db
        Gain of what is added, in dB, [low, high].
    what
        See `allowed`.
    chances
        How often a first one is added to a recording, a second one to those that got a first, and so on.
    """

    db: Range = (-10.0, 0.0)
    what: What = "any"
    chances: tuple[Annotated[float, Meta(ge=0, le=1)], ...] = (1.0,)


@augmentation(MIXING, "same-label", SameLabelSettings)
def build(settings: SameLabelSettings) -> Mixing:
    """Add to each recording of a batch drawn ones that bring no new class, where there are any."""

    def apply(inputs: Float32, targets: Float32, rng: Rng) -> tuple[Float32, Float32]:
        out = inputs.copy()
        for k, others in enumerate(allowed(targets, settings.what)):
            for _ in range(added(settings.chances, rng) if others.any() else 0):
                other = rng.choice(np.flatnonzero(others))
                out[k] += np.float32(10 ** (rng.uniform(*settings.db) / 20)) * inputs[other]
        return out, targets

    return apply


def added(chances: tuple[float, ...], rng: Rng) -> int:
    """Draw how many are added: each chance is tried only where the ones before it came true."""
    for count, chance in enumerate(chances):
        if chance < 1 and rng.random() >= chance:
            return count
    return len(chances)
