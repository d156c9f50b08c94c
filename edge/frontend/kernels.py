"""The plain numba kernel: windowed real FFT, bands, compression, standardisation, one frame after another.

A real transform of N samples is a complex one of M = N/2 on z[n] = x[2n] + i·x[2n+1]:

    X[k] = E[k] + e^(−2πik/N) · O[k],     E[k] = (Z[k] + Z*[M−k]) / 2,     O[k] = (Z[k] − Z*[M−k]) / 2i

and X[M−k] = (E[k] − e^(−2πik/N) · O[k])*, so each pair of bins costs one twiddle. The complex transform is Stockham's:
every pass reads one buffer and writes the other, in order, so that no bit reversal is needed. A pass of radix 4 turns
s interleaved transforms of n points into 4s of n/4:

    y[s(4q+p) + j] = w^(pq) · Σ_r (−i)^(pr) · x[s(q + r·n/4) + j],        w = e^(−2πi/n),  q < n/4,  p, r < 4,  j < s

All numbers of a frame depend on that frame's samples alone: any chunking gives the same bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

# contract: a·b + c may fuse; nsz: the sign of zero is not heard. No reassociation: sums keep their order.
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}

LINEAR, LN, LOG10 = 0, 1, 2


class Plan(NamedTuple):
    """All that the kernel needs besides samples; float32 arrays but for `spans`.

    Attributes
    ----------
    hop
        Samples from frame to frame.
    taper
        Window function ``[window]``.
    table, split
        Twiddles ``[2, M]`` (cosine, sine) of the complex transform and of the real split.
    magnitude
        Bands sum magnitudes instead of powers.
    spans, weights
        Per band (first bin, bins, first weight), int64 ``[F, 3]``; and the weights one after another.
    scale, constants
        LINEAR, LN or LOG10, with (floor, add, factor).
    gain, shift
        Standardisation per band ``[F]``.
    work, power
        Scratch ``[4, M]`` and ``[M + 1]``.
    """

    hop: int
    taper: np.ndarray
    table: np.ndarray
    split: np.ndarray
    magnitude: bool
    spans: np.ndarray
    weights: np.ndarray
    scale: int
    constants: tuple[np.float32, np.float32, np.float32]
    gain: np.ndarray
    shift: np.ndarray
    work: np.ndarray
    power: np.ndarray


@njit(**_OPTIONS)
def _pass4(n, s, table, xr, xi, yr, yi):
    quarter = n // 4
    for q in range(quarter):
        c1, s1 = table[0, q * s], table[1, q * s]
        c2, s2 = table[0, 2 * q * s], table[1, 2 * q * s]
        c3, s3 = table[0, 3 * q * s], table[1, 3 * q * s]
        source, target = s * q, 4 * s * q
        for j in range(s):
            i0, o = source + j, target + j
            i1 = i0 + s * quarter
            i2 = i1 + s * quarter
            i3 = i2 + s * quarter
            ar, ai = xr[i0] + xr[i2], xi[i0] + xi[i2]
            br, bi = xr[i1] + xr[i3], xi[i1] + xi[i3]
            cr, ci = xr[i0] - xr[i2], xi[i0] - xi[i2]
            dr, di = xr[i1] - xr[i3], xi[i1] - xi[i3]
            yr[o], yi[o] = ar + br, ai + bi
            er, ei = cr + di, ci - dr
            yr[o + s], yi[o + s] = er * c1 - ei * s1, er * s1 + ei * c1
            er, ei = ar - br, ai - bi
            yr[o + 2 * s], yi[o + 2 * s] = er * c2 - ei * s2, er * s2 + ei * c2
            er, ei = cr - di, ci + dr
            yr[o + 3 * s], yi[o + 3 * s] = er * c3 - ei * s3, er * s3 + ei * c3


@njit(**_OPTIONS)
def _pass2(s, xr, xi, yr, yi):
    for j in range(s):
        yr[j], yi[j] = xr[j] + xr[j + s], xi[j] + xi[j + s]
        yr[j + s], yi[j + s] = xr[j] - xr[j + s], xi[j] - xi[j + s]


@njit(**_OPTIONS)
def _fft(table, work):
    """Complex transform of ``work[0:2]`` in place or into ``work[2:4]``; returns the row where the result lies."""
    n, s, row = work.shape[1], 1, 0
    while n >= 4:
        _pass4(n, s, table, work[row], work[row + 1], work[2 - row], work[3 - row])
        n, s, row = n // 4, 4 * s, 2 - row
    if n == 2:
        _pass2(s, work[row], work[row + 1], work[2 - row], work[3 - row])
        row = 2 - row
    return row


@njit(**_OPTIONS)
def _power(zr, zi, split, power):
    """|X[k]|² of the real signal from the half-size transform, ``[M + 1]``."""
    m, half = zr.size, np.float32(0.5)
    power[0], power[m] = (zr[0] + zi[0]) ** 2, (zr[0] - zi[0]) ** 2
    for k in range(1, m // 2 + 1):
        er, ei = half * (zr[k] + zr[m - k]), half * (zi[k] - zi[m - k])
        dr, di = half * (zi[k] + zi[m - k]), half * (zr[m - k] - zr[k])
        tr = split[0, k] * dr - split[1, k] * di
        ti = split[0, k] * di + split[1, k] * dr
        power[k] = (er + tr) ** 2 + (ei + ti) ** 2
        power[m - k] = (er - tr) ** 2 + (ei - ti) ** 2


@njit(**_OPTIONS)
def _bands(power, plan, out):
    """Weighted sums over each band's bins, compressed and standardised."""
    floor, add, factor = plan.constants
    for b in range(out.size):
        first, bins, weight = plan.spans[b]
        total = np.float32(0)
        for k in range(bins):
            total += power[first + k] * plan.weights[weight + k]
        if plan.scale == LN:
            total = math.log(max(total, floor) + add)
        elif plan.scale == LOG10:
            total = factor * math.log10(max(total, floor) + add)
        out[b] = total * plan.gain[b] + plan.shift[b]


@njit(**_OPTIONS)
def features(x, plan, out):
    """Fill ``out[T, F]`` with the frames of ``x[N]`` that begin at samples 0, hop, 2·hop and so on, all float32.

    `x` must hold ``(T − 1) · hop + window`` samples or more.
    """
    work, power, window = plan.work, plan.power, plan.taper.size
    for t in range(out.shape[0]):
        base = t * plan.hop
        for i in range(work.shape[1]):
            even, odd = 2 * i, 2 * i + 1
            work[0, i] = x[base + even] * plan.taper[even] if even < window else np.float32(0)
            work[1, i] = x[base + odd] * plan.taper[odd] if odd < window else np.float32(0)
        row = _fft(plan.table, work)
        _power(work[row], work[row + 1], plan.split, power)
        if plan.magnitude:
            for k in range(power.size):
                power[k] = math.sqrt(power[k])
        _bands(power, plan, out[t])
