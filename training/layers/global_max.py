"""Global max pooling in time: the maximum of each channel over the window is classified."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from training.layers.global_mean import GlobalMeanHead
from training.layers.heads import LOWEST


class GlobalMaxHead(GlobalMeanHead):
    """Sigmoid of a dense layer on the largest embedding (card 43)."""

    def pool(self, seen: Tensor) -> Tensor:
        """Maximum over what was heard."""
        low = LOWEST * (1 - seen[:, self.embedding :])  # finite: −∞ · 0 is no number
        return functional.max_pool2d(seen[:, : self.embedding] + low, (self.window, 1), 1)
