r"""Tempo without pitch, by a phase vocoder (Flanagan and Golden, 1966) with locked phases (Laroche and Dolson, 1999).

The short-time spectra are read `factor` times as fast. Magnitudes are interpolated; the phase of a peak goes on by what
it goes on between two neighbouring spectra:

phase[k] = phase[k - 1] + (angle X[t_k + 1] - angle X[t_k]),    t_k = k · factor

Both spectra stand one hop apart, as the output's do, so the sum needs no unwrapping. Bins beside a peak are turned as
the peak is, or else the parts of one tone would drift apart and grow faint.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Waveform, augmentation
from training.augment.speed import Factor

Spectra = npt.NDArray[np.complex64]
OVERLAP = 4  # windows over each sample: squared Hann windows then sum to a constant, 3/8 of it
TINY, MOST = np.float32(1e-9), np.float32(1e3)  # no bin may grow by more from one spectrum to the next


def stretch(samples: Float32, factor: float, size: int = 1024) -> Float32:
    """Play `factor` times as fast at the same pitch: ``[N]`` becomes ``[round(N / factor)]``.

    Parameters
    ----------
    samples
        float32 ``[N]``.
    factor
        Over 0; 1 gives the input.
    size
        Window in samples: long ones keep tones whole, short ones keep clicks sharp.
    """
    length = round(len(samples) / factor)
    if not length or factor == 1.0:
        return samples.copy()
    # So much silence before and behind that every sample of the output lies under all its windows; the middle of a
    # window, (k · hop + size / 2), stands `size` samples later in the output than its time in the input divided by
    # the factor.
    around = round(size * (1 + factor) / 2)
    spectra = _analyse(np.pad(samples, (around, around + size)), size)
    at = np.arange(0, len(spectra) - 1, factor)
    first, part = at.astype(int), (at % 1.0)[:, None].astype(np.float32)
    magnitude, angle = np.abs(spectra), np.angle(spectra)
    advance = (angle[first + 1] - angle[first]).astype(np.float64)
    phase = angle[0] + np.cumsum(advance, axis=0) - advance
    turn = np.exp(1j * (phase - angle[first])).astype(np.complex64)
    turned = spectra[first] * np.take_along_axis(turn, nearest_peak(magnitude[first]), axis=1)
    grown = (1 - part) + part * magnitude[first + 1] / np.maximum(magnitude[first], TINY)
    return _synthesise(turned * np.minimum(grown, MOST), size)[size:][:length]


def nearest_peak(magnitude: Float32) -> npt.NDArray[np.intp]:
    """Return for each bin the index of the nearest bin that is no weaker than its two neighbours, ``[T, F]``."""
    bins = np.arange(magnitude.shape[1])
    edged = np.pad(magnitude, ((0, 0), (1, 1)))
    peak = (magnitude >= edged[:, :-2]) & (magnitude >= edged[:, 2:])
    below = np.maximum.accumulate(np.where(peak, bins, -len(bins)), axis=1)
    above = np.minimum.accumulate(np.where(peak, bins, 2 * len(bins))[:, ::-1], axis=1)[:, ::-1]
    return np.where(bins - below <= above - bins, below, above)


def _window(size: int) -> Float32:
    return np.hanning(size + 1)[:-1].astype(np.float32)


def _analyse(samples: Float32, size: int) -> Spectra:
    """Spectra ``[T, size / 2 + 1]`` of every window."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // OVERLAP]
    return np.fft.rfft(frames * _window(size), axis=1).astype(np.complex64)


def _synthesise(spectra: npt.NDArray[np.complexfloating], size: int) -> Float32:
    """Overlap and add."""
    hop = size // OVERLAP
    frames = np.fft.irfft(spectra, size, axis=1) * _window(size) / (3 / 8 * OVERLAP)
    out = np.zeros((len(frames) + OVERLAP - 1, hop), np.float32)
    for part in range(OVERLAP):  # the same quarter of all windows at once
        out[part : part + len(frames)] += frames[:, part * hop : (part + 1) * hop]
    return out.reshape(-1)


class StretchSettings(AugmentSettings, frozen=True):
    """How many times as fast, [low, high]."""

    factor: tuple[Factor, Factor] = (0.85, 1.18)


@augmentation(WAVEFORM, "stretch", StretchSettings)
def build(settings: StretchSettings) -> Waveform:
    """Stretch by a drawn factor, in windows of about 50 ms."""

    def apply(samples: Float32, rate: int, rng: np.random.Generator) -> Float32:
        return stretch(samples, rng.uniform(*settings.factor), window_of(rate))

    return apply


def window_of(rate: int) -> int:
    """Return the power of two nearest to 50 ms."""
    return 2 ** round(np.log2(0.05 * rate))
