"""A GRU of its own for every map, each hearing the bands of that map alone (card 21).

maps      0   [T, F] ── GRU ── h₀[T]
          1   [T, F] ── GRU ── h₁[T]         what they have heard at the end, side by side
          …                     …

What they hear of the maps is one convolution in as many groups; what they keep is a matrix for each, of all at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.layers.conv import Conv
from training.layers.segments import Whole


class GRUBank(Whole):
    """``[N, M, T, F]`` to ``[N, M · hidden, 1, 1]``; channel ``m · hidden + k`` is unit k of map m.

    Weights and biases of each are those of `torch.nn.GRU`, in its order of gates: reset, update, new.
    """

    def __init__(self, maps: int, bands: int, hidden: int) -> None:
        super().__init__()
        self.maps, self.hidden = maps, hidden
        self.heard = Conv((maps * bands, 3 * maps * hidden), groups=maps, norm=False, activation="none")
        self.weight = nn.Parameter(torch.empty(maps, hidden, 3 * hidden))
        self.bias = nn.Parameter(torch.empty(maps, 1, 3 * hidden))
        for value in self.parameters():
            nn.init.uniform_(value, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        batch, maps, time, bands = x.shape
        heard = self.heard(x.transpose(2, 3).reshape(batch, maps * bands, time, 1))
        frames = heard.reshape(batch, maps, 3 * self.hidden, time).transpose(2, 3)
        h = x.new_zeros(batch, self.maps, 1, self.hidden)
        for frame in frames.split(1, 2):
            (ir, iz, i_new), (hr, hz, h_new) = frame.chunk(3, 3), (h @ self.weight + self.bias).chunk(3, 3)
            reset, update = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            new = torch.tanh(i_new + reset * h_new)
            h = new + update * (h - new)
        return h.reshape(batch, self.maps * self.hidden, 1, 1)
