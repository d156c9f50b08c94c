"""The streaming contract: one function, computed on a whole clip or in steps with explicit state.

    forward   x[0 … T)                          ──▶ y[0 … T)
    step      x[0 … c)   state 0                ──▶ y[0 … c)   state 1
              x[c … 2c)  state 1                ──▶ y[c … 2c)  state 2        the same y

Signals are ``[B, C, T, F]``: batch, channels, time, frequency. State is a flat dict of tensors ``[B, past, F, C]``,
named by module path; the zero state *is* the padding that `forward` puts before a clip.

`bind` plans once how every signal sits on the input clock. All layers here are causal (delay 0); a layer with lookahead
would return a later timeline, and `Residual` would delay its skip by the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

State = dict[str, Tensor]


@dataclass(frozen=True)
class Timeline:
    """How a signal sits on the input clock.

    Attributes
    ----------
    rate
        Input frames per frame of this signal.
    delay
        Frames at this rate by which it runs late.
    """

    rate: int = 1
    delay: int = 0


class StreamLayer(nn.Module):
    """A layer that can be computed in steps; without state it is its own step."""

    path: str = ""

    def bind(self, timeline: Timeline) -> Timeline:
        """Plan once: the output's timeline for an input's; raises ValueError, naming the layer, if it cannot stream."""
        return timeline

    def init_state(self, batch: int) -> State:  # noqa: ARG002 - layers with state need it
        """Return the state before the first frame."""
        return {}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: ARG002 - layers with state need it
        """Compute the next frames; returns them and the entries of the state that this layer owns."""
        return self(x), {}


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

    def bind(self, timeline: Timeline) -> Timeline:
        """Pass the timeline through all layers."""
        for layer in self.layers:
            timeline = layer.bind(timeline)
        return timeline

    def init_state(self, batch: int) -> State:
        """Return all layers' states."""
        return {name: value for layer in self.layers for name, value in layer.init_state(batch).items()}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Step every layer."""
        after: State = {}
        for layer in self.layers:
            x, new = layer.step(x, state)
            after |= new
        return x, after


class Residual(StreamLayer):
    """x + body(x)."""

    def __init__(self, body: StreamLayer) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return x + self.body(x)

    def bind(self, timeline: Timeline) -> Timeline:
        """Refuse a body that changes the timeline, because the skip is not delayed here."""
        after = self.body.bind(timeline)
        if after != timeline:
            raise ValueError(f"layer `{self.path}`: expected a body that keeps {timeline}, got {after}")
        return after

    def init_state(self, batch: int) -> State:
        """Return the body's state."""
        return self.body.init_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Step the body."""
        y, after = self.body.step(x, state)
        return x + y, after


class Dropout(StreamLayer):
    """Whole channels dropped in training, identity otherwise."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(rate)

    def forward(self, x: Tensor) -> Tensor:
        """Whole clip."""
        return self.drop(x)


def bind(root: StreamLayer) -> StreamLayer:
    """Name every layer by its module path and plan the timelines; returns `root`."""
    for path, module in root.named_modules():
        if isinstance(module, StreamLayer):
            module.path = path
    root.bind(Timeline())
    return root
