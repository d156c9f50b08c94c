"""The network as one graph: what every exported file computes, a step with explicit state or a whole window.

features  [1, chunk, F]  ─┐            ┌─▶ scores     [1, rows, C]   probabilities
clock.pos [1] int64       │            ├─▶ clip       [1, rows, C]   of the head's window, where it pools
clock.end [1] int64       ├──▶ step ───┼─▶ embedding  [1, rows, D]
past.X    [1, past, F, C] ┘            └─▶ next.X     [1, past, F, C]

The clock is there only where a layer looks ahead; a causal network needs none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.layers.conv import Conv
from training.layers.heads import Head, PoolingHead, rows
from training.layers.network import plan
from training.layers.norm import BatchNorm
from training.layers.streaming import FOREVER, Clock, Identity, Sequential, StreamLayer, chunk, clocked

Float32 = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[Any]]
StepFunction = Callable[[Tensors], Mapping[str, npt.NDArray[Any]]]
CLOCK = ("clock.pos", "clock.end")


class Streamable(Protocol):
    """What is exported: `training.layers.network.Network`, or a model with these names."""

    body: StreamLayer
    bands: int

    @property
    def head(self) -> Head:
        """From embeddings to probabilities."""


class Graph(nn.Module):
    """Base: a folded copy of a network, tensors in, tensors out, in the order of the names."""

    def __init__(self, model: Streamable, frames: int) -> None:
        super().__init__()
        if not all(hasattr(model, name) for name in ("body", "head", "bands")):
            raise ValueError(f"expected a training.layers.network.Network to export, got {type(model).__name__}")
        self.body = copy.deepcopy(model.body).eval().to(memory_format=torch.contiguous_format)
        self.head = copy.deepcopy(model.head).eval()
        self.bands, self.chunk = model.bands, frames
        self.shapes: dict[str, list[int]] = {}
        self.clocked = False
        for part in (self.body, self.head):
            fold(part)

    @property
    def pools(self) -> bool:
        """Whether there are clip scores."""
        return isinstance(self.head, PoolingHead)

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return ["features", *(CLOCK if self.clocked else ()), *(f"past.{name}" for name in self.shapes)]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        clip = ["clip"] if self.pools else []
        return ["scores", *clip, "embedding", *(f"next.{name}" for name in self.shapes)]

    def zeros(self) -> Tensors:
        """State before the first step, by input name."""
        return {f"past.{name}": np.zeros(shape, np.float32) for name, shape in self.shapes.items()}

    def feeds(self, frames: Float32, state: Tensors, pos: int = 0, end: int = FOREVER) -> Tensors:
        """Inputs of one step for frames ``[chunk, F]``."""
        clock = {name: np.array([value]) for name, value in zip(CLOCK, (pos, end), strict=True)}
        return {"features": np.ascontiguousarray(frames[None]), **(clock if self.clocked else {}), **state}

    def example(self) -> tuple[Tensor, ...]:
        """Inputs in the order of the names."""
        feeds = self.feeds(np.zeros((self.chunk, self.bands), np.float32), self.zeros())
        return tuple(torch.from_numpy(feeds[name]) for name in self.inputs)

    @torch.no_grad()
    def run(self, feeds: Tensors) -> Tensors:
        """Run on arrays by name."""
        outputs = self(*(torch.from_numpy(feeds[name]) for name in self.inputs))
        return {name: value.numpy() for name, value in zip(self.outputs, outputs, strict=True)}


class Step(Graph):
    """One step of `chunk` frames.

    Raises
    ------
    ValueError
        A layer cannot stream, or the chunk is no multiple of what the strides ask for.
    """

    def __init__(self, model: Streamable, frames: int = 0) -> None:
        super().__init__(model, frames)
        self.timeline = plan(self.body, self.head, self.bands)
        least = chunk(self.body, self.head)
        self.chunk = frames or least
        if self.chunk % least:
            raise ValueError(
                f"chunk: expected a multiple of the {least} frames that the time strides ask for, got {frames}"
            )
        self.clocked = clocked(self.body, self.head)
        states = self.body.init_state(1) | self.head.init_state(1)
        self.shapes = {name: list(value.shape) for name, value in states.items()}

    def forward(self, features: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Scores, clip scores, embedding, and the next states."""
        clock, past = (Clock(*inputs[:2]), inputs[2:]) if self.clocked else (Clock.at(), inputs)
        state = dict(zip(self.shapes, past, strict=True))
        embedding, after = self.body.step(features.unsqueeze(1), state, clock)
        scores, pooled = self.head.step(embedding, state, clock)
        after |= pooled
        shown = scores[:2] if self.pools else scores[:1]
        return *shown, rows(self.head.vector(embedding)), *(after[name] for name in self.shapes)


class Window(Graph):
    """A whole window of `chunk` frames, without state: for networks that cannot stream.

    Clip scores are those of the window's last frame, ``[1, C]``.
    """

    @property
    def rows(self) -> int:
        """Frame scores of a window."""
        return self(*self.example())[0].shape[1]

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Scores, clip scores, embedding."""
        embedding = self.body(features.unsqueeze(1))
        scores = self.head(embedding)
        shown = (scores.frame, scores.clip[:, -1]) if self.pools else (scores.frame,)
        return *shown, rows(self.head.vector(embedding))


class Streamed(NamedTuple):
    """What chained steps gave: scores and clip scores ``[T', C]``, the last states, and some steps' inputs."""

    scores: Float32
    clip: Float32 | None
    state: Tensors
    feeds: list[Tensors]


def stream(run: StepFunction, step: Step, frames: Float32, every: int = 0) -> Streamed:
    """Run frames ``[T, F]`` in chained steps as a runtime does, with a flush that feeds the last frame on and on.

    The inputs of one step in `every` are kept, none for 0.
    """
    at, size, total = step.timeline, step.chunk, len(frames)
    wanted = total // at.grain * (at.grain // at.rate)
    steps = max(1, -(-(wanted + at.delay) * at.rate // size))
    padded = np.concatenate([frames, np.repeat(frames[-1:], max(0, steps * size - total), 0)])
    state, scores, clips, feeds = step.zeros(), [], [], []
    for first in range(0, steps * size, size):
        feed = step.feeds(padded[first : first + size], state, first, FOREVER if first + size <= total else total)
        if every and not first // size % every:
            feeds.append(feed)
        outputs = run(feed)
        state = {f"past.{name}": np.array(outputs[f"next.{name}"]) for name in step.shapes}
        scores.append(np.array(outputs["scores"][0]))
        clips += [np.array(outputs["clip"][0])] if step.pools else []
    kept = slice(at.delay, at.delay + wanted)
    return Streamed(np.concatenate(scores)[kept], np.concatenate(clips)[kept] if clips else None, state, feeds)


def fold(body: nn.Module) -> None:
    """Put every batch norm behind a linear convolution into it, in place."""
    for module in list(body.modules()):
        if isinstance(module, Conv):
            module.fold()
    for module in list(body.modules()):
        if isinstance(module, Sequential):
            _fold_neighbours(module)


def _fold_neighbours(sequence: Sequential) -> None:
    for i in range(1, len(sequence.layers)):
        before, layer = sequence.layers[i - 1], sequence.layers[i]
        if isinstance(layer, BatchNorm) and isinstance(before, Conv) and before.activation == "none":
            before.absorb(layer.norm)
            sequence.layers[i] = Identity()
