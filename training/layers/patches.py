"""Networks that were made for patches: each stretch of the signal by itself, as if nothing stood beside it.

frames    0 … 95 | 96 … 191 | 192 … 287 | 288 …        size 96
          padded   padded     padded      an unfinished patch gives nothing
             │        │          │
          frame 0  frame 1    frame 2
"""

from __future__ import annotations

from torch import Tensor

from training.layers.streaming import StreamLayer, Timeline, bound
from training.layers.windowed import Windowed


class Patches(Windowed):
    """Runs `body` on every patch of `size` frames; its paddings stand at the patch's edges.

    No patch knows of another, so that a body whose layers look ahead streams without waiting for more than its patch.

    Parameters
    ----------
    body
        Gives one frame per patch.
    """

    def __init__(self, size: int, body: StreamLayer) -> None:
        super().__init__(size, size, 0)
        self.body = body

    def window(self, x: Tensor) -> Tensor:
        """Every patch of ``[B, C, n · size, F]``."""
        size, (batch, channels, frames, bands) = self.time_stride, x.shape
        count = frames // size
        patches = x[:, :, : count * size].reshape(batch, channels, count, size, bands).transpose(1, 2)
        y = self.body(patches.reshape(batch * count, channels, size, bands))
        return y.reshape(batch, count, *y.shape[1:]).transpose(1, 2).reshape(batch, y.shape[1], -1, y.shape[3])

    def shape(self, timeline: Timeline) -> tuple[int, int]:
        """Channels and bands of what the body gives; refuse one that gives another number of frames than one."""
        begin = Timeline(rate=timeline.rate, grain=timeline.rate, channels=timeline.channels, bands=timeline.bands)
        after = bound(self.body, begin, self)
        for layer in self.body.modules():
            layer.clocked = False  # within a patch nobody waits, and there is nothing to mask
        if after.rate != timeline.rate * self.time_stride:
            frames = after.rate / timeline.rate
            raise self.refuse(f"expected a body that gives one frame per {self.time_stride}, got one per {frames:g}")
        return after.channels, after.bands
