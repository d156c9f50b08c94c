"""Filters of a sound level meter, in closed form: third-octave bands, the A-weighting, and a high-pass below both.

**Third octaves** (IEC 61260, base-ten ratio G = 10^0.3). Band k has its midband frequency at 1000 · G^(k/3) and its
edges at G^(±1/6) of it. A Butterworth low-pass of order n = 4 has its poles at p = exp(jπ(2i + n − 1)/2n); the
band-pass between ω₁ and ω₂ has two for each of them, the roots of s² − p(ω₂ − ω₁)s + ω₁ω₂ = 0. The edges are
pre-warped, ω = tan(πf/rate), so that z = (1 + s)/(1 − s) puts them where they belong. Every pair of conjugate poles
makes a section

    H(z) = g (1 − z⁻²) / (1 + a₁ z⁻¹ + a₂ z⁻²),     a₁ = −2 Re z, a₂ = |z|²

and g makes |H| of the cascade 1 at the midband frequency. Order 4 where 3 is usual: it keeps the limits of class 1 up
to a band edge at 0.45 of the rate, where the bilinear transform bends the skirts.

**A-weighting** (IEC 61672): four zeros at 0, poles at 20.6 Hz (twice), 107.7 Hz, 737.9 Hz and 12,194 Hz (twice). The
first two are far below any Nyquist frequency: bilinear transform. The others may lie near or above it, where that goes
wrong by many dB; each gets a section of its own with the pole p = exp(−w), w = 2π·pole/rate, and a numerator that makes
its magnitude exact at two frequencies. A high-pass f/(f² + pole²)^½ is exact in its slope at 0 and, M, at φ = 0.8π,

    H(z) = (1 − z⁻¹)(b₀ + b₁z⁻¹) / (1 − pz⁻¹)      b₀ + b₁ = (1 − p)/w = s
    |b₀ + b₁e^(−jφ)| = M·|1 − pe^(−jφ)| / 2 sin(φ/2) = m     so     b₀b₁ = (s² − m²) / 2(1 − cos φ)

which lies within 0.4 dB at 1 kHz, 0.2 dB at 2 kHz; each half of the pole at 12,194 Hz, a low-pass
(b₀ + b₁z⁻¹)/(1 − pz⁻¹), at 0 and at the Nyquist frequency:

    b₀ + b₁ = 1 − p           b₀ − b₁ = (1 + p) · |H(rate/2)|

The gain is the analogue one, which makes 1 kHz 0 dB: that frequency need not be among those that the rate carries.
"""

from __future__ import annotations

import cmath
import math

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

RATIO = 10**0.3  # of an octave, IEC 61260 base ten
LOWEST, HIGHEST = -17, 13  # 20 Hz and 20 kHz, third octaves from 1 kHz
ORDER = 4  # of the low-pass from which the band-passes are made
REACH = 0.45  # of the rate: no band edge lies above
EXACT = 0.4  # of the rate: where the high-passes of the A-weighting are exact beside 0
A_POLES = (20.598997, 107.65265, 737.86223, 12194.217)  # Hz
NOMINAL = (10.0, 12.5, 16.0, 20.0, 25.0, 31.5, 40.0, 50.0, 63.0, 80.0)  # Hz, and their multiples by ten


def third_octaves(rate: int) -> list[int]:
    """Numbers of the bands that fit: 0 is the one at 1 kHz.

    >>> nominal(third_octaves(16_000)[-1])
    6300.0
    """
    return [k for k in range(LOWEST, HIGHEST + 1) if edges(k)[1] <= REACH * rate]


def midband(number: int) -> float:
    """Exact midband frequency of a band, Hz."""
    return 1000 * math.pow(RATIO, number / 3)


def edges(number: int) -> tuple[float, float]:
    """Lower and upper edge of a band, Hz."""
    half = math.pow(RATIO, 1 / 6)
    return midband(number) / half, midband(number) * half


def nominal(number: int) -> float:
    """The frequency by which a band is called, Hz.

    >>> [nominal(k) for k in (-17, -15, 0, 2, 13)]
    [20.0, 31.5, 1000.0, 1600.0, 20000.0]
    """
    decade, step = divmod(number, 10)
    return NOMINAL[step] * 100 * 10.0**decade


def band_sections(number: int, rate: int) -> Float64:
    """Sections of a third-octave band: rows ``g, a₁, a₂``, shape ``[ORDER, 3]``."""
    low, high = (math.tan(math.pi * edge / rate) for edge in edges(number))
    poles = []
    for i in range(ORDER):
        half = cmath.exp(1j * math.pi * (2 * i + ORDER + 1) / (2 * ORDER)) * (high - low) / 2
        root = cmath.sqrt(half * half - low * high)
        poles += [s for s in (half + root, half - root) if s.imag > 0]
    mapped = [(1 + s) / (1 - s) for s in poles]
    rows = np.array([[1.0, -2 * z.real, abs(z) ** 2] for z in mapped])
    rows[:, 0] = abs(_response(rows, midband(number), rate)) ** (-1 / ORDER)
    return rows


def _response(rows: Float64, frequency: float, rate: int) -> complex:
    """Of a cascade of band-pass sections."""
    back = cmath.exp(-2j * math.pi * frequency / rate)
    return complex(np.prod(rows[:, 0] * (1 - back**2) / (1 + rows[:, 1] * back + rows[:, 2] * back**2)))


def a_sections(rate: int) -> Float64:
    """Sections of the A-weighting: rows ``b₀, b₁, b₂, a₁, a₂``, shape ``[4, 5]``."""
    w = math.pi * A_POLES[0] / rate
    first, flat = (1 - w) / (1 + w), 1 / (1 + w) ** 2
    last = math.exp(-2 * math.pi * A_POLES[3] / rate)
    nyquist = 1 / math.hypot(1, rate / 2 / A_POLES[3])
    total, difference = 1 - last, (1 + last) * nyquist
    b0, b1 = (total + difference) / 2, (total - difference) / 2
    gain = 1 / _a_gain(1000)
    return np.array(
        [
            [flat, -2 * flat, flat, -2 * first, first**2],
            _high_pass(A_POLES[1], rate),
            _high_pass(A_POLES[2], rate),
            [gain * b0 * b0, gain * 2 * b0 * b1, gain * b1 * b1, -2 * last, last * last],
        ]
    )


def _high_pass(pole: float, rate: int) -> list[float]:
    """A section with one real pole that may lie above the Nyquist frequency."""
    w, frequency = 2 * math.pi * pole / rate, EXACT * rate
    p, turn = math.exp(-w), cmath.exp(-2j * math.pi * EXACT)
    slope = (1 - p) / w
    there = frequency / math.hypot(frequency, pole) * abs((1 - p * turn) / (1 - turn))
    product = (slope**2 - there**2) / (2 - 2 * turn.real)
    b0 = (slope + math.sqrt(slope**2 - 4 * product)) / 2
    b1 = slope - b0
    return [b0, b1 - b0, -b1, -p, 0.0]


def a_weight(frequency: float) -> float:
    """The A-weighting itself, dB (IEC 61672-1, Annex E)."""
    return 20 * math.log10(_a_gain(frequency) / _a_gain(1000))


def _a_gain(frequency: float) -> float:
    """Magnitude of the analogue poles and zeros."""
    f2 = frequency * frequency
    p = [pole * pole for pole in A_POLES]
    return p[3] * f2 * f2 / ((f2 + p[0]) * math.sqrt((f2 + p[1]) * (f2 + p[2])) * (f2 + p[3]))
