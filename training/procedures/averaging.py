"""Exponential moving average of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Averaged:
    """Keeps a moving average of a model's parameters and running statistics.

    Early steps count with a shorter memory, min(decay, (1 + n) / (10 + n)), so that the start is forgotten soon.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the model's present values."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, value in model.state_dict().items():
            mean = self.values[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged values, as a model loads them."""
        return self.values
