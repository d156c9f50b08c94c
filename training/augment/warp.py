"""Piecewise stretching of feature frames (Lasseck, card 28): strips of random width, each by a factor of its own.

|  strip 1  | 2 |    strip 3    |          widths drawn evenly
|   × 1.08     | × 0.91 |  × 1.02  …      read again by linear interpolation; the shape stays
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.augment.registry import FEATURE, AugmentSettings, Feature, Float32, Range, Rng, augmentation

Float64 = npt.NDArray[np.float64]


def positions(length: int, widths: npt.NDArray[np.intp], factors: Float64) -> Float64:
    """Return where each of `length` new frames is read: the old frame's index, ascending, ``[length]``.

    Parameters
    ----------
    length
        Frames (or bands).
    widths
        Of the strips in old frames; together at least `length`.
    factors
        How many times as long each strip becomes. What then lies behind the end is cut; where it falls short, the last
        frame is repeated.
    """
    old = np.concatenate(([0], np.cumsum(widths)))
    new = np.concatenate(([0.0], np.cumsum(widths * factors)))
    return np.minimum(np.interp(np.arange(length), new, old), length - 1)


def read_at(frames: Float32, at: Float64, axis: int) -> Float32:
    """Return frames at positions between them, by linear interpolation along an axis."""
    first = np.minimum(at.astype(int), frames.shape[axis] - 1)
    after = np.minimum(first + 1, frames.shape[axis] - 1)
    part = (at - first).astype(np.float32)
    part = part[:, None] if axis == 0 else part[None]
    return (1 - part) * frames.take(first, axis) + part * frames.take(after, axis)


def draw(length: int, width: tuple[int, int], factor: Range, rng: Rng) -> tuple[npt.NDArray[np.intp], Float64]:
    """Draw widths and factors of strips that cover a length, also where all of them become shorter."""
    count = int(length / (width[0] * min(factor[0], 1.0))) + 1
    return rng.integers(width[0], width[1] + 1, count), rng.uniform(*factor, count)


class TimeWarpSettings(AugmentSettings, frozen=True):
    """Frames of a strip, and how many times as long it becomes, [low, high]."""

    width: tuple[int, int] = (10, 100)
    factor: Range = (0.9, 1.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width[0] < 1 or self.factor[0] <= 0:
            raise ValueError(f"expected `width` from 1 and `factor` over 0, got {self.width[0]} and {self.factor[0]:g}")


class BandWarpSettings(TimeWarpSettings, frozen=True):
    """Bands of a strip, and how many times as wide it becomes, [low, high]."""

    width: tuple[int, int] = (5, 40)
    factor: Range = (0.95, 1.15)


def _warp(settings: TimeWarpSettings, axis: int) -> Feature:
    def apply(frames: Float32, rng: Rng) -> Float32:
        length = frames.shape[axis]
        return read_at(frames, positions(length, *draw(length, settings.width, settings.factor, rng)), axis)

    return apply


@augmentation(FEATURE, "time-warp", TimeWarpSettings)
def build_time_warp(settings: TimeWarpSettings) -> Feature:
    """Stretch drawn strips of time."""
    return _warp(settings, 0)


@augmentation(FEATURE, "band-warp", BandWarpSettings)
def build_band_warp(settings: BandWarpSettings) -> Feature:
    """Stretch drawn strips of frequency."""
    return _warp(settings, 1)
