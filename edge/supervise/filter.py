"""Gain and high-pass: wind, traffic and hum are taken away before anything is measured or heard.

A Butterworth high-pass of fourth order, 24 dB per octave, as two second-order sections by the bilinear transform
(R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients"), with Q = 1 / (2 cos θ),
θ = π/8 and 3π/8 (the angles of the poles). Each section in transposed direct form II, float64:

    y = b0 x + s0      s0 ← b1 x − a1 y + s1      s1 ← b2 x − a2 y

Sample by sample and from an explicit state, so any chunking gives the same samples.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from edge.blocks import Float32

Float64 = npt.NDArray[np.float64]
ANGLES = (math.pi / 8, 3 * math.pi / 8)
_SAMPLES = types.Array(types.float32, 1, "C", readonly=True)
_OUT = types.Array(types.float32, 1, "C")
_TABLE = types.Array(types.float64, 2, "C")


@numba.njit(types.void(_SAMPLES, types.float64, _TABLE, _TABLE, _OUT), nogil=True, cache=True)
def _run(samples: Float32, gain: float, sections: Float64, state: Float64, out: Float32) -> None:
    for n in range(len(samples)):
        x = gain * samples[n]
        for k in range(len(sections)):
            y = sections[k, 0] * x + state[k, 0]
            state[k, 0] = sections[k, 1] * x - sections[k, 3] * y + state[k, 1]
            state[k, 1] = sections[k, 2] * x - sections[k, 4] * y
            x = y
        out[n] = x


class Conditioner:
    """Gain, then high-pass.

    Parameters
    ----------
    rate
        Samples per second.
    gain_db
        dB.
    high_pass_hz
        Corner (−3 dB); 0 for none. A corner at or above 0.45 of the rate is put there.
    """

    def __init__(self, rate: int, gain_db: float = 0.0, high_pass_hz: float = 0.0) -> None:
        self._gain = 10 ** (gain_db / 20)
        corner = min(high_pass_hz, 0.45 * rate)
        self._sections = np.array([section(corner, rate, angle) for angle in ANGLES] if corner else np.empty((0, 5)))
        self._state = np.zeros((len(self._sections), 2))
        self._idle = not gain_db and not corner

    def reset(self) -> None:
        """Forget the past: samples were lost."""
        self._state[:] = 0

    def push(self, samples: Float32) -> Float32:
        """Return what becomes of ``[N]`` samples."""
        if self._idle:
            return samples
        out = np.empty(len(samples), np.float32)
        _run(np.require(samples, np.float32, ["C", "A"]), self._gain, self._sections, self._state, out)
        return out


def section(corner: float, rate: int, angle: float) -> tuple[float, ...]:
    """``b0, b1, b2, a1, a2`` of one high-pass section, ``a0 = 1``."""
    omega = 2 * math.pi * corner / rate
    alpha = math.sin(omega) * math.cos(angle)  # sin ω / 2Q
    cosine, a0 = math.cos(omega), 1 + alpha
    b = (1 + cosine) / 2 / a0
    return b, -2 * b, b, -2 * cosine / a0, (1 - alpha) / a0
