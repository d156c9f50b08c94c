"""Global average pooling in time: the mean embedding of the window is classified, not the mean of classified frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.layers.heads import TINY, PoolingHead, dense


class GlobalMeanHead(PoolingHead):
    """Sigmoid of a dense layer on the mean embedding (card A: ``y = σ(W g + b)``).

    The ring holds ``[x, 1]``: the ones tell which frames were heard.
    """

    @property
    def width(self) -> int:
        """The embedding and a one."""
        return self.embedding + 1

    def ring(self, x: Tensor) -> Tensor:
        """Embeddings and ones."""
        return torch.cat([x, torch.ones_like(x[:, :1])], 1)

    def own(self, ring: Tensor) -> Tensor:
        """One frame is its own mean."""
        return ring[:, : self.embedding]

    def pool(self, seen: Tensor) -> Tensor:
        """Mean over what was heard."""
        mean = functional.avg_pool2d(seen, (self.window, 1), 1)
        return mean[:, : self.embedding] / mean[:, self.embedding :].clamp_min(TINY)

    def finish(self, pooled: Tensor) -> Tensor:
        """Classify."""
        return torch.sigmoid(dense(self.classify, pooled))
