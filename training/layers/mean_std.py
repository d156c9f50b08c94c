"""Mean ⊕ standard deviation of the embedding over a window: what a sound is like, and how it comes and goes.

Rain and sea waves differ little in their mean spectrum; waves swell, rain does not. A mean over the window cannot tell
that, and a maximum only where it is loudest (statistics pooling: Snyder et al., ICASSP 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.heads import TINY, PoolingHead, Scores, dense, rows

LEAST = 1e-4  # variance that is added, so that the root has a slope where nothing varies


class MeanStdHead(PoolingHead):
    """Frames by one dense layer on the embedding, windows by another one on its mean and standard deviation.

    The ring holds ``[x, x², 1]``: the ones tell which frames were heard.

    Parameters
    ----------
    frame
        Embedding to classes, for every frame.
    classify
        Mean and standard deviation, one behind the other, to classes.
    window
        Frames.
    """

    def __init__(self, frame: nn.Linear, classify: nn.Linear, window: int) -> None:
        super().__init__(classify, window)
        if classify.in_features != 2 * frame.in_features:
            raise ValueError(f"MeanStdHead: expected {2 * frame.in_features} inputs, got {classify.in_features}")
        self.frame = frame

    def forward(self, x: Tensor) -> Scores:
        """Whole clip: all windows, those at the beginning shorter; in training the last window alone."""
        if not self.training:
            return super().forward(x)
        ring = self.ring(x)
        last = self._statistics(ring[:, :, -self.window :].mean(2, keepdim=True))
        return Scores(rows(torch.sigmoid(dense(self.frame, x))), rows(self.finish(last)))

    @property
    def embedding(self) -> int:
        """Channels of the input."""
        return self.frame.in_features

    @property
    def width(self) -> int:
        """The embedding, its square and a one."""
        return 2 * self.embedding + 1

    def ring(self, x: Tensor) -> Tensor:
        """Embeddings, squares, ones."""
        return torch.cat([x, x * x, torch.ones_like(x[:, :1])], 1)

    def own(self, ring: Tensor) -> Tensor:
        """One frame is its own mean and does not vary."""
        return self._statistics(ring)

    def pool(self, seen: Tensor) -> Tensor:
        """Mean and standard deviation over what was heard."""
        return self._statistics(functional.avg_pool2d(seen, (self.window, 1), 1))

    def finish(self, pooled: Tensor) -> Tensor:
        """Classify."""
        return torch.sigmoid(dense(self.classify, pooled))

    def _scores(self, ring: Tensor, seen: Tensor) -> Scores:
        own = dense(self.frame, ring[:, : self.embedding])
        return Scores(rows(torch.sigmoid(own)), rows(self.finish(self.pool(seen))))

    def _statistics(self, means: Tensor) -> Tensor:
        """``[mean, √(variance + LEAST)]`` of means of the ring, ``[B, R, T, 1]``."""
        size = self.embedding
        means = means[:, : 2 * size] / means[:, 2 * size :].clamp_min(TINY)
        mean, square = means[:, :size], means[:, size:]
        return torch.cat([mean, torch.sqrt((square - mean * mean).clamp_min(0) + LEAST)], 1)
