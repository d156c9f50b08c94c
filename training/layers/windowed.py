"""What convolution and pooling in time share: each output frame sees a window of input frames.

    input frames    … 0 1 2 3 4 5 6 7 8 9 …       span 5, stride 2, lookahead 1: left = 5 − 2 − 1 = 2
    y[2] sees           └───┴─·───┴─┘             its own frames 4 5, `left` before and `lookahead` behind them

A clip of N frames gives N // stride: before frame 0 and behind the last one stands the padding value. In steps, a frame
waits until its lookahead is there, and a little longer where the stride's phase asks for it; the state keeps the
``left + wait`` frames that will be seen again.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.layers.streaming import Clock, State, StreamLayer, Timeline, valid

Lookahead = int | Literal["same"]


class Windowed(StreamLayer, ABC):
    """Base of layers that see a window of frames; a subclass computes `window`, without padding in time.

    Parameters
    ----------
    span
        Frames that an output frame sees, from the first to the last.
    stride
        Input frames per output frame, at most `span`.
    lookahead
        Frames behind its own ones that an output frame sees; ``same`` is half of what it sees besides them.
    padding
        What stands before the first and behind the last frame of a clip.
    """

    def __init__(self, span: int, stride: int, lookahead: Lookahead, padding: float = 0.0) -> None:
        super().__init__()
        around = span - stride
        if around < 0:
            raise ValueError(
                f"{type(self).__name__}: expected a time stride of at most the window's {span}, got {stride}"
            )
        self.right = around // 2 if lookahead == "same" else lookahead
        if not 0 <= self.right <= around:
            raise ValueError(f"{type(self).__name__}: expected a lookahead of 0 to {around} frames, got {lookahead}")
        self.left = around - self.right
        self.wait = self.right
        self.time_stride, self.padding = stride, padding
        self.masks_begin = self.masks_end = False

    @property
    def past(self) -> int:
        """Frames of state."""
        return self.left + self.wait

    @abstractmethod
    def window(self, x: Tensor) -> Tensor:
        """Compute ``(T − span) // stride + 1`` frames of padded input."""

    def shape(self, timeline: Timeline) -> tuple[int, int]:
        """Channels and bands of the output."""
        return timeline.channels, timeline.bands

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip ``[B, C, T, F]``."""
        if self.left or self.right:
            x = functional.pad(x, (0, 0, self.left, self.right), value=self.padding)
        return self.window(x)

    def plan(self, timeline: Timeline) -> Timeline:
        """Wait for the lookahead, and for the stride's phase."""
        stride, delay = self.time_stride, timeline.delay
        self.wait = self.right + -(delay + self.right) % stride
        self.masks_begin = self.left > 0 and (delay > 0 or self.padding != 0)
        self.masks_end = self.right > 0
        self.clocked = self.masks_begin or self.masks_end
        channels, bands = self.shape(timeline)
        return replace(
            timeline,
            rate=timeline.rate * stride,
            delay=(delay + self.wait) // stride,
            grain=self._grain(timeline),
            past=timeline.past + self.left * timeline.rate,
            ahead=timeline.ahead + self.right * timeline.rate,
            channels=channels,
            bands=bands,
        )

    def init_state(self, batch: int) -> State:
        """Zeros ``[B, left + wait, F, C]``."""
        at = self.timeline
        return {self.path: torch.zeros(batch, self.past, at.bands, at.channels)} if self.past else {}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:
        """Next frames; the state keeps the last ``left + wait`` frames of the input."""
        if not self.past:
            return self.window(x), {}
        count = x.shape[2]
        if self.clocked and not self.padding:
            x = self.masked(x, clock, 0)
        seen = torch.cat([state[self.path], x.permute(0, 2, 3, 1)], 1)
        after = {self.path: seen[:, -self.past :]}
        frames, late = seen.permute(0, 3, 1, 2), self.wait - self.right
        if self.padding:  # the zeros of a fresh state are not the padding: mask them as well
            frames = self.masked(frames, clock, -self.past)
        y = self.window(frames[:, :, : self.past + count - late] if late else frames)
        if self.padding:  # a window before the clip's first frame saw nothing else, and must stay a number
            y = torch.where(y > self.padding, y, 0.0)
        return y, after

    def masked(self, x: Tensor, clock: Clock, first: int) -> Tensor:
        """Frames that no clip has, replaced by the padding."""
        ok = valid(self.timeline, clock, first, x.shape[2], self.masks_begin, self.masks_end)
        return torch.where(ok, x, self.padding)

    def _grain(self, timeline: Timeline) -> int:
        """Frames of the output are whole where both the input's grain and the stride are."""
        per_grain, stride = timeline.grain // timeline.rate, self.time_stride
        if per_grain % stride and stride % per_grain:
            raise self.refuse(
                f"expected a time stride that divides or is a multiple of the {per_grain} frames in which the signal "
                f"comes, got {stride}"
            )
        return math.lcm(timeline.grain, timeline.rate * stride)
