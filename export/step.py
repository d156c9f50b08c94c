"""The network as one step with explicit state: what every exported file computes.

features [1, chunk, F]  ─┐            ┌─▶ scores     [1, chunk, C]   probabilities
past.X   [1, past, F, C] ─┴─▶ step ───┼─▶ embedding  [1, chunk, D]
                                      └─▶ next.X     [1, past, F, C]
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.layers.conv import CausalConv
from training.models.dscnn import DSCNN

Float32 = npt.NDArray[np.float32]
Tensors = dict[str, Float32]
StepFunction = Callable[[Tensors], Tensors]


class Step(nn.Module):
    """A folded copy of a network whose `forward` is one step: tensors in, tensors out, in the order of the names."""

    def __init__(self, model: DSCNN, chunk: int) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
        for layer in self.model.modules():
            if isinstance(layer, CausalConv):
                layer.fold()
        self.chunk = chunk
        self.shapes = {name: list(value.shape) for name, value in self.model.init_state(1).items()}

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return ["features", *(f"past.{name}" for name in self.shapes)]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return ["scores", "embedding", *(f"next.{name}" for name in self.shapes)]

    def forward(self, features: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """Scores, embedding, and the next states."""
        state = dict(zip(self.shapes, past, strict=True))
        logits, embedding, after = self.model.step(features, state)
        return torch.sigmoid(logits), embedding, *(after[name] for name in self.shapes)

    def zeros(self) -> Tensors:
        """State before the first step, by input name."""
        return {f"past.{name}": np.zeros(shape, np.float32) for name, shape in self.shapes.items()}

    @torch.no_grad()
    def run(self, feeds: Tensors) -> Tensors:
        """One step on arrays by name."""
        outputs = self(*(torch.from_numpy(feeds[name]) for name in self.inputs))
        return {name: value.numpy() for name, value in zip(self.outputs, outputs, strict=True)}


def stream(step: StepFunction, zeros: Tensors, frames: Float32, chunk: int) -> tuple[Float32, list[Tensors]]:
    """Run frames ``[T, F]`` in chained steps; returns the scores of whole chunks and every step's inputs."""
    state, scores, feeds = zeros, [], []
    for first in range(0, len(frames) - chunk + 1, chunk):
        feed = {"features": np.ascontiguousarray(frames[None, first : first + chunk]), **state}
        outputs = step(feed)
        state = {f"past.{n.removeprefix('next.')}": v for n, v in outputs.items() if n.startswith("next.")}
        scores.append(outputs["scores"][0])
        feeds.append(feed)
    return np.concatenate(scores), feeds
