"""A scene for measuring: many short sounds with known onsets, synthesised like those of the demo."""

from __future__ import annotations

import numpy as np

from edge.blocks import Float32
from edge.demo import PROGRAMME, RATE, Truth

SOUND_S, PAUSE_S = 2.5, 1.5
RAMP_S = 0.02
FLOOR = 3e-4  # RMS of the noise under everything


def busy_scene(seconds: float, seed: int = 0) -> tuple[Float32, list[Truth]]:
    """One sound every four seconds, in shuffled rounds of the demo's programme.

    Parameters
    ----------
    seconds
        Length.
    seed
        Another seed, another scene.

    Returns
    -------
    samples
        float32 ``[N]`` at the demo's rate.
    truth
        What sounds when.
    """
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, FLOOR, round(seconds * RATE)).astype(np.float32)
    truth: list[Truth] = []
    onset, order = PAUSE_S, list[int]()
    while onset + SOUND_S < seconds:
        order = order or list(rng.permutation(len(PROGRAMME)))
        label, make, _, level = PROGRAMME[order.pop()]
        sound = _faded(make(rng, round(SOUND_S * RATE)))
        start = round(onset * RATE)
        samples[start : start + len(sound)] += sound * (level / np.sqrt(np.mean(sound**2)))
        truth.append(Truth(label, onset, onset + SOUND_S))
        onset += SOUND_S + PAUSE_S
    return np.clip(samples, -1, 1), truth


def _faded(sound: Float32) -> Float32:
    ramp = np.linspace(0, 1, round(RAMP_S * RATE), dtype=np.float32)
    sound[: len(ramp)] *= ramp
    sound[-len(ramp) :] *= ramp[::-1]
    return sound
