"""Wheatear's own network: a small dense CNN at a coarse frame rate, which hears the past only.

features [B, T, bands]                             at a hop of 20 ms
  stem      dense 5×5, time ÷ 2, bands ÷ 2         40 ms
  stages    dense 3×3, the first one time ÷ 2      80 ms: from here on a frame is cheap; each halves the bands
  collapse  the remaining bands become channels    from here on time only
  temporal  residual dense k×1, dilation 1 2 …
  embed     pointwise                              the embedding
  head      frames by a dense layer; clips by mean ⊕ deviation of the embedding over the last seconds

A depthwise-separable network spends most of its steps moving memory; at a quarter of the frame rate dense convolutions
cost less than that, on a device and in training.
"""

from __future__ import annotations

import msgspec
from torch import nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.mean_std import MeanStdHead
from training.layers.network import Network
from training.layers.streaming import Residual, Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings

STRIDE = 4  # frames of the features per frame of the scores


class WheatearSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    stem
        Channels of the first convolution.
    stages
        Channels of the 3×3 convolutions.
    width
        Channels of the temporal part and of the embedding.
    dilations
        Of the temporal blocks, in frames of the scores.
    dropout
        Before the embedding (whole channels) and behind it.
    window
        Seconds that a clip score hears.
    """

    stem: int = 16
    stages: list[int] = msgspec.field(default_factory=lambda: [24, 40, 64])
    width: int = 96
    dilations: list[int] = msgspec.field(default_factory=lambda: [1, 2])
    dropout: float = 0.2
    window: float = 5.0


@MODELS.register("wheatear", WheatearSettings)
def wheatear(settings: WheatearSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s, channels, bands = settings, settings.stem, -(-shape.bands // 2)
    layers: list[StreamLayer] = [Conv((1, s.stem), (5, 5), (2, 2))]
    for number, out in enumerate(s.stages):
        layers.append(Conv((channels, out), (3, 3), (1 if number else STRIDE // 2, 2)))
        channels, bands = out, -(-bands // 2)
    layers.append(Conv((channels, s.width), (1, bands), collapse=True))
    layers += [Residual(Conv((s.width, s.width), (3, 1), dilation=(d, 1))) for d in s.dilations]
    layers += [Conv((s.width, s.width)), Dropout(s.dropout), Dropout(s.dropout, whole=False)]
    head = MeanStdHead(
        nn.Linear(s.width, shape.classes),
        nn.Linear(2 * s.width, shape.classes),
        max(1, int(s.window * shape.frame_rate / STRIDE)),
    )
    network = Network(Sequential(*layers), head, shape.bands)
    network.bind()
    return network
