"""The meter: mean squares of 125 ms, weighted and in third-octave bands.

    samples  ───┬─▶ high-pass 5 Hz ─▶ Σ x²     Z
                ├─▶ A-weighting    ─▶ Σ x²     A
                └─▶ band-passes    ─▶ Σ x²     third octaves
    frames   |  k  | k+1 | …       frame k covers samples k · rate/8 to (k + 1) · rate/8 of the epoch

125 ms is the acoustician's "fast", and about the shortest event that people mark (card 02). Filters work sample by
sample from an explicit state, so any chunking gives the same frames. Lost samples reset them: the frame in which they
are missing is left out, and the lowest bands take half a second to come up again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numba import types

from edge.blocks import AudioBlock, Float32
from edge.levels.design import ORDER, Float64, a_sections, band_sections, third_octaves
from edge.supervise.filter import section

FRAMES_PER_S = 8
FRAME_S = 1 / FRAMES_PER_S
LOWEST_HZ = 5.0  # below it lie a converter's offset and the wind
FADED = 1e-100  # what is left of a sound after minutes of digital silence; smaller numbers slow processors down

_SAMPLES = types.Array(types.float32, 1, "C", readonly=True)
_SUMS = types.Array(types.float64, 1, "C")
_SECTIONS = types.Array(types.float64, 2, "C")
_BANK = types.Array(types.float64, 3, "C")


@numba.njit(types.float64(_SAMPLES, _SECTIONS, _SECTIONS), nogil=True, cache=True)
def _weighted(samples: Float32, sections: Float64, state: Float64) -> float:
    """Sum of squares behind a cascade of sections ``b₀, b₁, b₂, a₁, a₂``, transposed direct form II."""
    total = 0.0
    for n in range(len(samples)):
        x = np.float64(samples[n])
        for k in range(len(sections)):
            y = sections[k, 0] * x + state[k, 0]
            state[k, 0] = sections[k, 1] * x - sections[k, 3] * y + state[k, 1]
            state[k, 1] = sections[k, 2] * x - sections[k, 4] * y
            x = y
        total += x * x
    return total


@numba.njit(types.void(_SAMPLES, _BANK, _BANK, _SUMS), nogil=True, cache=True)
def _banded(samples: Float32, bank: Float64, state: Float64, sums: Float64) -> None:
    """Add the squares of each band to `sums`; four sections ``g, a₁, a₂`` each, whose states stay in registers."""
    for band in range(len(bank)):
        c, s = bank[band], state[band]
        g = c[0, 0]  # the same in all four
        p0, p1, q0, q1 = s[0, 0], s[0, 1], s[1, 0], s[1, 1]
        r0, r1, t0, t1 = s[2, 0], s[2, 1], s[3, 0], s[3, 1]
        total = 0.0
        for n in range(len(samples)):
            x = g * samples[n]
            y = x + p0
            p0 = p1 - c[0, 1] * y
            p1 = -x - c[0, 2] * y
            x = g * y
            y = x + q0
            q0 = q1 - c[1, 1] * y
            q1 = -x - c[1, 2] * y
            x = g * y
            y = x + r0
            r0 = r1 - c[2, 1] * y
            r1 = -x - c[2, 2] * y
            x = g * y
            y = x + t0
            t0 = t1 - c[3, 1] * y
            t1 = -x - c[3, 2] * y
            total += y * y
        s[0, 0], s[0, 1], s[1, 0], s[1, 1] = p0, p1, q0, q1
        s[2, 0], s[2, 1], s[3, 0], s[3, 1] = r0, r1, t0, t1
        sums[band] += total


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Mean squares of 125 ms, full scale 1: Z-weighted, A-weighted, and of each third octave ``[B]``."""

    number: int
    z: float
    a: float
    bands: Float64


class Meter:
    """Samples in, frames out.

    Parameters
    ----------
    rate
        Samples per second.

    Attributes
    ----------
    numbers
        Of the bands: 0 is the third octave at 1 kHz.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.numbers = third_octaves(rate)
        self._z = np.array([section(LOWEST_HZ, rate, math.pi / 4)])
        self._a = a_sections(rate)
        self._bank = np.array([band_sections(number, rate) for number in self.numbers]).reshape(-1, ORDER, 3)
        self._states = [np.zeros((1, 2)), np.zeros((len(self._a), 2)), np.zeros((len(self.numbers), ORDER, 2))]
        self._sums = np.zeros(2 + len(self.numbers))
        self._count, self._whole = 0, False
        self._position = ("", -1)

    def push(self, block: AudioBlock) -> list[Frame]:
        """Frames that the block completes; one that does not join what came before begins anew."""
        if (block.epoch, block.start) != self._position:
            self._reset(block.start)
        self._position = (block.epoch, block.stop)
        samples = np.require(block.samples, np.float32, ["C", "A"])
        frames, at = [], 0
        while at < len(samples):
            number = (FRAMES_PER_S * (block.start + at + 1) - 1) // self.rate
            end = min(_first(number + 1, self.rate) - block.start, len(samples))
            self._measure(samples[at:end])
            at = end
            if block.start + at == _first(number + 1, self.rate):
                frames += self._frame(number)
        return frames

    def _reset(self, start: int) -> None:
        for state in self._states:
            state[:] = 0
        self._sums[:], self._count = 0, 0
        number = (FRAMES_PER_S * (start + 1) - 1) // self.rate
        self._whole = start == _first(number, self.rate)

    def _measure(self, samples: Float32) -> None:
        self._sums[0] += _weighted(samples, self._z, self._states[0])
        self._sums[1] += _weighted(samples, self._a, self._states[1])
        _banded(samples, self._bank, self._states[2], self._sums[2:])
        self._count += len(samples)

    def _frame(self, number: int) -> list[Frame]:
        """The frame that ends here; none where its beginning was lost."""
        mean, whole = self._sums / max(1, self._count), self._whole
        self._sums, self._count, self._whole = np.zeros_like(self._sums), 0, True
        for state in self._states:
            state[np.abs(state) < FADED] = 0
        return [Frame(number, float(mean[0]), float(mean[1]), mean[2:])] if whole else []


def _first(number: int, rate: int) -> int:
    """Index of the first sample of a frame."""
    return number * rate // FRAMES_PER_S
