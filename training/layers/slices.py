"""A stack of slices of the same length: what a 3-D convolution sees at one place of neighbouring slices (card 21).

frames      |··· slice 0 ···|··· slice 1 ···|··· slice 2 ···|          Slices: one under another, in the batch
                                    │
stacked      0 and nothing before   0 1 2   2 and nothing behind       Neighbours: their channels side by side
                                    │
            a 2-D convolution of them has the weights of a 3-D one, and computes the same

Every runtime and quantiser knows 2-D convolutions; few know others.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from training.layers.segments import Whole


class Slices(Whole):
    """``[B, C, S · L, F]`` to ``[B · S, C, L, F]``, slice after slice of each."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Whole stack.

        Raises
        ------
        ValueError
            The slices are not of the same length.
        """
        batch, channels, frames, bands = x.shape
        if frames % self.count:
            raise ValueError(f"Slices: expected a multiple of {self.count} frames, got {frames}")
        apart = x.reshape(batch, channels, self.count, frames // self.count, bands).transpose(1, 2)
        return apart.reshape(batch * self.count, channels, frames // self.count, bands)


class Neighbours(Whole):
    """``[B · S, C, L, F]`` to ``[B · S, 3 · C, L, F]``: the slice before, itself, the one behind; zeros at the ends."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Whole stack."""
        stack = x.reshape(-1, self.count, *x.shape[1:])
        padded = functional.pad(stack, (0, 0, 0, 0, 0, 0, 1, 1))
        seen = torch.cat([padded[:, k : k + self.count] for k in range(3)], 2)
        return seen.reshape(x.shape[0], 3 * x.shape[1], *x.shape[2:])


class SliceMaxPool(Whole):
    """Largest value of each `size` slices, ``[B · S, …]`` to ``[B · ⌈S / size⌉, …]``: a rest at the end is a group."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.count, self.size = count, size

    def forward(self, x: Tensor) -> Tensor:
        """Whole stack."""
        stack = x.reshape(-1, self.count, *x.shape[1:])
        groups = [stack[:, k : k + self.size].split(1, 1) for k in range(0, self.count, self.size)]
        return torch.cat([reduce(torch.maximum, group) for group in groups], 1).flatten(0, 1)
