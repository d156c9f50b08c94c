"""Which convolutions compute in int8: those that save much and cost little accuracy, measured on real sound.

kind       weights    computes on       for
float32    float32    float32           few weights whose rounding would be heard: the first convolutions
weights    int8       float32           activations whose rounding would be heard; as small as int8, as exact as float
int8       int8       int8              all others

Scores cross their thresholds at a slope, so an error shifts an event in time: by less than a frame where it is less
than what a score gains in one (`BUDGET`). Errors of early layers pass through all later ones, so there int8 costs most;
and it saves least there, for few channels over many bands hold few weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from export import rounding
from export.step import Float32, Graph
from training.layers.conv import Conv

Kind = Literal["float32", "weights", "int8"]
FLOAT_SHARE = 0.025  # of the weights, at most, that stay float32
BUDGET = 0.0175  # mean error of the scores that all rounding together may cause, per second of a frame of scores
HEARD = 8  # recordings to measure on


def choose(graph: Graph, recordings: Sequence[Float32], frame: float = 0.02) -> tuple[dict[str, Kind], Graph]:
    """Choose the kind of every convolution of a graph, on recordings ``[T, F]``; a score speaks of `frame` seconds.

    Returns
    -------
    kinds, rounded
        Kinds by module path, and a copy of the graph with the weights that int8 can hold where they become int8.
    """
    trial = _Trial(graph, recordings)
    weights = {path: conv.conv.weight.numel() for path, conv in trial.convolutions.items()}
    rounded = _weights(trial, weights)
    computed: list[str] = []
    harm = {path: trial.error([], [path]) for path in rounded}
    for path in sorted(rounded, key=lambda p: harm[p] ** 2 / weights[p]):
        if trial.error(rounded, [*computed, path]) <= BUDGET * frame:
            computed.append(path)
    kinds: dict[str, Kind] = {p: "int8" if p in computed else "weights" if p in rounded else "float32" for p in weights}
    return kinds, trial.rounded(rounded)


def _weights(trial: _Trial, weights: Mapping[str, int]) -> list[str]:
    """Convolutions whose weights become int8: all but those that would be heard most for what they save."""
    harm = {path: trial.error([path], []) for path in weights}
    left, kept = FLOAT_SHARE * sum(weights.values()), set()
    for path in sorted(weights, key=lambda p: harm[p] / weights[p], reverse=True):
        if weights[path] <= left:
            left -= weights[path]
            kept.add(path)
    return [path for path in weights if path not in kept]


def told(kinds: Mapping[str, Kind]) -> str:
    """Say in words what the convolutions compute in."""
    count = {kind: sum(k == kind for k in kinds.values()) for kind in ("int8", "weights", "float32")}
    return (
        f"of {len(kinds)} convolutions {count['int8']} compute in int8, {count['weights']} keep their weights in int8 "
        f"and compute in float32, {count['float32']} stay float32"
    )


class _Trial:
    """The network on whole recordings, with some numbers rounded as int8 would round them."""

    def __init__(self, graph: Graph, recordings: Sequence[Float32]) -> None:
        self.convolutions = {path: m for path, m in graph.named_modules() if isinstance(m, Conv)}
        self._graph = graph
        self._heard = [torch.from_numpy(frames)[None, None] for frames in recordings[:HEARD]]
        self._ranges: dict[tuple[str, str], tuple[float, float]] = {}
        self._moments: dict[str, Tensor] = {}
        with self._hooked(self.convolutions, self._note):
            self._truth = self._scores()
        self._int8 = {
            path: nn.Parameter(rounding.rounded(conv.conv.weight, self._moments[path]), requires_grad=False)
            for path, conv in self.convolutions.items()
        }

    def error(self, weights: Collection[str], activations: Collection[str]) -> float:
        """Mean difference of the scores when these convolutions' weights and activations are rounded."""
        with self._swapped(weights), self._hooked(activations, self._round):
            return float(np.abs(self._scores() - self._truth).mean())

    def rounded(self, weights: Collection[str]) -> Graph:
        """Copy the graph, with these convolutions' weights rounded."""
        with self._swapped(weights):
            return copy.deepcopy(self._graph)

    @torch.no_grad()
    def _scores(self) -> Float32:
        found = [self._graph.head(self._graph.body(x)) for x in self._heard]
        return np.concatenate([value.numpy().ravel() for scores in found for value in scores if value is not None])

    def _note(self, path: str, side: str, x: Tensor) -> None:
        low, high = self._ranges.get((path, side), (0.0, 0.0))
        self._ranges[path, side] = min(low, float(x.min())), max(high, float(x.max()))
        if side == "in":
            self._moments[path] = self._moments.get(path, 0) + rounding.moments(self.convolutions[path], x)

    def _round(self, path: str, side: str, x: Tensor) -> Tensor:
        low, high = self._ranges[path, side]
        return torch.fake_quantize_per_tensor_affine(x, *affine(low, high), -128, 127)

    @contextmanager
    def _hooked(self, paths: Collection[str], do: Callable[[str, str, Tensor], Tensor | None]) -> Iterator[None]:
        """Call `do` on what enters and leaves the convolutions, padding and activation included."""
        hooks = []
        for path in paths:
            conv = self.convolutions[path]
            hooks.append(conv.conv.register_forward_pre_hook(lambda _, x, p=path: do(p, "in", x[0])))
            hooks.append(conv.register_forward_hook(lambda _, __, y, p=path: do(p, "out", y)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def _swapped(self, paths: Collection[str]) -> Iterator[None]:
        before = {path: self.convolutions[path].conv.weight for path in paths}
        for path in paths:
            self.convolutions[path].conv.weight = self._int8[path]
        try:
            yield
        finally:
            for path, weight in before.items():
                self.convolutions[path].conv.weight = weight


def affine(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point that map ``low … high`` (zero in it) to −128 … 127."""
    scale = (high - low) / 255 or 1.0
    return scale, round(-128 - low / scale)


def per_channel(weight: Float32) -> tuple[np.ndarray, Float32]:
    """Weights ``[out, …]`` as int8, and the scale of each output channel."""
    scale = np.abs(weight).reshape(len(weight), -1).max(1) / np.float32(127)
    scale[scale == 0] = 1
    values = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return values.astype(np.int8), scale.astype(np.float32)
