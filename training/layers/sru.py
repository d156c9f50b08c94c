"""Simple recurrent unit: all products are with the input, the recurrence is elementwise (Lei et al. 2018; card 34).

    x̃ = W x    f = σ(W_f x + b_f)    r = σ(W_r x + b_r)
    c[t] = f · c[t − 1] + (1 − f) · x̃        h[t] = r · tanh(c[t]) + (1 − r) · x'

x' is the input itself where it is as wide as the output, else W' x.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from training.layers.streaming import Clock, State, StreamLayer, Timeline, edges


class SRU(StreamLayer):
    """One layer over the frames of one band, ``[B, C, T, 1]`` to ``[B, hidden, T, 1]``, twice that in both directions.

    Parameters
    ----------
    size
        Channels of the input.
    hidden
        Units of a direction.
    bidirectional
        The second half of the units runs backwards; that cannot stream.
    """

    def __init__(self, size: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.size, self.hidden, self.bidirectional = size, hidden, bidirectional
        self.project = nn.Linear(size, self.width * (3 if size == self.width else 4), bias=False)
        self.bias = nn.Parameter(torch.zeros(2, self.width))

    @property
    def width(self) -> int:
        """Channels of the output."""
        return self.hidden * (2 if self.bidirectional else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        forget, enter, reset, through = self._parts(x)
        if self.bidirectional:
            forget, enter = self._turned(forget), self._turned(enter)
        inner = self._scan(forget, enter, torch.zeros_like(enter[:, 0]))
        inner = self._turned(inner) if self.bidirectional else inner
        return self._out(inner, reset, through)

    def plan(self, timeline: Timeline) -> Timeline:
        """Refuse the two-sided one, and more than one band."""
        if self.bidirectional:
            raise self.refuse("runs backwards from the clip's end, which a stream never has; export in window mode")
        if (timeline.channels, timeline.bands) != (self.size, 1):
            got = f"{timeline.channels} channels of {timeline.bands} bands"
            raise self.refuse(f"expected {self.size} channels of one band, got {got}: put BandsToChannels before")
        self.clocked = timeline.delay > 0
        return replace(timeline, channels=self.width, past=float("inf"))

    def init_state(self, batch: int) -> State:
        """Zeros ``[B, 1, 1, hidden]``."""
        return {self.path: torch.zeros(batch, 1, 1, self.width)}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:
        """Next frames; what was remembered before frame 0 is forgotten there."""
        forget, enter, reset, through = self._parts(x)
        if self.clocked:
            known, _ = edges(self.timeline, 0, x.shape[2])
            forget = forget * (clock.pos + known > 0).to(x.dtype)[None, :, None]
        inner = self._scan(forget, enter, state[self.path].flatten(1))
        return self._out(inner, reset, through), {self.path: inner[:, -1, None, None]}

    def multiplications(self) -> int:
        """Multiply-adds per frame."""
        return self.project.weight.numel() + 3 * self.width

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Forget gate, what enters, reset gate, what passes by, each ``[B, T, width]``."""
        frames = x.squeeze(3).transpose(1, 2)
        candidate, forget, reset, *highway = self.project(frames).split(self.width, 2)
        forget, reset = torch.sigmoid(forget + self.bias[0]), torch.sigmoid(reset + self.bias[1])
        return forget, (1 - forget) * candidate, reset, highway[0] if highway else frames

    def _scan(self, forget: Tensor, enter: Tensor, inner: Tensor) -> Tensor:
        """Cells ``[B, T, width]``."""
        cells = []
        for f, u in zip(forget.unbind(1), enter.unbind(1), strict=True):
            inner = f * inner + u
            cells.append(inner)
        return torch.stack(cells, 1)

    def _turned(self, y: Tensor) -> Tensor:
        """The second half of the units in reversed time."""
        first, second = y.split(self.hidden, 2)
        return torch.cat([first, second.flip(1)], 2)

    def _out(self, inner: Tensor, reset: Tensor, through: Tensor) -> Tensor:
        y = reset * torch.tanh(inner) + (1 - reset) * through
        return y.transpose(1, 2).unsqueeze(3)
