"""The plain numba kernel: windowed real FFT, bands, compression, standardisation, one frame after another.

It computes every spec, is the reference for the vector kernel, and runs where that one cannot be built.

A real transform of N samples is a complex one of M = N/2 on z[n] = x[2n] + i·x[2n+1]:

    X[k] = E[k] + e^(−2πik/N) · O[k],     E[k] = (Z[k] + Z*[M−k]) / 2,     O[k] = (Z[k] − Z*[M−k]) / 2i

and X[M−k] = (E[k] − e^(−2πik/N) · O[k])*, so each pair of bins costs one twiddle. The complex transform is Stockham's:
every pass reads one buffer and writes the other, in order, so that no bit reversal is needed. A pass of radix 4 turns
s interleaved transforms of n points into 4s of n/4:

    y[s(4q+p) + j] = w^(pq) · Σ_r (−i)^(pr) · x[s(q + r·n/4) + j],        w = e^(−2πi/n),  q < n/4,  p, r < 4,  j < s

Other sizes go through Bluestein's identity nk = (n² + k² − (k − n)²) / 2, which makes any transform a convolution with
a chirp c[n] = e^(−πin²/N), done by transforms of a power of two L ≥ 2N − 1; outer chirps do not change a power:

    |X[k]| = |Σ_n (x[n] · c[n]) · c*[k − n]|

All numbers of a frame depend on that frame's samples alone: any chunking gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from edge.blocks import Float32
from edge.frontend import filterbank
from edge.frontend.buffer import COUNTS, FILL, PLAIN, ROWS, START, Samples, jit, limit, plain, refill, room, views
from edge.frontend.filterbank import LN, LOG10
from edge.frontend.spec import FrontEndSpec


class Bank(NamedTuple):
    """From bins to features.

    Attributes
    ----------
    spans, weights
        Per band (first bin, bins, first weight), int64 ``[F, 3]``; and the weights one after another.
    scale, constants
        LINEAR, LN or LOG10, with (floor, add, factor).
    gain, shift
        Standardisation per band ``[F]``.
    """

    spans: np.ndarray
    weights: np.ndarray
    scale: int
    constants: tuple[np.float32, np.float32, np.float32]
    gain: np.ndarray
    shift: np.ndarray


class Plan(NamedTuple):
    """All that the kernel needs besides samples; float32 arrays.

    Attributes
    ----------
    hop
        Samples from frame to frame.
    limit
        Largest magnitude that counts as sound.
    taper
        Window function ``[window]``.
    table, split
        Twiddles ``[2, M]`` (cosine, sine) of the complex transform and, for a power of two, of the real split.
    chirp, kernel
        Bluestein's chirp ``[2, N]`` and the transform of its convolution kernel ``[2, M]``; empty for a power of two.
    magnitude
        Bands sum magnitudes instead of powers.
    bank
        From bins to features.
    zero_mean, emphasis
        Removal of the mean, pre-emphasis.
    frame, work, power
        Scratch ``[window]``, ``[4, M]`` and ``[bins]``.
    buffer
        Room for samples, see `room`.
    counts
        See `edge.frontend.buffer`.
    """

    hop: int
    limit: np.float32
    taper: np.ndarray
    table: np.ndarray
    split: np.ndarray
    chirp: np.ndarray
    kernel: np.ndarray
    magnitude: bool
    bank: Bank
    zero_mean: bool
    emphasis: np.float32
    frame: np.ndarray
    work: np.ndarray
    power: np.ndarray
    buffer: np.ndarray
    counts: np.ndarray

    def copied(self) -> Plan:
        """A plan with arrays of its own."""
        return Plan(*(field.copy() if isinstance(field, np.ndarray) else field for field in self))


@jit
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


@jit
def _pass2(s, xr, xi, yr, yi):
    for j in range(s):
        yr[j], yi[j] = xr[j] + xr[j + s], xi[j] + xi[j + s]
        yr[j + s], yi[j + s] = xr[j] - xr[j + s], xi[j] - xi[j + s]


@jit
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


@jit
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


@jit
def _bands(power, bank, out):
    """Weighted sums over each band's bins, compressed and standardised."""
    floor, add, factor = bank.constants
    for b in range(out.size):
        first, bins, weight = bank.spans[b]
        total = np.float32(0)
        for k in range(bins):
            total += power[first + k] * bank.weights[weight + k]
        if bank.scale == LN:
            total = math.log(max(total, floor) + add)
        elif bank.scale == LOG10:
            total = factor * math.log10(max(total, floor) + add)
        out[b] = total * bank.gain[b] + bank.shift[b]


