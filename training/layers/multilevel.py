"""Attention behind hidden layers of several depths, joined by a dense layer (Yu et al. 2018; cards 37, C and 04).

x ─▶ dense, norm, ReLU ─┬▶ dense, norm, ReLU ─┬▶ …
                   attention             attention          each pools probabilities over the window
                        └──────────┬──────────┘
                                classify                    with one tap there is nothing to join, and no such layer
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.heads import Weight, WeightedHead, attention, dense


class MultiLevelAttentionHead(WeightedHead):
    """Class-wise attention on chosen hidden layers.

    Parameters
    ----------
    embedding, hidden, classes
        Channels of the input, of each hidden layer, of the output.
    taps
        Hidden layers that are listened to, from 1, ascending; there are as many layers as the last one says.
    window
        Frames.
    weight
        What frames weigh, see `training.layers.heads.attention`.
    dropout
        Behind each hidden layer.
    exclusive
        Whether a clip has one class: probabilities by softmax, of each level and in the end, else by sigmoid.

    Raises
    ------
    ValueError
        The taps are not ascending layers.
    """

    def __init__(
        self,
        embedding: int,
        hidden: int,
        taps: Sequence[int],
        classes: int,
        window: int,
        weight: Weight = "time",
        dropout: float = 0.0,
        exclusive: bool = False,
    ) -> None:
        if not taps or list(taps) != sorted(set(taps)) or taps[0] < 1:
            raise ValueError(f"MultiLevelAttentionHead: expected ascending layers from 1 as taps, got {list(taps)}")
        joint = nn.Linear(len(taps) * classes, classes) if len(taps) > 1 else nn.Identity()
        super().__init__(joint, window)
        sizes = [embedding, *[hidden] * taps[-1]]
        self.taps, self.weight, self.exclusive = tuple(taps), weight, exclusive
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm2d(hidden) for _ in self.hidden)
        self.drop = nn.Dropout(dropout)
        self.value = nn.ModuleList(nn.Linear(hidden, classes) for _ in taps)
        self.attend = nn.ModuleList(nn.Linear(hidden, classes) for _ in taps)

    @property
    def embedding(self) -> int:
        """Channels of the input."""
        return self.hidden[0].in_features

    @property
    def classes(self) -> int:
        """Channels of the output."""
        return self.value[0].out_features

    @property
    def width(self) -> int:
        """Weights and weighted probabilities of all levels."""
        return 2 * self.classes * len(self.taps)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All levels, one behind another in the channels."""
        weights, values = [], []
        for depth, (hidden, norm) in enumerate(zip(self.hidden, self.norms, strict=True), start=1):
            x = self.drop(functional.relu(norm(dense(hidden, x))))
            if depth in self.taps:
                level = self.taps.index(depth)
                weights.append(attention(self.attend[level], x, self.weight))
                values.append(self.squash(dense(self.value[level], x)))
        return torch.cat(weights, 1), torch.cat(values, 1)

    def finish(self, pooled: Tensor) -> Tensor:
        """Join the levels, where there are several."""
        return self.squash(dense(self.classify, pooled)) if len(self.taps) > 1 else pooled

    def squash(self, logits: Tensor) -> Tensor:
        """Probabilities of logits ``[B, C, T, 1]``."""
        return torch.softmax(logits, 1) if self.exclusive else torch.sigmoid(logits)
