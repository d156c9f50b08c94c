"""The noise under a recording, bin by bin, by minima-controlled recursive averaging (IMCRA).

|Y|²  ──▶ smooth ──▶ minimum of the last second ──▶ roughly: is anything there but noise?
      ──▶ smooth, what is there left out ──▶ minimum ──▶ q: how sure is it that nothing is there?
      ──▶ λ ← α λ + (1 - α)|Y|², α near 1 where something is

What stays the same for longer than two windows of minima (2 s), a mains hum or a cicada, is noise by this definition.
All is causal: a frame's estimate depends on it and the past.

Cohen, "Noise spectrum estimation in adverse environments: improved minima controlled recursive averaging", IEEE Trans.
Speech and Audio Processing 11 (2003); card 32, whose parameters are for windows of 32 ms every 8 ms.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import exp1

Floats = npt.NDArray[np.float64]

SMOOTH, NOISE_SMOOTH, DIRECTED = 0.9, 0.85, 0.92  # α_s, α_d, α
BIAS, MINIMUM_BIAS = 1.47, 1.66  # β, B_min: what minima and quiet stretches are below the mean
SURE, UNSURE, RATIO = 4.6, 3.0, 1.67  # γ₀, γ₁, ζ₀
PARTS, PART = 8, 15  # sub-windows of minima, and frames of each: 0.96 s
TINY = 1e-20  # a power that digital silence is lifted to
LOWEST_SNR = 10 ** (-25 / 10)  # ξ below which the gain of a log-spectral amplitude only makes tones of noise
KERNEL = np.array([0.25, 0.5, 0.25])  # over bins


def gain(prior: Floats, posterior: Floats) -> Floats:
    """Gain of the log-spectral amplitude estimator (Ephraim and Malah 1985).

    Parameters
    ----------
    prior, posterior
        ξ: power of the sound beside the noise; γ: power that was measured beside the noise.
    """
    share = prior / (1 + prior)
    out: Floats = share * np.exp(0.5 * exp1(np.maximum(posterior * share, 1e-10)))
    return np.minimum(out, 1.0)


class Minimum:
    """Lowest value of each bin over the last `PARTS` sub-windows and the present one."""

    def __init__(self, first: Floats) -> None:
        self.value, self._part = first.copy(), first.copy()
        self._parts: list[Floats] = []
        self._frames = 0

    def push(self, frame: Floats) -> Floats:
        """Take in ``[K]`` values and return the minima."""
        self.value = np.minimum(self.value, frame)
        self._part = np.minimum(self._part, frame)
        self._frames += 1
        if self._frames == PART:
            self._parts = [*self._parts, self._part][-PARTS:]
            self.value, self._part, self._frames = np.min(self._parts, axis=0), frame.copy(), 0
        return self.value


class Tracker:
    """Follows the noise; frames are pushed one by one.

    Parameters
    ----------
    first
        Power spectrum ``[K]`` of the first frame, which is taken for noise.
    """

    def __init__(self, first: Floats) -> None:
        first = np.maximum(first, TINY)
        self._smooth, self._quiet = _over_bins(first), _over_bins(first)
        self._minimum, self._quiet_minimum = Minimum(self._smooth), Minimum(self._quiet)
        self._mean = first.copy()
        self._clean = np.ones_like(first)  # G² γ of the frame before

    def push(self, power: Floats) -> tuple[Floats, Floats]:
        """Take in a power spectrum ``[K]``; return the noise's power and the gain that leaves the rest."""
        power = np.maximum(power, TINY)
        noise = BIAS * self._mean
        posterior = power / noise
        prior = np.maximum(DIRECTED * self._clean + (1 - DIRECTED) * np.maximum(posterior - 1, 0), LOWEST_SNR)
        amplitude = gain(prior, posterior)
        self._clean = amplitude**2 * posterior
        present = self._presence(power, prior, posterior)
        memory = NOISE_SMOOTH + (1 - NOISE_SMOOTH) * present
        self._mean = memory * self._mean + (1 - memory) * power
        return noise, amplitude

    def _presence(self, power: Floats, prior: Floats, posterior: Floats) -> Floats:
        """Probability ``[K]`` that something sounds beside the noise."""
        self._smooth = SMOOTH * self._smooth + (1 - SMOOTH) * _over_bins(power)
        lowest = MINIMUM_BIAS * self._minimum.push(self._smooth)
        absent = ((power < SURE * lowest) & (self._smooth < RATIO * lowest)).astype(np.float64)
        weight = _over_bins(absent)
        quiet = np.where(weight > 0, _over_bins(absent * power) / np.maximum(weight, TINY), self._quiet)
        self._quiet = SMOOTH * self._quiet + (1 - SMOOTH) * quiet
        lowest = MINIMUM_BIAS * self._quiet_minimum.push(self._quiet)
        doubt = np.clip((UNSURE - power / lowest) / (UNSURE - 1), 0.0, 1.0)  # q
        doubt = np.where(self._smooth < RATIO * lowest, doubt, 0.0)
        odds = doubt / np.maximum(1 - doubt, 1e-12) * (1 + prior) * np.exp(-posterior * prior / (1 + prior))
        present: Floats = 1 / (1 + odds)
        return present


def _over_bins(power: Floats) -> Floats:
    out: Floats = np.convolve(np.pad(power, 1, mode="edge"), KERNEL, mode="valid")
    return out
