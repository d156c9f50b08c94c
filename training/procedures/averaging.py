"""Averages of weights: a moving one over steps, or the mean of snapshots."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Averaged:
    """Keeps an average of a model's parameters and running statistics.

    Parameters
    ----------
    decay
        Of the moving average. Early steps count with a shorter memory, min(decay, (1 + n) / (10 + n)), so that the
        start is forgotten soon; 0 keeps the last weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def update(self, model: nn.Module) -> None:
        """Take in the model's present values, as one step of the moving average."""
        self.count += 1
        self._take(model, 1 - min(self.decay, (1 + self.count) / (10 + self.count)))

    def snapshot(self, model: nn.Module) -> None:
        """Take in the model's present values, as one of equal snapshots."""
        self.count += 1
        self._take(model, 1 / self.count)

    @torch.no_grad()
    def _take(self, model: nn.Module, weight: float) -> None:
        for name, value in model.state_dict().items():
            mean = self.values[name]
            if mean.is_floating_point():
                mean.lerp_(value, weight)
            else:
                mean.copy_(value)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged values, as a model loads them."""
        return self.values