@jit
def sums(powers, bank, out):
    """Features ``[T, F]`` of bins ``[T, N / 2 + 1]``, powers or magnitudes as the bands want them."""
    for t in range(out.shape[0]):
        _bands(powers[t], bank, out[t])


@jit
def _prepare(x, start, plan):
    """The frame, its mean removed, pre-emphasised and windowed, in ``plan.frame``."""
    frame, window = plan.frame, plan.taper.size
    mean = np.float32(0)
    if plan.zero_mean:
        total = 0.0
        for i in range(window):
            total += x[start + i]
        mean = np.float32(total / window)
    before = x[start] - mean
    for i in range(window):
        now = x[start + i] - mean
        frame[i] = (now - plan.emphasis * before) * plan.taper[i]
        before = now


@jit
def _halves(plan):
    """Powers of two: even and odd samples as one complex signal of half the length."""
    frame, work, window = plan.frame, plan.work, plan.taper.size
    for i in range(work.shape[1]):
        even, odd = 2 * i, 2 * i + 1
        work[0, i] = frame[even] if even < window else np.float32(0)
        work[1, i] = frame[odd] if odd < window else np.float32(0)
    row = _fft(plan.table, work)
    _power(work[row], work[row + 1], plan.split, plan.power)


@jit
def _bluestein(plan):
    """Other sizes. The inverse transform is the transform of the conjugate, conjugated: again no matter to a power."""
    frame, work, chirp, kernel, window = plan.frame, plan.work, plan.chirp, plan.kernel, plan.taper.size
    work[:2] = 0
    for i in range(window):
        work[0, i], work[1, i] = frame[i] * chirp[0, i], frame[i] * chirp[1, i]
    row = _fft(plan.table, work)
    for i in range(work.shape[1]):
        re, im = work[row, i], work[row + 1, i]
        work[0, i] = re * kernel[0, i] - im * kernel[1, i]
        work[1, i] = -(re * kernel[1, i] + im * kernel[0, i])
    row = _fft(plan.table, work)
    for k in range(plan.power.size):
        plan.power[k] = work[row, k] ** 2 + work[row + 1, k] ** 2


@jit
def push(samples, aimed):
    """Take samples and fill an output ``[T, F]`` with the frames that they complete, at most one for each hop begun.

    Parameters
    ----------
    samples
        float32 or int16, ``[N]``.
    aimed
        The plan (tables, scratch, and what is carried from call to call: the buffer and the counts) and the output.

    Returns
    -------
    int
        How many frames.
    """
    plan, out = aimed
    buffer, counts, taken, done = plan.buffer, plan.counts, 0, 0
    while taken < samples.size:
        taken = refill(samples, taken, buffer, counts, plan.limit)
        while counts[FILL] - counts[START] >= plan.taper.size:
            _prepare(buffer, counts[START], plan)
            if plan.chirp.size:
                _bluestein(plan)
            else:
                _halves(plan)
            if plan.magnitude:
                for k in range(plan.power.size):
                    plan.power[k] = math.sqrt(plan.power[k])
            _bands(plan.power, plan.bank, out[done])
            counts[START] += plan.hop
            done += 1
    return done


