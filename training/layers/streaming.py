"""The streaming contract: one function, computed on a whole clip or in steps with explicit state.

    forward   x[0 … T)                          ──▶ y[0 … T)
    step      x[0 … c)   state 0                ──▶ y[−d … c − d)    state 1
              x[c … 2c)  state 1                ──▶ y[c − d … 2c − d)  state 2     the same y, `d` frames late

Signals are ``[B, C, T, F]``: batch, channels, time, frequency bands. State is a flat dict of tensors
``[B, past, F, C]``, named by module path; the zero state *is* the padding that `forward` puts before a clip.

`bind` plans once how every signal sits on the input clock. A layer that looks ahead waits; what runs beside it is
delayed by as much; whoever would see a frame that no clip has, before its first or behind its last, masks it:

    index      −2 −1 | 0  1  2  3  4  5 | 6  7        `0 <= index < end`, else the padding value
    frames      pad  |     the clip     | pad

Dropping the first outputs would not be enough: a recurrent layer remembers what it heard before frame 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
FOREVER = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Timeline:
    """How a signal sits on the input clock, and what one of its frames holds.

    Attributes
    ----------
    rate
        Input frames per frame of this signal.
    delay
        Frames at this rate by which it runs late.
    grain
        Input frames in which it comes: a clip of N input frames has ``N // grain · (grain / rate)`` frames here, and a
        step takes a multiple of it.
    past, ahead
        Input frames before its own first and behind its own last one that a frame depends on.
    channels, bands
        Of one frame.
    """

    rate: int = 1
    delay: int = 0
    grain: int = 1
    past: float = 0
    ahead: int = 0
    channels: int = 1
    bands: int = 1


class Clock(NamedTuple):
    """Input frames fed before this step, and in the whole clip (`FOREVER` until that is known); int64 ``[1]``."""

    pos: Tensor
    end: Tensor

    @staticmethod
    def at(pos: int = 0, end: int = FOREVER) -> Clock:
        """Clock of plain numbers."""
        return Clock(torch.tensor([pos]), torch.tensor([end]))


class StreamLayer(nn.Module):
    """A layer that can be computed in steps; without state it is its own step.

    Attributes
    ----------
    path
        Module path, from `bind` on the root.
    timeline, after
        Of the input and the output, from `bind`.
    clocked
        The layer's step reads the clock.
    """

    path: str = ""
    timeline = after = Timeline()
    clocked: bool = False

    def bind(self, timeline: Timeline) -> Timeline:
        """Plan once: the output's timeline for an input's.

        Raises
        ------
        ValueError
            It cannot stream: the layer's name and the reason.
        """
        self.timeline, self.after = timeline, self.plan(timeline)
        return self.after

    def plan(self, timeline: Timeline) -> Timeline:
        """Timeline of the output; a layer says here what it does to time, channels and bands, or `refuse`s."""
        return timeline

    def init_state(self, batch: int) -> State:  # noqa: ARG002 - layers with state need it
        """Return the state before the first frame."""
        return {}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:  # noqa: ARG002 - others need them
        """Compute the next frames; returns them and the entries of the state that this layer owns."""
        return self(x), {}

    def multiplications(self) -> int:
        """Multiply-adds per frame of the output."""
        return 0

    def refuse(self, reason: str) -> ValueError:
        """Return the error that names this layer."""
        return ValueError(f"layer `{self.path}` ({type(self).__name__}): {reason}")


class Sequential(StreamLayer):
    """Layers one behind another."""

    def __init__(self, *layers: StreamLayer) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        for layer in self.layers:
            x = layer(x)
        return x

    def plan(self, timeline: Timeline) -> Timeline:
        """Pass the timeline through all layers."""
        for layer in self.layers:
            timeline = bound(layer, timeline, self)
        return timeline

    def init_state(self, batch: int) -> State:
        """Return all layers' states."""
        return {name: value for layer in self.layers for name, value in layer.init_state(batch).items()}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:
        """Step every layer."""
        after: State = {}
        for layer in self.layers:
            x, new = layer.step(x, state, clock)
            after |= new
        return x, after


