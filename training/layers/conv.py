"""Time-causal convolution over [B, C, T, F], with batch norm and ReLU in one layer so that export can fold them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.streaming import State, StreamLayer


class CausalConv(StreamLayer):
    """Convolution that sees the present frame and ``past`` frames before it.

        frames     … -4 -3 -2 -1  0  1  2 …         kernel 3, dilation 2: past = 4
        y[2] sees     ─────  ×     ×     ×          zeros (the zero state) stand before frame 0

    Parameters
    ----------
    channels
        (in, out).
    bands
        Frequency bands of the input.
    kernel
        (time, frequency). The frequency axis is padded by ``kernel // 2`` on both sides, unless `collapse`.
    stride
        Over frequency; time is never strided.
    dilation
        Over time.
    groups
        ``channels[0]`` for a depthwise convolution.
    activation
        ReLU behind the norm.
    collapse
        No frequency padding: a kernel as high as `bands` leaves one band.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        bands: int,
        kernel: tuple[int, int] = (1, 1),
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: bool = True,
        collapse: bool = False,
    ) -> None:
        super().__init__()
        self.bands = bands
        self.past = (kernel[0] - 1) * dilation
        self.pad = 0 if collapse else kernel[1] // 2
        self.activation = activation
        self.conv = nn.Conv2d(
            *channels, kernel, (1, stride), (0, self.pad), dilation=(dilation, 1), groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(channels[1])

    @property
    def bands_out(self) -> int:
        """Frequency bands of the output."""
        return (self.bands + 2 * self.pad - self.conv.kernel_size[1]) // self.conv.stride[1] + 1

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip ``[B, C, T, F]``."""
        return self._convolve(functional.pad(x, (0, 0, self.past, 0)) if self.past else x)

    def init_state(self, batch: int) -> State:
        """Zeros ``[B, past, F, C]``."""
        if not self.past:
            return {}
        return {self.path: torch.zeros(batch, self.past, self.bands, self.conv.in_channels)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Next frames; the state keeps the last ``past`` frames of the input."""
        if not self.past:
            return self._convolve(x), {}
        seen = torch.cat([state[self.path], x.permute(0, 2, 3, 1)], 1)
        return self._convolve(seen.permute(0, 3, 1, 2)), {self.path: seen[:, -self.past :]}

    @torch.no_grad()
    def fold(self) -> None:
        """Put the batch norm into the convolution's weight and bias, in place; the layer computes the same."""
        if isinstance(self.norm, nn.Identity):
            return
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        self.conv.weight.mul_(scale[:, None, None, None])
        self.conv.bias = nn.Parameter(self.norm.bias - self.norm.running_mean * scale)
        self.norm = nn.Identity()

    def _convolve(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return functional.relu(y) if self.activation else y
