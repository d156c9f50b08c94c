"""A GRU of its own for every map, each hearing the bands of that map alone (card 21).

maps      0   [T, F] ── GRU ── h₀[T]
          1   [T, F] ── GRU ── h₁[T]         what they have heard at the end, side by side
          …                     …

Computed as one GRU whose matrices are block-diagonal: convolutions of one frame in as many groups as there are maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.layers.conv import Conv
from training.layers.segments import Whole


class GRUBank(Whole):
    """``[N, M, T, F]`` to ``[N, M · hidden, 1, 1]``; channel ``m · hidden + k`` is unit k of map m.

    Each is `torch.nn.GRU` with its gates apart: reset, update, new. So no step of the loop reshapes anything, and the
    unrolled graph stays small.
    """

    def __init__(self, maps: int, bands: int, hidden: int) -> None:
        super().__init__()
        self.maps, self.hidden = maps, hidden
        self.heard, self.kept = (
            nn.ModuleList(
                Conv((maps * size, maps * hidden), groups=maps, norm=False, activation="none") for _ in range(3)
            )
            for size in (bands, hidden)
        )
        for value in self.parameters():
            nn.init.uniform_(value, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        batch, maps, time, bands = x.shape
        frames = x.transpose(2, 3).reshape(batch, maps * bands, time, 1)
        heard = [gate(frames).split(1, 2) for gate in self.heard]
        h = x.new_zeros(batch, self.maps * self.hidden, 1, 1)
        for i_reset, i_update, i_new in zip(*heard, strict=True):
            h_reset, h_update, h_new = (gate(h) for gate in self.kept)
            reset, update = torch.sigmoid(i_reset + h_reset), torch.sigmoid(i_update + h_update)
            new = torch.tanh(i_new + reset * h_new)
            h = new + update * (h - new)
        return h
