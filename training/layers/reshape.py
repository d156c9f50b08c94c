"""Reshapes: bands become channels, channels become bands, frames become channels."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from training.layers.streaming import StreamLayer, Timeline
from training.layers.windowed import Windowed


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


class FramesToChannels(Windowed):
    """`count` frames of one band side by side, ``[B, C, T, 1]`` to ``[B, count · C, T // count, 1]``.

    Channel ``i · C + c`` is channel `c` of the i-th of them: signals of several rates meet at the slowest one.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, count, 0)

    def window(self, x: Tensor) -> Tensor:
        """Whole groups; a rest is dropped."""
        batch, channels, time, _ = x.shape
        count = time // self.time_stride
        frames = x[:, :, : count * self.time_stride, 0].transpose(1, 2)
        return frames.reshape(batch, count, 1, self.time_stride * channels).permute(0, 3, 1, 2)

    def shape(self, timeline: Timeline) -> tuple[int, int]:
        """One band, and the channels of all frames."""
        if timeline.bands != 1:
            raise self.refuse(f"expected one band, got {timeline.bands}: put BandsToChannels before")
        return timeline.channels * self.time_stride, 1
