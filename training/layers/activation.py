"""Functions of one number, and two that join the halves of the channels: gated linear unit and product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from training.layers.streaming import StreamLayer, Timeline

ActivationName = Literal[
    "none", "relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hard_swish", "sigmoid", "tanh", "exp"
]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "hard_swish": functional.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
}


class Activation(StreamLayer):
    """An elementwise function by name."""

    def __init__(self, name: ActivationName) -> None:
        super().__init__()
        if name not in ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(get_args(ActivationName))}, got {name!r}")
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return ACTIVATIONS[self.name](x)


class GLU(StreamLayer):
    """Gated linear unit: the first half of the channels times the sigmoid of the second (Dauphin et al. 2017)."""

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip, half the channels."""
        first, second = x.chunk(2, 1)
        return first * torch.sigmoid(second)  # `glu` loses the order of channels on its way back: slow batch norms

    def plan(self, timeline: Timeline) -> Timeline:
        """Halve the channels."""
        if timeline.channels % 2:
            raise self.refuse(f"expected an even number of channels, got {timeline.channels}")
        return replace(timeline, channels=timeline.channels // 2)

    def multiplications(self) -> int:
        """One per output."""
        return self.after.channels * self.after.bands


class Product(GLU):
    """The first half of the channels times the second: how WHEN joins the two directions of a GRU (card 24)."""

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip, half the channels."""
        first, second = x.chunk(2, 1)
        return first * second
