"""Steady noise of a drawn colour under the sound: wind in leaves, rain far away, a cheap preamplifier.

It goes under recordings with and without a class alike, so that a quiet hiss says nothing of what sounds.
"""

from __future__ import annotations

from training.augment.background import add_background
from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Rng, Waveform, augmentation
from training.data.negatives import noise


class NoiseSettings(AugmentSettings, frozen=True):
    """Signal-to-noise ratio, and how the noise falls.

    Attributes
    ----------
    snr
        dB, [low, high].
    slope
        dB per octave, [low, high]: 0 white, -3 pink, -6 brown.
    """

    snr: Range = (0.0, 40.0)
    slope: Range = (-7.0, 1.0)


@augmentation(WAVEFORM, "noise", NoiseSettings)
def build(settings: NoiseSettings) -> Waveform:
    """Add noise; silence stays silent."""

    def apply(samples: Float32, rate: int, rng: Rng) -> Float32:
        if not len(samples):
            return samples
        hiss = noise(len(samples), rate, rng, rng.uniform(*settings.slope))
        return add_background(samples, hiss, rate, rng.uniform(*settings.snr))

    return apply