class Delay(StreamLayer):
    """Holds a signal back by `frames`, so that it meets another one that runs late; nothing on a whole clip."""

    frames: int = 0

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip: the same frames."""
        return x

    def plan(self, timeline: Timeline) -> Timeline:
        """Add the delay."""
        return replace(timeline, delay=timeline.delay + self.frames)

    def init_state(self, batch: int) -> State:
        """Zeros ``[B, frames, F, C]``."""
        at = self.timeline
        return {self.path: torch.zeros(batch, self.frames, at.bands, at.channels)} if self.frames else {}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:  # noqa: ARG002 - the contract's
        """Give what came `frames` frames ago."""
        if not self.frames:
            return x, {}
        seen = torch.cat([state[self.path], x.permute(0, 2, 3, 1)], 1)
        count = x.shape[2]
        return seen[:, :count].permute(0, 3, 1, 2), {self.path: seen[:, count:]}


class Branch(StreamLayer):
    """Layers side by side on the same input, delayed to the latest of them and joined.

        ┌─ body 0 ─ delay ─┐
    x ──┼─ body 1 ─ delay ─┼── concatenated over channels, added, or multiplied
        └─ body 2 ─ delay ─┘
    """

    def __init__(self, *bodies: StreamLayer, join: Literal["concatenate", "add", "multiply"] = "concatenate") -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.delays = nn.ModuleList(Delay() for _ in bodies)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip; a branch that gives fewer frames at the clip's end shortens the others."""
        signals = [body(x) for body in self.bodies]
        count = min(y.shape[2] for y in signals)
        return self._joined([y[:, :, :count] for y in signals])

    def plan(self, timeline: Timeline) -> Timeline:
        """Align the branches, or refuse those that cannot meet."""
        ends = [bound(body, timeline, self) for body in self.bodies]
        latest = max(end.delay for end in ends)
        for end, delay in zip(ends, self.delays, strict=True):
            delay.frames = latest - end.delay
            delay.bind(end)
        return self._meet([delay.after for delay in self.delays])

    def init_state(self, batch: int) -> State:
        """Return all branches' and delays' states."""
        layers = (*self.bodies, *self.delays)
        return {name: value for layer in layers for name, value in layer.init_state(batch).items()}

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:
        """Step every branch."""
        after: State = {}
        signals = []
        for body, delay in zip(self.bodies, self.delays, strict=True):
            y, new = body.step(x, state, clock)
            y, held = delay.step(y, state, clock)
            after |= new | held
            signals.append(y)
        return self._joined(signals), after

    def _joined(self, signals: list[Tensor]) -> Tensor:
        if self.join == "concatenate":
            return torch.cat(signals, 1)
        y = signals[0]
        for other in signals[1:]:
            y = y + other if self.join == "add" else y * other
        return y

    def _meet(self, ends: list[Timeline]) -> Timeline:
        coarsest = max(ends, key=lambda end: end.grain)
        if len({end.rate for end in ends}) > 1 or any(coarsest.grain % end.grain for end in ends):
            raise self.refuse(f"expected branches of one rate, got {[(e.rate, e.grain) for e in ends]} (rate, grain)")
        channels = [end.channels for end in ends]
        if len({end.bands for end in ends}) > 1 or (self.join != "concatenate" and len(set(channels)) > 1):
            shapes = [(e.channels, e.bands) for e in ends]
            raise self.refuse(f"expected branches that can be joined, got (channels, bands) {shapes}")
        return replace(
            coarsest,
            past=max(end.past for end in ends),
            ahead=max(end.ahead for end in ends),
            channels=sum(channels) if self.join == "concatenate" else channels[0],
        )


class Identity(StreamLayer):
    """The input itself."""

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return x


