"""Frequency-wise reshapes: bands become channels, channels become bands."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from training.layers.streaming import StreamLayer, Timeline


class BandsToChannels(StreamLayer):
    """``[B, C, T, F]`` to ``[B, F · C, T, 1]``; channel ``f · C + c`` is band `f` of channel `c`."""

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        batch, channels, time, bands = x.shape
        return x.permute(0, 2, 3, 1).reshape(batch, time, 1, bands * channels).permute(0, 3, 1, 2)

    def plan(self, timeline: Timeline) -> Timeline:
        """One band is left."""
        return replace(timeline, channels=timeline.channels * timeline.bands, bands=1)


class ChannelsToBands(StreamLayer):
    """``[B, F · C, T, 1]`` to ``[B, C, T, F]``, the inverse for `bands` = F."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.bands = bands

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        batch, _, time, _ = x.shape
        return x.permute(0, 2, 3, 1).reshape(batch, time, self.bands, -1).permute(0, 3, 1, 2)

    def plan(self, timeline: Timeline) -> Timeline:
        """Split the channels."""
        if timeline.bands != 1 or timeline.channels % self.bands:
            got = f"{timeline.channels} channels of {timeline.bands} bands"
            raise self.refuse(f"expected one band and a multiple of {self.bands} channels, got {got}")
        return replace(timeline, channels=timeline.channels // self.bands, bands=self.bands)
