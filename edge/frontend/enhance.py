"""Steady noise taken away from bins, before they are summed into bands: IMCRA and a log-spectral amplitude (card 32).

magnitudes |X| ──▶ × gain of what sounds beside the noise, bin by bin ──▶ bands ──▶ scale ──▶ post stages
    |X|² ──▶ smooth ──▶ minimum ──▶ roughly quiet? ──▶ minimum of what is quiet ──▶ how sure? ──▶ noise ──▶ gain

A frame's gain depends on it and the past alone. What stays the same for two windows of minima (2 s), a hum or a cicada,
is noise by this definition. The constants are for frames every 8 ms; at other hops they keep their time.

Cohen, IEEE Trans. Speech and Audio Processing 11 (2003); Ephraim and Malah, IEEE Trans. ASSP 33 (1985).
"""

from __future__ import annotations

import math

import numpy as np

from edge.blocks import Float32
from edge.frontend import stages
from edge.frontend.buffer import jit
from edge.frontend.spec import Enhance

HOP = 0.008  # seconds, that the constants are for
SMOOTH, NOISE_SMOOTH, DIRECTED = 0.9, 0.85, 0.92  # α_s, α_d, α: what is kept of the frame before
BIAS, MINIMUM_BIAS = 1.47, 1.66  # β, B_min: what minima and quiet stretches are below the mean
SURE, UNSURE, RATIO = 4.6, 3.0, 1.67  # γ₀, γ₁, ζ₀
PARTS, PART = 8, 0.12  # sub-windows of minima, and seconds of each
LOWEST_SNR = 10 ** (-25 / 10)  # ξ below which the gain only makes tones of noise

# E₁(x) + ln x up to 1, error below 2e-7; x · eˣ · E₁(x) above 1, 2e-8: Abramowitz and Stegun, 5.1.53 and 56
SERIES = (0.00107857, -0.00976004, 0.05519968, -0.24991055, 0.99999193, -0.57721566)
ABOVE = (1.0, 8.5733287401, 18.0590169730, 8.6347608925, 0.2677737343)
BELOW = (1.0, 9.5733223454, 25.6329561486, 21.0996530827, 3.9584969228)


class EnhanceStage(stages.Stage):
    """Magnitudes of bins times the gain that leaves what is no steady noise.

    Parameters
    ----------
    stage
        What to compute.
    count
        Bins.
    seconds_per_frame
        Time from frame to frame.
    """

    def __init__(self, stage: Enhance, count: int, seconds_per_frame: float) -> None:
        super().__init__(count)
        share = seconds_per_frame / HOP
        self._keep = (SMOOTH**share, NOISE_SMOOTH**share, DIRECTED**share)
        self._lowest, self._least = 10 ** (stage.floor_db / 20), stage.least**2
        self._part = max(1, round(PART / seconds_per_frame))
        self._past = {name: np.zeros(count) for name in ("smooth", "quiet", "mean", "clean")}
        self._minima = {name: np.zeros((2 + PARTS, count)) for name in ("smooth_minima", "quiet_minima")}
        self._seen = np.zeros(3, np.int64)  # begun; frames of the sub-window; sub-windows that are full

    def reset(self, first: int) -> int:
        """The next frame is taken for noise."""
        self._seen[:] = 0
        return first

    def push(self, frames: Float32) -> Float32:
        """Frames of the same shape."""
        out = np.empty_like(frames)
        numbers = (*self._keep, self._lowest, self._least)
        _enhance(frames, *self._past.values(), *self._minima.values(), self._seen, self._part, numbers, out)
        return out

    def state(self) -> stages.State:
        """Smoothed powers and their minima, ``[bins]`` and ``[10, bins]``, and the counts."""
        return {name: value.copy() for name, value in self._arrays().items()}

    def restore(self, state: stages.State) -> None:
        """Take the arrays over; shapes must agree."""
        for name, array in self._arrays().items():
            if state[name].shape != array.shape:
                raise ValueError(f"front end: expected state {name!r} of shape {array.shape}, got {state[name].shape}")
            array[...] = state[name]

    def _arrays(self) -> stages.State:
        return {**self._past, **self._minima, "seen": self._seen}


@jit
def _polynomial(coefficients, x):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in coefficients:
        total = total * x + c
    return total