class Kernel:
    """The plain kernel with its memory; as in `edge.frontend.fused`.

    Parameters
    ----------
    plan
        From `plan`.
    """

    width = PLAIN

    def __init__(self, plan: Plan) -> None:
        self._call, self._plan = push, plan.copied()
        self.counts, self.buffer = self._plan.counts, self._plan.buffer
        self._out, self._frames = views(plan.bank.gain.size)
        self.run(np.zeros(0, np.float32), self._out)  # compile now, not at the first sound

    def method(self, otherwise: Callable[[Any], Float32]) -> Callable[[Any], Float32]:
        """What pushes a few hops, into views made beforehand; `otherwise` takes the rest."""

        def few(samples: Samples) -> Float32:
            if samples.size > ROWS * self._plan.hop:
                return otherwise(samples)
            return self._frames[self.run(samples, self._out)]

        return few

    def run(self, samples: Samples, out: Float32) -> int:
        """Frames into the first rows of `out`, without the GIL; how many."""
        return int(self._call(plain(samples, "W"), (self._plan, out)))


def plan(spec: FrontEndSpec) -> Plan:
    """Tables and scratch of a spec."""
    size, window = spec.frames.size, spec.frames.window
    whole = size & (size - 1) == 0
    m = size // 2 if whole else 1 << (2 * size - 1).bit_length()
    angle = 2 * np.pi * np.arange(m) / m
    chirp, kernel = (np.zeros((2, 0), np.float32),) * 2 if whole else _chirp(size, m)
    return Plan(
        hop=spec.frames.hop,
        limit=limit(spec),
        taper=_single(filterbank.taper(spec.frames.taper, window) * spec.frames.full_scale),
        table=_single(np.stack([np.cos(angle), -np.sin(angle)])),
        split=_single(np.stack([np.cos(angle / 2), -np.sin(angle / 2)])),
        chirp=chirp,
        kernel=kernel,
        magnitude=spec.bands.spectrum == "magnitude",
        bank=bank(spec),
        zero_mean=spec.frames.remove_dc,
        emphasis=np.float32(spec.frames.preemphasis),
        frame=np.zeros(window, np.float32),
        work=np.zeros((4, m), np.float32),
        power=np.zeros(size // 2 + 1, np.float32),
        buffer=np.zeros(room(window, spec.frames.hop), np.float32),
        counts=np.zeros(COUNTS, np.int64),
    )


def bank(spec: FrontEndSpec) -> Bank:
    """From the spec's bins to its features."""
    spans, weights = _sparse(filterbank.bank(spec))
    scale, floor, add, factor = filterbank.compression(spec)
    gain, shift = filterbank.affine(spec)
    constants = (np.float32(floor), np.float32(add), np.float32(factor))
    return Bank(spans, weights, scale, constants, _single(gain), _single(shift))


def _single(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32)


def _chirp(size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """e^(−πin²/N) and the transform of its conjugate, wrapped around `length`; n² modulo 2N keeps the phase exact."""
    n = np.arange(size)
    chirp = np.exp(-1j * np.pi * (n * n % (2 * size)) / size)
    ring = np.zeros(length, complex)
    ring[:size], ring[length - size + 1 :] = chirp.conj(), chirp.conj()[:0:-1]
    kernel = np.fft.fft(ring) / length
    return _single(np.stack([chirp.real, chirp.imag])), _single(np.stack([kernel.real, kernel.imag]))


def _sparse(bank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a band matrix as (first bin, bins, first weight) and their weights one after another."""
    spans = np.zeros((len(bank), 3), np.int64)
    weights = [np.zeros(0, np.float32)]
    used = 0
    for row, weight in enumerate(bank):
        bins = np.nonzero(weight)[0]
        if len(bins):
            weights.append(_single(weight[bins[0] : bins[-1] + 1]))
            spans[row] = bins[0], len(weights[-1]), used
            used += len(weights[-1])
    return spans, np.concatenate(weights)
