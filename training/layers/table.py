"""What the layers of a network that streams cost, keep and wait for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from training.layers.segments import Segments
from training.layers.streaming import Branch, Delay, Residual, Sequential, StreamLayer


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes
    ----------
    rate, delay, ahead
        Input frames per frame, frames at this rate by which the output runs late, input frames of lookahead so far.
    states
        Shapes of its states.
    cost
        Multiply-adds per second of sound.
    """

    path: str
    kind: str
    rate: int
    delay: int
    ahead: int
    states: list[list[int]]
    cost: float


def layers(body: nn.Module, head: nn.Module, shapes: Mapping[str, list[int]], frame_rate: float) -> list[Row]:
    """All layers of a bound network that are not made of others, in order; what works on segments is one layer.

    Parameters
    ----------
    shapes
        Of the states, by name.
    frame_rate
        Input frames per second.
    """
    inside = {part for m in body.modules() if isinstance(m, Segments) for part in m.body.modules()}
    return [
        _row(module, shapes, frame_rate)
        for root in (body, head)
        for module in root.modules()
        if isinstance(module, StreamLayer) and not isinstance(module, Sequential | Residual | Branch)
        if module not in inside
        if not isinstance(module, Delay) or module.frames
    ]


def _row(layer: Any, shapes: Mapping[str, list[int]], frame_rate: float) -> Row:
    prefix, at = layer.path, layer.after
    states = [shape for name, shape in shapes.items() if name == prefix or name.startswith(f"{prefix}.")]
    cost = layer.multiplications() * frame_rate / at.rate
    return Row(prefix, type(layer).__name__, at.rate, at.delay, at.ahead, states, cost)
