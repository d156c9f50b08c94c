"""Masks and tilts of feature frames [T, F]."""

from __future__ import annotations

import numpy as np

from training.augment.registry import FEATURE, AugmentSettings, Feature, Float32, augmentation


def mask_bands(frames: Float32, rng: np.random.Generator, widest: int, count: int) -> Float32:
    """Replace `count` random groups of at most `widest` bands by the frames' mean."""
    out, fill = frames.copy(), frames.mean()
    for _ in range(count):
        width = int(rng.integers(0, widest + 1))
        first = int(rng.integers(0, frames.shape[1] - width + 1))
        out[:, first : first + width] = fill
    return out


def mask_time(frames: Float32, rng: np.random.Generator, longest: int, count: int) -> Float32:
    """Replace `count` random spans of at most `longest` frames by each band's mean."""
    out, fill = frames.copy(), frames.mean(axis=0)
    for _ in range(count):
        span = int(rng.integers(0, longest + 1))
        first = int(rng.integers(0, max(len(frames) - span, 0) + 1))
        out[first : first + span] = fill
    return out


def tilt(frames: Float32, rng: np.random.Generator, depth: float, points: int = 5) -> Float32:
    """Add a random piecewise linear curve over the bands: a filter, where features are logarithms."""
    knots = np.linspace(0, frames.shape[1] - 1, points)
    curve = np.interp(np.arange(frames.shape[1]), knots, rng.normal(0.0, depth, points))
    return frames + curve.astype(np.float32)


class BandMaskSettings(AugmentSettings, frozen=True):
    """Bands of the widest mask, and how many masks."""

    widest: int = 8
    count: int = 2


class TimeMaskSettings(AugmentSettings, frozen=True):
    """Frames of the longest mask, and how many masks."""

    longest: int = 25
    count: int = 1


class TiltSettings(AugmentSettings, frozen=True):
    """Standard deviation of the curve, in units of the features, and how many points it has."""

    depth: float = 0.4
    points: int = 5


@augmentation(FEATURE, "band-mask", BandMaskSettings)
def build_band_mask(settings: BandMaskSettings) -> Feature:
    """Mask drawn bands."""
    return lambda frames, rng: mask_bands(frames, rng, min(settings.widest, frames.shape[1]), settings.count)


@augmentation(FEATURE, "time-mask", TimeMaskSettings)
def build_time_mask(settings: TimeMaskSettings) -> Feature:
    """Mask drawn spans of time."""
    return lambda frames, rng: mask_time(frames, rng, min(settings.longest, len(frames)), settings.count)


@augmentation(FEATURE, "tilt", TiltSettings)
def build_tilt(settings: TiltSettings) -> Feature:
    """Add a drawn curve."""
    return lambda frames, rng: tilt(frames, rng, settings.depth, settings.points)
