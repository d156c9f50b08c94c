"""A depthwise-separable CNN that scores every frame, and sees only the past unless it is told otherwise.

features [B, T, 64]
  stem      3×5 conv, frequency ÷2                          each frequency stage halves the bands and keeps time
  stages    depthwise 3×3 + pointwise …
  collapse  the remaining bands become channels             from here on time only
  temporal  residual depthwise k×1, dilation 1 2 4 8 …      receptive field about 2 s
  embed     pointwise                                       the embedding
  classify  one logit per class and frame
"""

from __future__ import annotations

import msgspec
from torch import nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import Head
from training.layers.network import Network
from training.layers.streaming import Residual, Sequential, StreamLayer
from training.layers.windowed import Lookahead
from training.models.registry import MODELS, Shape
from training.registry import Settings


class DSCNNSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    stem
        Channels of the first convolution.
    stages
        (channels, frequency stride) of each depthwise-separable stage.
    width
        Channels of the temporal part.
    kernel, dilations
        Of the temporal blocks, in frames.
    embedding
        Size of the vector before the last dense layer.
    dropout
        Before the embedding (whole channels) and behind it.
    causal
        Hear the past only; else as far ahead as back, and every score is late by that. Labels without times leave it
        open where in its past a causal network fires: it does so when it is sure, and its events come late.
    """

    stem: int = 16
    stages: list[tuple[int, int]] = msgspec.field(default_factory=lambda: [(32, 2), (48, 2), (64, 1), (64, 2)])
    width: int = 96
    kernel: int = 5
    dilations: list[int] = msgspec.field(default_factory=lambda: [1, 2, 4, 8, 8])
    embedding: int = 96
    dropout: float = 0.2
    causal: bool = True


@MODELS.register("dscnn", DSCNNSettings)
def dscnn(settings: DSCNNSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s, channels, bands = settings, settings.stem, -(-shape.bands // 2)
    ahead: Lookahead = 0 if s.causal else "same"
    layers: list[StreamLayer] = [Conv((1, s.stem), (3, 5), stride=(1, 2), lookahead=ahead)]
    for out, stride in s.stages:
        layers.append(_separable((channels, out), stride, ahead))
        channels, bands = out, -(-bands // stride)
    layers.append(Conv((channels, s.width), (1, bands), collapse=True))
    layers += [Residual(_temporal(s.width, s.kernel, d, ahead)) for d in s.dilations]
    layers += [Dropout(s.dropout), Conv((s.width, s.embedding)), Dropout(s.dropout, whole=False)]
    network = Network(Sequential(*layers), Head(nn.Linear(s.embedding, shape.classes)), shape.bands)
    network.bind()
    return network


def _separable(channels: tuple[int, int], stride: int, ahead: Lookahead) -> StreamLayer:
    depthwise = Conv((channels[0], channels[0]), (3, 3), stride=(1, stride), groups=channels[0], lookahead=ahead)
    block = Sequential(depthwise, Conv(channels))
    return Residual(block) if stride == 1 and channels[0] == channels[1] else block


def _temporal(width: int, kernel: int, dilation: int, ahead: Lookahead) -> StreamLayer:
    depthwise = Conv((width, width), (kernel, 1), dilation=(dilation, 1), groups=width, lookahead=ahead)
    return Sequential(depthwise, Conv((width, width)))
