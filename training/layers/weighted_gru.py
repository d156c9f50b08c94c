"""A GRU that also forgets faster than it was trained to, and a head that hears clips by one, frames by the other.

A tagger's recurrent unit holds on to what it heard: its frame scores stay high over the clip. With its hidden state
weighted by ω < 1 in all gates it forgets, and the scores follow the sound; nothing is trained anew (card 12).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from training.layers.heads import TINY, PoolingHead, dense
from training.layers.recurrent import GRU


class WeightedGRU(GRU):
    """The same unit twice, ``[as trained ‖ weighted]`` in the channels.

    With r, z, n the reset, update and new gates, each with ω · h in place of h, and the leak as it was::

        n = tanh(W x + b + r · (ω U h + b'))        h' = n + z · (h − n)

    ω multiplies a matrix that h is multiplied by: it can as well be multiplied into the matrix. While the network is
    trained both halves are the unit as it is.
    """

    states = ("h", "weighted")

    def __init__(self, size: int, hidden: int, weight: float, bidirectional: bool = False) -> None:
        super().__init__(size, hidden, bidirectional)
        self.weight = weight

    @property
    def channels(self) -> int:
        """Of both."""
        return 2 * self.core.hidden_size

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        plain = super().forward(x)
        if self.training:
            return torch.cat([plain, plain], 1)
        weighted, _ = functional_call(self.core, self._weighted(), (x.squeeze(3).transpose(1, 2),))
        return torch.cat([plain, weighted.transpose(1, 2).unsqueeze(3)], 1)

    def advance(self, frame: Tensor, inner: list[Tensor]) -> list[Tensor]:
        """Next states of both."""
        h, weighted = inner
        gates = functional.linear(weighted, self.weight * self.core.weight_hh_l0, self.core.bias_hh_l0)
        return [*super().advance(frame, [h]), *self.cell(frame, gates, [weighted])]

    def shown(self, inner: list[Tensor]) -> Tensor:
        """Both."""
        return torch.cat(inner, 1)

    def multiplications(self) -> int:
        """Multiply-adds per frame: the input's share is computed once."""
        return super().multiplications() + self.core.weight_hh_l0.numel()

    def _weighted(self) -> dict[str, Tensor]:
        named = self.core.named_parameters()
        return {name: self.weight * value if name.startswith("weight_hh") else value for name, value in named}


class WeightedGRUHead(PoolingHead):
    """Clips by the mean over frames of the memory as trained; frames by the weighted one, but for `steady` classes.

    The ring holds ``[1, p, q]``: whether a frame was heard, its probabilities by the one and by the other memory.

    Parameters
    ----------
    classify
        One dense layer for both, of half the embedding.
    steady
        Indices of the classes that sound long, whose frames are heard by the memory as trained.
    """

    def __init__(self, classify: nn.Linear, window: int, steady: Sequence[int] = ()) -> None:
        super().__init__(classify, window)
        keeps = torch.zeros(1, self.classes, 1, 1, dtype=torch.bool)
        keeps[:, list(steady)] = True
        self.register_buffer("keeps", keeps, persistent=False)

    @property
    def embedding(self) -> int:
        """Channels of the input."""
        return 2 * self.classify.in_features

    @property
    def width(self) -> int:
        """A one and two probabilities per class."""
        return 1 + 2 * self.classes

    def ring(self, x: Tensor) -> Tensor:
        """Ones, probabilities by both."""
        trained, weighted = (torch.sigmoid(dense(self.classify, half)) for half in x.chunk(2, 1))
        return torch.cat([torch.ones_like(x[:, :1]), trained, torch.where(self.keeps, trained, weighted)], 1)

    def own(self, ring: Tensor) -> Tensor:
        """By the weighted memory."""
        return ring[:, 1 + self.classes :]

    def pool(self, seen: Tensor) -> Tensor:
        """Mean over what was heard by the memory as trained."""
        means = functional.avg_pool2d(seen[:, : 1 + self.classes], (self.window, 1), 1)
        return means[:, 1:] / means[:, :1].clamp_min(TINY)
