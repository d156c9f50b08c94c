"""Dropout: nothing once training is over."""

from __future__ import annotations

from torch import Tensor, nn

from training.layers.streaming import StreamLayer


class Dropout(StreamLayer):
    """Dropped in training, identity otherwise.

    Parameters
    ----------
    rate
        Probability.
    whole
        Whether a channel is dropped for the whole clip, or single values.
    """

    def __init__(self, rate: float, *, whole: bool = True) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(rate) if whole else nn.Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return self.drop(x)
