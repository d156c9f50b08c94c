"""Normalisation: by statistics of the training (which streams), and by those of the clip itself (which cannot)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.layers.streaming import StreamLayer, Timeline


class BatchNorm(StreamLayer):
    """Per channel, by the mean and variance that training saw; right behind a linear convolution export folds it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return self.norm(x)

    def multiplications(self) -> int:
        """One per value."""
        return self.after.channels * self.after.bands


class ClipNorm(StreamLayer):
    """Every band to mean 0 and variance 1 over the whole clip: it knows a clip's end at its beginning."""

    def __init__(self, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        mean = x.mean(2, keepdim=True)
        return (x - mean) * torch.rsqrt((x - mean).square().mean(2, keepdim=True) + self.epsilon)

    def plan(self, timeline: Timeline) -> Timeline:  # noqa: ARG002 - the contract's
        """Refuse."""
        raise self.refuse("normalises by the whole clip, which a stream never has; export in window mode")


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift, ``[C]``, that a batch norm is in evaluation."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
