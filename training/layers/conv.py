"""Convolution over time and frequency, with batch norm and activation in one layer so that export can fold them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.activation import ACTIVATIONS, ActivationName
from training.layers.norm import affine
from training.layers.streaming import Clock, State, StreamLayer, Timeline, valid
from training.layers.windowed import Lookahead, Windowed


class Conv(Windowed):
    """Convolution, causal unless `lookahead` says otherwise; with one band it is the 1-D convolution.

        frames     … -4 -3 -2 -1  0  1  2 …         kernel 3, dilation 2, causal: left = 4
        y[2] sees     ─────  ×     ×     ×          zeros (the zero state) stand before frame 0

    Parameters
    ----------
    channels
        (in, out).
    kernel, stride, dilation
        (time, frequency). The frequency axis is padded by half the kernel on both sides, an even one by one band more
        at the top, unless `collapse`.
    groups
        ``channels[0]`` for a depthwise convolution.
    lookahead
        Frames behind its own that an output frame sees, or ``same``.
    norm
        Batch norm behind the convolution, instead of a bias.
    bias
        A bias even so: the norm takes it away again, but the parameter counts of some papers hold it.
    activation
        Behind the norm.
    collapse
        No frequency padding: a kernel as high as the bands leaves one band.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        lookahead: Lookahead = 0,
        norm: bool = True,
        activation: ActivationName = "relu",
        collapse: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__((kernel[0] - 1) * dilation[0] + 1, stride[0], lookahead)
        around = 0 if collapse else (kernel[1] - 1) * dilation[1]
        self.pad, self.top = around // 2, around % 2
        self.activation = activation
        self.conv = nn.Conv2d(*channels, kernel, stride, (0, self.pad), dilation, groups, bias=bias or not norm)
        self.norm = nn.BatchNorm2d(channels[1]) if norm else nn.Identity()

    def window(self, x: Tensor) -> Tensor:
        """Convolve, normalise, activate."""
        x = functional.pad(x, (0, self.top)) if self.top else x
        return ACTIVATIONS[self.activation](self.norm(self.conv(x)))

    def shape(self, timeline: Timeline) -> tuple[int, int]:
        """Channels and bands of the output."""
        conv = self.conv
        if timeline.channels != conv.in_channels:
            raise self.refuse(f"expected {conv.in_channels} channels, got {timeline.channels}")
        span = (conv.kernel_size[1] - 1) * conv.dilation[1] + 1
        padding = 2 * self.pad + self.top
        bands = (timeline.bands + padding - span) // conv.stride[1] + 1
        if bands < 1:
            raise self.refuse(f"expected at least {span - padding} bands, got {timeline.bands}")
        return conv.out_channels, bands

    def multiplications(self) -> int:
        """Multiply-adds per frame of the output."""
        return self.after.bands * self.conv.weight.numel()

    @torch.no_grad()
    def fold(self) -> None:
        """Put the batch norm into the convolution's weight and bias, in place; the layer computes the same."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.absorb(self.norm)
            self.norm = nn.Identity()

    @torch.no_grad()
    def absorb(self, norm: nn.BatchNorm2d) -> None:
        """Multiply a norm's scale into the weight, and its shift into the bias."""
        scale, shift = affine(norm)
        self.conv.weight.mul_(scale[:, None, None, None])
        bias = shift if self.conv.bias is None else self.conv.bias * scale + shift
        self.conv.bias = nn.Parameter(bias)


class TransposedConv(StreamLayer):
    """Transposed convolution in time: `stride` frames out for every frame in.

    frames in      0       1       2            stride 2, kernel 4
    spread over    0 1 2 3
                       2 3 4 5
                           4 5 6 7
    frames out     0 1 2 3 4 5                  what is longer than T · stride is cut off behind (causal),
                     0 1 2 3 4 5                or half of it before (``same``): then it runs late by as much
    """

    def __init__(self, channels: tuple[int, int], kernel: int, stride: int, lookahead: Lookahead = 0) -> None:
        super().__init__()
        if kernel < stride:
            raise ValueError(f"TransposedConv: expected a kernel of at least the stride {stride}, got {kernel}")
        self.right = (kernel - stride) // 2 if lookahead == "same" else lookahead
        if not 0 <= self.right <= kernel - stride:
            raise ValueError(f"TransposedConv: expected a lookahead of 0 to {kernel - stride} frames, got {lookahead}")
        self.past = -(-kernel // stride) - 1
        self.masks_begin = self.masks_end = False
        self.conv = nn.ConvTranspose2d(*channels, (kernel, 1), (stride, 1))

    @property
    def time_stride(self) -> int:
        """Frames out per frame in."""
        return self.conv.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip ``[B, C, T, F]`` to ``[B, C', T · stride, F]``."""
        return self.conv(x)[:, :, self.right : self.right + x.shape[2] * self.time_stride]

    def plan(self, timeline: Timeline) -> Timeline:
        """Raise the rate; refuse one finer than the input's."""
        stride = self.time_stride
        if timeline.rate % stride:
            raise self.refuse(
                f"expected {stride} frames out of at least {stride} input frames, got a signal of one frame per "
                f"{timeline.rate}: pool in time before"
            )
        if timeline.channels != self.conv.in_channels:
            raise self.refuse(f"expected {self.conv.in_channels} channels, got {timeline.channels}")
        self.masks_begin = self.past > 0 and timeline.delay > 0
        self.masks_end = self.right > 0
        self.clocked = self.masks_begin or self.masks_end
        rate = timeline.rate // stride
        return replace(
            timeline,
            rate=rate,
            delay=timeline.delay * stride + self.right,
            past=timeline.past + self.past * timeline.rate + (stride - 1) * rate,
            ahead=timeline.ahead + (self.right + stride - 1) * rate,
            channels=self.conv.out_channels,
        )

    def init_state(self, batch: int) -> State:
        """Zeros ``[B, past, F, C]``."""
        at = self.timeline
        return {self.path: torch.zeros(batch, self.past, at.bands, at.channels)} if self.past else {}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:
        """Next ``T · stride`` frames."""
        after: State = {}
        count, stride = x.shape[2], self.time_stride
        if self.clocked:
            ok = valid(self.timeline, clock, 0, count, self.masks_begin, self.masks_end)
            x = torch.where(ok, x, 0.0)
        if self.past:
            seen = torch.cat([state[self.path], x.permute(0, 2, 3, 1)], 1)
            after = {self.path: seen[:, -self.past :]}
            x = seen.permute(0, 3, 1, 2)
        return self.conv(x)[:, :, self.past * stride : (self.past + count) * stride], after

    def multiplications(self) -> int:
        """Multiply-adds per frame of the output."""
        return self.after.bands * self.conv.weight.numel() // self.time_stride
