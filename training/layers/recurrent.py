"""GRU and LSTM over time. A step spells the cell out, so that every exporter and runtime computes the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers.streaming import Clock, State, StreamLayer, Timeline, edges


class Recurrent(StreamLayer, ABC):
    """Base: one recurrent layer over the frames of one band, ``[B, C, T, 1]`` to ``[B, hidden, T, 1]``.

    The hidden state enters frame 0 as zeros: what a layer before it gave while it was still waiting is forgotten there.
    """

    states: tuple[str, ...] = ("h",)

    def __init__(self, core: nn.GRU | nn.LSTM) -> None:
        super().__init__()
        self.core = core

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        y, _ = self.core(x.squeeze(3).transpose(1, 2))
        return y.transpose(1, 2).unsqueeze(3)

    def plan(self, timeline: Timeline) -> Timeline:
        """Refuse the two-sided one, and more than one band."""
        core = self.core
        if core.bidirectional:
            raise self.refuse("runs backwards from the clip's end, which a stream never has; export in window mode")
        if timeline.bands != 1 or timeline.channels != core.input_size:
            got = f"{timeline.channels} channels of {timeline.bands} bands"
            raise self.refuse(f"expected {core.input_size} channels of one band, got {got}: put BandsToChannels before")
        self.clocked = timeline.delay > 0
        return replace(timeline, channels=self.channels, past=float("inf"))

    @property
    def channels(self) -> int:
        """Channels of the output of a one-sided layer."""
        return self.core.hidden_size

    def init_state(self, batch: int) -> State:
        """Zeros ``[B, 1, 1, hidden]``."""
        return {f"{self.path}.{name}": torch.zeros(batch, 1, 1, self.core.hidden_size) for name in self.states}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:
        """Next frames, one after another."""
        core, count = self.core, x.shape[2]
        inner = [state[f"{self.path}.{name}"].flatten(1) for name in self.states]
        known, _ = edges(self.timeline, 0, count)
        frames = functional.linear(x.squeeze(3).transpose(1, 2), core.weight_ih_l0, core.bias_ih_l0)
        outputs = []
        for t in range(count):
            if self.clocked:
                heard = (clock.pos + known[t] > 0).to(x.dtype)
                inner = [value * heard for value in inner]
            inner = self.advance(frames[:, t], inner)
            outputs.append(self.shown(inner))
        y = torch.stack(outputs, 2).unsqueeze(3)
        return y, {f"{self.path}.{n}": v[:, None, None] for n, v in zip(self.states, inner, strict=True)}

    def advance(self, frame: Tensor, inner: list[Tensor]) -> list[Tensor]:
        """Next states from the input's share of the gates."""
        return self.cell(frame, functional.linear(inner[0], self.core.weight_hh_l0, self.core.bias_hh_l0), inner)

    def shown(self, inner: list[Tensor]) -> Tensor:
        """Output ``[B, channels]`` of the states."""
        return inner[0]

    @abstractmethod
    def cell(self, frame: Tensor, gates: Tensor, inner: list[Tensor]) -> list[Tensor]:
        """Next states from the input's and the hidden state's share of the gates, ``[B, gates · hidden]``."""

    def multiplications(self) -> int:
        """Multiply-adds per frame."""
        return self.core.weight_ih_l0.numel() + self.core.weight_hh_l0.numel()


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014).

    With r, z, n the reset, update and new gates:  h' = n + z · (h − n).
    """

    def __init__(self, size: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__(nn.GRU(size, hidden, batch_first=True, bidirectional=bidirectional))

    def cell(self, frame: Tensor, gates: Tensor, inner: list[Tensor]) -> list[Tensor]:
        """One frame."""
        (h,) = inner
        (ir, iz, i_new), (hr, hz, h_new) = frame.chunk(3, 1), gates.chunk(3, 1)
        reset, update = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
        new = torch.tanh(i_new + reset * h_new)
        return [new + update * (h - new)]


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997): c' = f · c + i · g, h' = o · tanh(c')."""

    states = ("h", "c")

    def __init__(self, size: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__(nn.LSTM(size, hidden, batch_first=True, bidirectional=bidirectional))

    def cell(self, frame: Tensor, gates: Tensor, inner: list[Tensor]) -> list[Tensor]:
        """One frame."""
        i, f, g, o = (frame + gates).chunk(4, 1)
        c = torch.sigmoid(f) * inner[1] + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(c), c]
