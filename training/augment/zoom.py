"""Pictures that are cut and stretched as a whole (Lasseck, card 28): a chunk's duration, and the edges of its bands.

time-zoom    duration jitter: the chunk is a little longer or shorter, and read to the same length, in a circle
band-zoom    some of the lowest and the highest bands are cut, and the rest is stretched over all: shift and stretch

Both read by Lanczos' filter, and at times by a poorer one: a network must not hear how features were interpolated.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from training.augment.registry import FEATURE, AugmentSettings, Feature, Float32, Range, Rng, augmentation
from training.augment.resize import FILTERS, resize, weights


class ZoomSettings(AugmentSettings, frozen=True):
    """Share of the zooms that are read by a drawn filter other than Lanczos'."""

    other_filter: Annotated[float, Meta(ge=0, le=1)] = 0.15


class TimeZoomSettings(ZoomSettings, frozen=True):
    """How many times as long a chunk becomes, [low, high]; ±0.45 s of four are 0.9 to 1.1."""

    factor: Range = (0.9, 1.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor[0] <= 0:
            raise ValueError(f"expected `factor` over 0, got {self.factor[0]:g}")


class BandZoomSettings(ZoomSettings, frozen=True):
    """Most bands that are cut below, and above; never more than a quarter of all on either side."""

    low: Annotated[int, Meta(ge=0)] = 10
    high: Annotated[int, Meta(ge=0)] = 6


def drawn_filter(share: float, rng: Rng) -> str:
    """Lanczos' filter, and in a share of the cases another one."""
    first, *others = FILTERS
    return others[rng.integers(len(others))] if rng.random() < share else first


def zoom_time(frames: Float32, factor: float, kind: str = "lanczos") -> Float32:
    """Make a chunk `factor` times as long and keep its first frames; a shorter one is repeated from its beginning."""
    at = (np.arange(len(frames)) + 0.5) / factor - 0.5
    return resize(frames, weights(len(frames), at, 1 / factor, kind, wrap=True), axis=0)


def zoom_bands(frames: Float32, low: int, high: int, kind: str = "lanczos") -> Float32:
    """Cut bands below and above, and stretch the rest over all."""
    count = frames.shape[1]
    scale = (count - low - high) / count
    at = low + (np.arange(count) + 0.5) * scale - 0.5
    return resize(frames, weights(count, at, scale, kind), axis=1)


@augmentation(FEATURE, "time-zoom", TimeZoomSettings)
def build_time_zoom(settings: TimeZoomSettings) -> Feature:
    """Stretch time by a drawn factor."""

    def apply(frames: Float32, rng: Rng) -> Float32:
        return zoom_time(frames, rng.uniform(*settings.factor), drawn_filter(settings.other_filter, rng))

    return apply


@augmentation(FEATURE, "band-zoom", BandZoomSettings)
def build_band_zoom(settings: BandZoomSettings) -> Feature:
    """Cut drawn numbers of bands."""

    def apply(frames: Float32, rng: Rng) -> Float32:
        low, high = (int(rng.integers(min(most, frames.shape[1] // 4) + 1)) for most in (settings.low, settings.high))
        return zoom_bands(frames, low, high, drawn_filter(settings.other_filter, rng))

    return apply
