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

    Weights and biases of each are those of `torch.nn.GRU`, in its order of gates: reset, update, new.
    """

    def __init__(self, maps: int, bands: int, hidden: int) -> None:
        super().__init__()
        self.maps, self.hidden = maps, hidden
        gates = 3 * maps * hidden
        self.heard = Conv((maps * bands, gates), groups=maps, norm=False, activation="none")
        self.kept = Conv((maps * hidden, gates), groups=maps, norm=False, activation="none")
        for value in self.parameters():
            nn.init.uniform_(value, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        batch, maps, time, bands = x.shape
        frames = self.heard(x.transpose(2, 3).reshape(batch, maps * bands, time, 1))
        h = x.new_zeros(batch, self.maps * self.hidden, 1, 1)
        for t in range(time):
            (ir, iz, i_new), (hr, hz, h_new) = self._gates(frames[:, :, t : t + 1]), self._gates(self.kept(h))
            reset, update = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            new = torch.tanh(i_new + reset * h_new)
            h = new + update * (h - new)
        return h

    def _gates(self, y: Tensor) -> tuple[Tensor, ...]:
        """Reset, update and new gates of all maps, each ``[N, M · hidden, 1, 1]``."""
        apart = y.reshape(-1, self.maps, 3, self.hidden).unbind(2)
        return tuple(gate.reshape(-1, self.maps * self.hidden, 1, 1) for gate in apart)
