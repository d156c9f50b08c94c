"""A pooling head with a hidden layer: the embedding is what comes before it."""

from __future__ import annotations

from torch import Tensor, nn

from training.layers.heads import MeanHead
from training.layers.streaming import StreamLayer, Timeline, bound


class DeepMeanHead(MeanHead):
    """Mean of the probabilities of ``classify(hidden(x))``.

    Parameters
    ----------
    hidden
        Pointwise layers on the embedding.
    size
        Channels of the embedding.
    """

    def __init__(self, hidden: StreamLayer, size: int, classify: nn.Linear, window: int) -> None:
        super().__init__(classify, window)
        self.hidden, self.size = hidden, size

    @property
    def embedding(self) -> int:
        """Channels of the input."""
        return self.size

    def plan(self, timeline: Timeline) -> Timeline:
        """As every head, and the hidden layers'."""
        bound(self.hidden, timeline, self)
        return super().plan(timeline)

    def probabilities(self, x: Tensor) -> Tensor:
        """Of the frames, by the hidden layers too."""
        return super().probabilities(self.hidden(x))
