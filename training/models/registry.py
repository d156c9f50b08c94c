"""Networks by their names: what a family of models registers itself in."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from training.registry import Registry


class Shape(NamedTuple):
    """What the data and the front end say of a network: features per frame, classes, frames per second."""

    bands: int
    classes: int
    frame_rate: float


MODELS: Registry[nn.Module] = Registry("model")
"""Builders take their settings and a `Shape`; what they build takes features ``[B, T, F]`` and gives
`training.layers.heads.Scores`. A network that streams is a `training.layers.network.Network`."""
