"""Sounds told by their boundaries: symbols that begin and end them, and what sounds in between (card 15).

symbol     start of 0, end of 0, start of 1, end of 1, …, blank          one softmax per frame
           ─────────∧──────────────────∧───────                          spikes near the boundaries, else blank
frame      ▁▁▁▁▁▁▁▁▁▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▁▁▁▁▁▁▁                          on after a start, off after an end
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.heads import PoolingHead, Scores, dense, rows
from training.layers.streaming import Clock, State, Timeline, edges


class BoundaryHead(PoolingHead):
    """Boundary symbols by one dense layer and a softmax; classes are on from a start to the next end.

    With s and e the probabilities of a class's start and end in a frame, it is on with
    ``on[t] = on[t − 1] · (1 − e) + (1 − on[t − 1]) · s``. A clip has a class as far as any frame of the window has one
    of its boundaries.

    Parameters
    ----------
    classify
        Embedding to 2 C + 1 symbols: 2k where a sound of class k begins, 2k + 1 where it ends, the last for none.
    """

    def __init__(self, classify: nn.Linear, window: int) -> None:
        super().__init__(classify, window)
        if classify.out_features % 2 == 0:
            raise ValueError(f"BoundaryHead: expected an odd number of symbols, got {classify.out_features}")

    @property
    def classes(self) -> int:
        """Channels of the output."""
        return self.classify.out_features // 2

    @property
    def width(self) -> int:
        """Probabilities of start and end of every class."""
        return 2 * self.classes

    def forward(self, x: Tensor) -> Scores:
        """Whole clip."""
        symbols = torch.softmax(dense(self.classify, x), 1)
        clip = super().forward(x).clip
        on = self._on(symbols, symbols.new_zeros(x.shape[0], self.classes), None)
        return Scores(rows(on), clip, rows(symbols))

    def plan(self, timeline: Timeline) -> Timeline:
        """Nothing is on before frame 0."""
        after = super().plan(timeline)
        self.clocked = timeline.delay > 0
        return after

    def init_state(self, batch: int) -> State:
        """Zeros: nothing was heard, nothing is on."""
        return super().init_state(batch) | {f"{self.path}.on": torch.zeros(batch, 1, 1, self.classes)}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Scores, State]:
        """Next frames."""
        scores, after = super().step(x, state, clock)
        heard = None
        if self.clocked:
            known, _ = edges(self.timeline, 0, x.shape[2])
            heard = (clock.pos + known > 0).to(x.dtype)
        on = self._on(self.ring(x), state[f"{self.path}.on"].flatten(1), heard)
        after[f"{self.path}.on"] = on[:, :, -1:].permute(0, 2, 3, 1)
        return Scores(rows(on), scores.clip), after

    def ring(self, x: Tensor) -> Tensor:
        """Probabilities of all symbols but the blank."""
        return torch.softmax(dense(self.classify, x), 1)[:, :-1]

    def own(self, ring: Tensor) -> Tensor:
        """The likelier of start and end."""
        return torch.maximum(ring[:, 0::2], ring[:, 1::2])

    def pool(self, seen: Tensor) -> Tensor:
        """The likeliest boundary of the window."""
        return functional.max_pool2d(self.own(seen), (self.window, 1), 1)

    def _on(self, symbols: Tensor, on: Tensor, heard: Tensor | None) -> Tensor:
        """Whether classes are on, ``[B, C, T, 1]``; nothing was on before frame 0."""
        starts, ends = symbols[:, 0 : self.width : 2, :, 0], symbols[:, 1 : self.width : 2, :, 0]
        out = []
        for t in range(symbols.shape[2]):
            on = on if heard is None else on * heard[t]
            on = on * (1 - ends[:, :, t]) + (1 - on) * starts[:, :, t]
            out.append(on)
        return torch.stack(out, 2).unsqueeze(3)