class Residual(StreamLayer):
    """x + body(x), where `x` waits for a body that looks ahead."""

    def __init__(self, body: StreamLayer) -> None:
        super().__init__()
        self.body = body
        self.skip = Delay()

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        y = self.body(x)
        return x[:, :, : y.shape[2]] + y

    def plan(self, timeline: Timeline) -> Timeline:
        """Delay the skip by as much as the body runs late; refuse a body that changes rate or shape."""
        end = bound(self.body, timeline, self)
        shape = (timeline.rate, timeline.channels, timeline.bands)
        if (end.rate, end.channels, end.bands) != shape or end.grain % timeline.grain:
            got = (end.rate, end.channels, end.bands)
            raise self.refuse(f"expected a body that keeps (rate, channels, bands) {shape}, got {got}")
        self.skip.frames = end.delay - timeline.delay
        self.skip.bind(timeline)
        return end

    def init_state(self, batch: int) -> State:
        """Return the states of the body and of the skip."""
        return self.body.init_state(batch) | self.skip.init_state(batch)

    def step(self, x: Tensor, state: State, clock: Clock) -> tuple[Tensor, State]:
        """Step the body."""
        y, after = self.body.step(x, state, clock)
        x, held = self.skip.step(x, state, clock)
        return x + y, after | held


def valid(timeline: Timeline, clock: Clock, first: int, count: int, begin: bool = True, end: bool = True) -> Tensor:
    """Whether frames belong to the clip, bool ``[1, 1, count, 1]``.

    Parameters
    ----------
    timeline
        Of the signal.
    first
        Frame to begin with, counted from the first new one of this step; negative for frames in the state.
    begin, end
        Which of ``0 <= index`` and ``index < end`` are asked.
    """
    known, whole = edges(timeline, first, count)
    ok = torch.ones(count, dtype=torch.bool)
    if begin:
        ok = ok & (clock.pos + known >= 0)
    if end:
        ok = ok & (clock.pos + whole <= clock.end)
    return ok.reshape(1, 1, count, 1)


def edges(timeline: Timeline, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Return what to add to the clock's position: ``≥ 0`` says that a frame is not before 0, ``≤ end`` not behind.

    A step begins at a multiple of the grain, so divisions can be done here, once, and not in the graph::

        pos / rate + k ≥ 0                              ⟺  pos + k · rate ≥ 0
        pos / rate + k < end // grain · (grain / rate)  ⟺  pos + (k // (grain / rate) + 1) · grain ≤ end
    """
    k = torch.arange(first, first + count) - timeline.delay
    per_grain = timeline.grain // timeline.rate
    return k * timeline.rate, (torch.div(k, per_grain, rounding_mode="floor") + 1) * timeline.grain


def bound(layer: nn.Module, timeline: Timeline, parent: StreamLayer) -> Timeline:
    """Bind an inner layer; refuse one that knows no streaming."""
    if not isinstance(layer, StreamLayer):
        raise parent.refuse(f"expected layers of training.layers inside, got {type(layer).__name__}")
    return layer.bind(timeline)


def bind(root: StreamLayer, bands: int = 1, channels: int = 1) -> StreamLayer:
    """Name every layer by its module path and plan the timelines for an input of `bands`; returns `root`.

    Raises
    ------
    ValueError
        A layer cannot stream: its name and the reason.
    """
    for path, module in root.named_modules():
        if isinstance(module, StreamLayer):
            module.path = path
    root.bind(Timeline(channels=channels, bands=bands))
    return root


def chunk(*roots: StreamLayer) -> int:
    """Smallest number of input frames that a step may take: the least common multiple of all grains."""
    layers = [m for root in roots for m in root.modules() if isinstance(m, StreamLayer)]
    return math.lcm(*(layer.after.grain for layer in layers), *(layer.timeline.grain for layer in layers))


def clocked(*roots: StreamLayer) -> bool:
    """Whether any layer's step reads the clock."""
    return any(m.clocked for root in roots for m in root.modules() if isinstance(m, StreamLayer))