@jit
def exponential_integral(x):  # type: ignore[no-untyped-def]
    """E₁(x) of a number above 0."""
    if x <= 1:
        return _polynomial(SERIES, x) - math.log(x)
    return math.exp(-x) / x * _polynomial(ABOVE, x) / _polynomial(BELOW, x)


@jit
def _over_bins(row, f):  # type: ignore[no-untyped-def]
    """Mean of a bin and its neighbours; the ends are repeated."""
    return 0.25 * row[max(f - 1, 0)] + 0.5 * row[f] + 0.25 * row[min(f + 1, row.size - 1)]


@jit
def _lowest(minima, f, value):  # type: ignore[no-untyped-def]
    """Lowest value of the window, rows 0: all of it, 1: the present sub-window, then those that are full."""
    minima[0, f], minima[1, f] = min(minima[0, f], value), min(minima[1, f], value)
    return minima[0, f]


@jit
def _turn(minima, values, full):  # type: ignore[no-untyped-def]
    """The present sub-window is full, and another begins."""
    minima[2 + full % PARTS] = minima[1]
    held = min(full + 1, PARTS)
    for f in range(values.size):
        minima[0, f] = minima[2 : 2 + held, f].min()
        minima[1, f] = values[f]


@jit
def _enhance(frames, smooth, quiet, mean, clean, smooth_minima, quiet_minima, seen, part, numbers, out):  # type: ignore[no-untyped-def]
    keep, keep_noise, directed, lowest, least = numbers
    power, absent = np.empty(smooth.size), np.empty(smooth.size)
    for t in range(out.shape[0]):
        for f in range(power.size):
            x = np.float64(frames[t, f])
            power[f] = max(x * x, least)
        if not seen[0]:
            mean[:], clean[:] = power, 1.0
            for f in range(power.size):
                smooth[f] = quiet[f] = _over_bins(power, f)
            smooth_minima[:2], quiet_minima[:2] = smooth, quiet
            seen[0] = 1
        for f in range(power.size):
            smooth[f] = keep * smooth[f] + (1 - keep) * _over_bins(power, f)
            level = MINIMUM_BIAS * _lowest(smooth_minima, f, smooth[f])
            absent[f] = 1.0 if power[f] < SURE * level and smooth[f] < RATIO * level else 0.0
        for f in range(power.size):
            posterior = power[f] / (BIAS * mean[f])
            prior = max(directed * clean[f] + (1 - directed) * max(posterior - 1, 0.0), LOWEST_SNR)
            gain = _gain(prior, posterior)
            clean[f] = gain * gain * posterior
            out[t, f] = frames[t, f] * max(gain, lowest)
            heard = _quiet(power, absent, quiet, f)
            quiet[f] = keep * quiet[f] + (1 - keep) * heard
            level = MINIMUM_BIAS * _lowest(quiet_minima, f, quiet[f])
            doubt = min(max((UNSURE - power[f] / level) / (UNSURE - 1), 0.0), 1.0)
            if smooth[f] >= RATIO * level:
                doubt = 0.0
            odds = doubt / max(1 - doubt, 1e-12) * (1 + prior) * math.exp(-posterior * prior / (1 + prior))
            memory = keep_noise + (1 - keep_noise) / (1 + odds)
            mean[f] = memory * mean[f] + (1 - memory) * power[f]
        seen[1] += 1
        if seen[1] == part:
            _turn(smooth_minima, smooth, seen[2])
            _turn(quiet_minima, quiet, seen[2])
            seen[1], seen[2] = 0, seen[2] + 1


@jit
def _quiet(power, absent, quiet, f):  # type: ignore[no-untyped-def]
    """Power of a bin and those of its neighbours in which nothing sounds; where something does in all, as before."""
    below, above = max(f - 1, 0), min(f + 1, power.size - 1)
    weight = _over_bins(absent, f)
    if weight == 0:
        return quiet[f]
    total = 0.25 * absent[below] * power[below] + 0.5 * absent[f] * power[f] + 0.25 * absent[above] * power[above]
    return total / weight


@jit
def _gain(prior, posterior):  # type: ignore[no-untyped-def]
    share = prior / (1 + prior)
    return min(share * math.exp(0.5 * exponential_integral(max(posterior * share, 1e-10))), 1.0)
