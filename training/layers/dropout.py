"""Dropout: nothing once training is over."""

from __future__ import annotations

from torch import Tensor, nn

from training.layers.streaming import StreamLayer


class Dropout(StreamLayer):
    """Whole channels dropped in training, identity otherwise."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(rate)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return self.drop(x)
