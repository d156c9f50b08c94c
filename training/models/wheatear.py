"""Wheatear's own network: a small dense CNN at a coarse frame rate, which hears the past only.

features [B, T, bands]                    at a hop of 20 ms
  stem      dense conv, time ÷ 4, bands ÷ 4          80 ms: from here on a frame is cheap, and channels can be many
  stages    dense 3×3, bands ÷ 2 each                full convolutions: few numbers, all of them used
  collapse  the remaining bands become channels      from here on time only
  temporal  residual dense k×1, dilation 1 2 …
  embed     pointwise                                the embedding
  head      frames by a dense layer; clips by mean ⊕ max of the embedding over the last seconds

A depthwise-separable network spends most of its steps moving memory; at a quarter of the frame rate dense convolutions
cost less than that, on a device and in training, and learn more from few recordings.
"""

from __future__ import annotations

import msgspec
from torch import nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import MeanMaxHead
from training.layers.network import Network
from training.layers.streaming import Residual, Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings


class WheatearSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    stem
        Channels of the first convolution.
    kernel, stride
        Of the first convolution: (frames, bands).
    stages
        Channels of the 3×3 convolutions, each of which halves the bands.
    width
        Channels of the temporal part and of the embedding.
    dilations
        Of the temporal blocks, in frames behind the stem.
    dropout
        Before the embedding (whole channels) and behind it.
    window
        Seconds that a clip score hears.
    """

    stem: int = 24
    kernel: tuple[int, int] = (6, 7)
    stride: tuple[int, int] = (4, 4)
    stages: list[int] = msgspec.field(default_factory=lambda: [40, 64])
    width: int = 96
    dilations: list[int] = msgspec.field(default_factory=lambda: [1, 2])
    dropout: float = 0.2
    window: float = 5.0


@MODELS.register("wheatear", WheatearSettings)
def wheatear(settings: WheatearSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s = settings
    layers: list[StreamLayer] = [Conv((1, s.stem), s.kernel, s.stride)]
    channels, bands = s.stem, -(-shape.bands // s.stride[1])
    for out in s.stages:
        layers.append(Conv((channels, out), (3, 3), (1, 2)))
        channels, bands = out, -(-bands // 2)
    layers.append(Conv((channels, s.width), (1, bands), collapse=True))
    layers += [Residual(Conv((s.width, s.width), (3, 1), dilation=(d, 1))) for d in s.dilations]
    layers += [Dropout(s.dropout), Conv((s.width, s.width)), Dropout(s.dropout, whole=False)]
    window = max(1, int(s.window * shape.frame_rate / s.stride[0]))
    network = Network(Sequential(*layers), MeanMaxHead(nn.Linear(s.width, shape.classes), window), shape.bands)
    network.bind()
    return network
