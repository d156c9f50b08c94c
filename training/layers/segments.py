"""Segments of fixed length, each looked at as a whole and on its own: what a classifier of images needs.

frames      |···· segment 0 ····|···· segment 1 ····|···· segment 2 ··      length = hop: one beside another
embeddings                      y[0]                y[1]

Inside, nothing streams: layers may pool over a segment, pad it, or run over it from behind. Outside, a segment is one
frame of a coarse signal, and a step of `hop` frames gives one: offline and in steps the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from training.layers.streaming import StreamLayer, Timeline
from training.layers.windowed import Windowed


class Segments(Windowed):
    """A network on every `length` frames, ``[N, C, length, F]`` to ``[N, D, 1, 1]``.

    Parameters
    ----------
    body
        The network; to TFLite it is translated if it is made of `StreamLayer`.
    size
        D.
    length, hop
        Frames of a segment, and from one to the next; where they overlap, zeros stand before the clip.
    newest
        In training, look at the last segment alone: a head that hears one frame hears no other.
    """

    def __init__(self, body: nn.Module, size: int, length: int, hop: int, *, newest: bool = False) -> None:
        super().__init__(length, hop, 0)
        self.body, self.size, self.length, self.newest = body, size, length, newest

    def window(self, x: Tensor) -> Tensor:
        """Cut, and look at every segment."""
        if self.newest and self.training:
            last = (x.shape[2] - self.length) // self.time_stride * self.time_stride
            x = x[:, :, last : last + self.length]
        cut = x.unfold(2, self.length, self.time_stride)  # [B, C, S, F, length]
        batch, channels, count, bands, _ = cut.shape
        segments = cut.permute(0, 2, 1, 4, 3).reshape(batch * count, channels, self.length, bands)
        return self.body(segments).reshape(batch, count, self.size, 1).transpose(1, 2)

    def shape(self, timeline: Timeline) -> tuple[int, int]:  # noqa: ARG002 - the contract's
        """One band."""
        return self.size, 1

    def multiplications(self) -> int:
        """Multiply-adds of a segment, counted on two of them without numbers (in training a norm wants two)."""
        at, body = self.timeline, self.body
        values = {name: value.to("meta") for name, value in (*body.named_parameters(), *body.named_buffers())}
        pair = torch.zeros(2, at.channels, self.length, at.bands, device="meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(body, values, pair)
        return counter.get_total_flops() // 4


class Whole(StreamLayer):
    """Base of layers that need a whole clip, or a segment of one."""

    def plan(self, timeline: Timeline) -> Timeline:  # noqa: ARG002 - the contract's
        """Refuse."""
        raise self.refuse("needs all frames at once; put it into Segments, or export in window mode")


class WholeMaxPool(Whole):
    """Largest value of each window that lies in the clip as a whole, as images are pooled; a rest is dropped."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T, F]`` to ``[B, C, T', F']``."""
        return functional.max_pool2d(x, self.kernel, self.stride)


class GlobalMean(Whole):
    """Mean over time and frequency, ``[B, C, 1, 1]`` (global average pooling: Lin et al. 2014)."""

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return x.mean((2, 3), keepdim=True)


class LastFrame(Whole):
    """The last frame: what a recurrent layer has heard at a clip's end."""

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return x[:, :, -1:]


class ContextAttention(Whole):
    """Frames weighted by how near they are to a learnt context, ``[B, D, T, 1]`` to ``[B, D, 1, 1]``.

    u_t = tanh(W h_t + b),  α = softmax_t(u_t · c),  s = Σ_t α_t h_t      (Yang et al. 2016)
    """

    def __init__(self, size: int, context: int) -> None:
        super().__init__()
        self.project = nn.Linear(size, context)
        self.context = nn.Parameter(torch.randn(context) / context**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        h = x.squeeze(3).transpose(1, 2)
        weight = torch.softmax(torch.tanh(self.project(h)) @ self.context, 1)
        return (weight.unsqueeze(1) @ h).transpose(1, 2).unsqueeze(3)
