"""Two frame rates in one network, and a whole clip cut into pieces.

frames       0  1  2  3  4 | 5  6  7  8  9
Decimate 5   0             | 5                 the first of every five
Repeat 5     0  0  0  0  0 | 5  5  5  5  5     frame t has what was computed at ⌊t / 5⌋
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from training.layers.streaming import StreamLayer, Timeline, bound


class Repeat(StreamLayer):
    """Every frame `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip ``[B, C, T, F]`` to ``[B, C, T · times, F]``."""
        batch, channels, time, bands = x.shape
        return x.unsqueeze(3).expand(-1, -1, -1, self.times, -1).reshape(batch, channels, time * self.times, bands)

    def plan(self, timeline: Timeline) -> Timeline:
        """Raise the rate; refuse one finer than the input's."""
        if timeline.rate % self.times:
            raise self.refuse(
                f"expected {self.times} frames out of at least {self.times} input frames, got a signal of one frame "
                f"per {timeline.rate}: pool in time before"
            )
        rate = timeline.rate // self.times
        more = (self.times - 1) * rate
        return replace(
            timeline,
            rate=rate,
            delay=timeline.delay * self.times,
            past=timeline.past + more,
            ahead=timeline.ahead + more,
        )


class Pieces(StreamLayer):
    """A body on `count` pieces of a clip, each as if there were nothing but it; frames of a rest are dropped."""

    def __init__(self, count: int, body: StreamLayer) -> None:
        super().__init__()
        self.count, self.body = count, body

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip: pieces stand in the batch while the body computes."""
        length = x.shape[2] // self.count
        cut = torch.cat([x[:, :, k * length : (k + 1) * length] for k in range(self.count)])
        return torch.cat(self.body(cut).chunk(self.count), 2)

    def plan(self, timeline: Timeline) -> Timeline:
        """Refuse, after the body has been asked."""
        bound(self.body, timeline, self)
        raise self.refuse("cuts the clip by its length, which a stream never has; export in window mode")
