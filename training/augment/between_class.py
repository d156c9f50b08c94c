r"""Between-class mixing of waveforms (Tokozume, Ushiku, Harada, 2018): the target says how loud each is *heard*.

Two sounds of levels G₁, G₂ (dB) are mixed so that their ratio by ear is r : 1 - r, with r ~ U(0, 1):

p = 1 / (1 + 10^((G₁ - G₂) / 20) · (1 - r) / r)          x = (p x₁ + (1 - p) x₂) / √(p² + (1 - p)²)
y = r y₁ + (1 - r) y₂

The root keeps the energy, as sounds add by power. G is the loudest A-weighted level of a sound (IEC 61672): the ear
hears a bass less.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from training.augment.mixup import mix_targets
from training.augment.registry import MIXING, AugmentSettings, Float32, Mixing, Rng, augmentation

FLOOR = -80.0  # dB, of silence: it then weighs nothing


def a_weighting(frequency: np.ndarray) -> np.ndarray:
    """A-weighting in dB at frequencies in Hz (IEC 61672-1, annex E): 0 dB at 1 kHz, -19.1 dB at 100 Hz."""
    f = np.square(np.maximum(frequency, 1e-3))
    corners = (20.598997, 107.65265, 737.86223, 12194.217)
    low, second, third, high = (corner**2 for corner in corners)
    response = high * f**2 / ((f + low) * np.sqrt((f + second) * (f + third)) * (f + high))
    return 20 * np.log10(response) + 2.0


def loudness(waveforms: Float32, rate: int, weighting: Literal["A", "none"] = "A") -> np.ndarray:
    """Return the loudest level of each waveform over windows of about 0.1 s, dB re full scale, ``[B]``."""
    size = 2 ** round(np.log2(0.1 * rate))
    short = max(0, size - waveforms.shape[1])
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(waveforms, ((0, 0), (0, short))), size, axis=1)
    power = np.abs(np.fft.rfft(frames[:, :: size // 2] * np.hanning(size), axis=2)) ** 2
    if weighting == "A":
        power *= 10 ** (a_weighting(np.fft.rfftfreq(size, 1 / rate)) / 10)
    # Parseval: twice the one-sided sum, over N times the energy of the window.
    mean = 2 * power.sum(axis=2) / (size * np.sum(np.hanning(size) ** 2))
    return np.maximum(10 * np.log10(np.maximum(mean.max(axis=1), 1e-12)), FLOOR)


def share(ratio: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return p, the weight of the first amplitude, of levels in dB, such that the ratio by ear is r : 1 - r."""
    ratio = np.clip(ratio, 1e-6, 1 - 1e-6)
    return 1 / (1 + 10 ** ((first - second) / 20) * (1 - ratio) / ratio)


def mix_by_ear(
    waveforms: Float32, targets: Float32, partner: np.ndarray, ratio: np.ndarray, level: np.ndarray
) -> tuple[Float32, Float32]:
    """Mix each waveform ``[B, N]`` with another of the batch at a ratio by ear.

    Parameters
    ----------
    waveforms, targets
        ``[B, N]``; ``[B, C]`` or ``[B, T, C]``, -1 where nothing is taught.
    partner, ratio, level
        Index of the other one, r of the first, level in dB; each ``[B]``.
    """
    p = share(ratio, level, level[partner])[:, None].astype(np.float32)
    mixed = (p * waveforms + (1 - p) * waveforms[partner]) / np.sqrt(p**2 + (1 - p) ** 2)
    return mixed.astype(np.float32), mix_targets(targets, targets[partner], ratio)


class BetweenClassSettings(AugmentSettings, frozen=True):
    """Whether levels are weighted as the ear does."""

    weighting: Literal["A", "none"] = "A"


@augmentation(MIXING, "between-class", BetweenClassSettings, needs=("rate",))
def build(settings: BetweenClassSettings, rate: int) -> Mixing:
    """Mix each waveform of a batch with a drawn one of another class, where the batch has any."""

    def apply(inputs: Float32, targets: Float32, rng: Rng) -> tuple[Float32, Float32]:
        partner = other_class(targets, rng)
        level = loudness(inputs, rate, settings.weighting)
        return mix_by_ear(inputs, targets, partner, rng.uniform(0, 1, len(inputs)), level)

    return apply


def other_class(targets: Float32, rng: Rng) -> np.ndarray:
    """Draw for each recording one whose targets differ; itself where none does."""
    flat = targets.reshape(len(targets), -1)
    partner = np.arange(len(targets))
    for k, own in enumerate(flat):
        others = np.flatnonzero((flat != own).any(axis=1))
        if len(others):
            partner[k] = rng.choice(others)
    return partner
