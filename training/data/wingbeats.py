"""Generated flight tones: harmonics of a wing beat, by kind and by insect, in a cup's noise.

    kind           mean and spread of its wing beat, Hz; kinds overlap
    └─ insect      a wing beat of its own, and the strength of each harmonic
       └─ tone     that wanders a little while it flies

None of this is a recording: it serves tests and comparisons of methods. It shows card 30's warning, that clips of one
insect on both sides of a split flatter a classifier.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
HARMONICS = 6


@dataclass(frozen=True)
class Insect:
    """One mosquito.

    Attributes
    ----------
    wingbeat
        Hz.
    timbre
        Amplitude of each harmonic.
    noise
        RMS of the cup's noise beside a tone of RMS 1.
    """

    wingbeat: float
    timbre: Floats = field(repr=False)
    noise: float

    @classmethod
    def draw(cls, kind: int, seed: int, spread: float = 40.0) -> Insect:
        """Return an insect of a kind: kinds lie 60 Hz apart from 400 Hz on, their insects `spread` Hz around that."""
        rng = np.random.default_rng([seed, kind, 0x57])
        timbre = np.exp(rng.normal(0, 0.6, HARMONICS)) / np.arange(1, HARMONICS + 1)
        wingbeat = max(150.0, float(rng.normal(400 + 60 * kind, spread)))
        return cls(wingbeat, timbre / np.sqrt(np.sum(timbre**2) / 2), float(rng.uniform(0.1, 0.6)))

    def tone(self, seconds: float, rate: int, rng: np.random.Generator) -> Float32:
        """Flight tone with the cup's noise, RMS about 0.1."""
        count = round(seconds * rate)
        points = rng.normal(0, 0.01, max(2, int(10 * seconds) + 2))
        wander = 1 + np.interp(np.linspace(0, len(points) - 1, count), np.arange(len(points)), points)
        phase = 2 * np.pi * np.cumsum(self.wingbeat * wander) / rate
        out = self.noise * rng.standard_normal(count)
        for k, amplitude in enumerate(self.timbre, start=1):
            if k * self.wingbeat < 0.45 * rate:
                out += amplitude * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
        return (0.1 * out).astype(np.float32)
