"""Squeeze-and-excitation within a frame: gates from the mean over bands or channels, never over time."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.streaming import StreamLayer, Timeline


class SqueezeExcite(StreamLayer):
    """One gate for every channel (or band) of every frame (Hu et al. 2018, without the mean over time).

        mean over bands ─▶ dense, ReLU ─▶ dense, sigmoid ─▶ × each channel

    Parameters
    ----------
    size
        Number of gates: the channels, or the bands.
    reduction
        By how much the inner layer is narrower.
    over
        What is gated; the mean is over the other one.
    """

    def __init__(self, size: int, reduction: int = 4, over: Literal["channels", "bands"] = "channels") -> None:
        super().__init__()
        self.size, self.over = size, over
        self.squeeze = nn.Linear(size, max(1, size // reduction))
        self.excite = nn.Linear(max(1, size // reduction), size)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip, or a step's frames."""
        if self.over == "channels":
            return x * self._gates(x.mean(3)).unsqueeze(3)
        return x * self._gates(x.mean(1).transpose(1, 2)).transpose(1, 2).unsqueeze(1)

    def plan(self, timeline: Timeline) -> Timeline:
        """Nothing moves in time."""
        got = timeline.channels if self.over == "channels" else timeline.bands
        if got != self.size:
            raise self.refuse(f"expected {self.size} {self.over}, got {got}")
        return timeline

    def multiplications(self) -> int:
        """Both dense layers, and one per value."""
        return 2 * self.squeeze.weight.numel() + self.after.channels * self.after.bands

    def _gates(self, mean: Tensor) -> Tensor:
        """Gates ``[B, size, T]`` of means ``[B, size, T]``."""
        inner = functional.relu(self.squeeze(mean.transpose(1, 2)))
        return torch.sigmoid(self.excite(inner)).transpose(1, 2)


class SqueezeExciteClip(SqueezeExcite):
    """The same with the mean over the whole clip's time as well, as images have it: it cannot stream."""

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        mean = x.mean((2, 3)) if self.over == "channels" else x.mean((1, 2))
        gates = self._gates(mean.unsqueeze(2))
        return x * (gates.unsqueeze(3) if self.over == "channels" else gates.transpose(1, 2).unsqueeze(1))

    def plan(self, timeline: Timeline) -> Timeline:  # noqa: ARG002 - the contract's
        """Refuse."""
        raise self.refuse("takes the mean over the whole clip, which a stream never has; export in window mode")
