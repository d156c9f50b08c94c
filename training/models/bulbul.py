"""Bulbul: four small convolutions and three dense layers, the bird detector that others took for hives (cards 26, 32).

features [B, T, bands]
  4 × conv 16, max-pool       without padding in frequency; in time each sees the past only
  dense 256 over the last `field` frames of the last map, 32, 1          as a convolution as high as the map

The papers flatten a fixed excerpt. Here the flattened stretch is a window that slides over the last map, so the network
streams: a score every 81 frames (three times three pools of three), each of which is the papers' score of the excerpt
that ends there. The weights are the same in number.

The compact form takes the mean over the window instead of flattening it (card 26): a tenth of the weights, and as many
whatever the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta
from torch import nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import MeanHead
from training.layers.network import Network
from training.layers.pooling import AveragePool, MaxPool
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings

Pairs = list[tuple[int, int]]


class BulbulSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    channels
        Of every convolution.
    kernels, pools
        (time, frequency) of each convolution, and of the max-pool behind it.
    field
        Frames of the last map that the dense layers hear.
    average
        Take their mean instead of flattening them.
    hidden
        Units of the dense layers before the last.
    norm
        Batch norm behind every convolution and hidden layer, instead of a bias.
    dropout
        Before each dense layer.
    """

    channels: int = 16
    kernels: Pairs = msgspec.field(default_factory=lambda: [(3, 3), (3, 3), (3, 3), (3, 3)])
    pools: Pairs = msgspec.field(default_factory=lambda: [(3, 3), (3, 3), (3, 1), (3, 1)])
    field: Annotated[int, Meta(ge=1)] = 7
    average: bool = False
    hidden: list[int] = msgspec.field(default_factory=lambda: [256, 32])
    norm: bool = True
    dropout: float = 0.5


@MODELS.register("bulbul", BulbulSettings)
def bulbul(settings: BulbulSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes.

    Raises
    ------
    ValueError
        Too few bands for the kernels and pools.
    """
    s = settings
    layers: list[StreamLayer] = []
    channels, bands = 1, shape.bands
    for kernel, pool in zip(s.kernels, s.pools, strict=True):
        layers += [_conv((channels, s.channels), kernel, s.norm), MaxPool(pool)]
        channels, bands = s.channels, (bands - kernel[1] + 1) // pool[1]
    layers += [*_flatten(s, channels, bands), Dropout(s.dropout, whole=False)]
    head = MeanHead(nn.Linear(s.hidden[-1], shape.classes), 1)  # a clip's score is that of the excerpt at its end
    network = Network(Sequential(*layers), head, shape.bands)
    network.bind()
    return network


def _flatten(s: BulbulSettings, channels: int, bands: int) -> Iterator[StreamLayer]:
    """The hidden dense layers."""
    if s.average:
        yield from (BandsToChannels(), AveragePool((s.field, 1), (1, 1)))
        channels, bands = channels * bands, 1
    kernel = (1 if s.average else s.field, bands)
    for units in s.hidden:
        yield Dropout(s.dropout, whole=False)
        yield _conv((channels, units), kernel, s.norm)
        channels, kernel = units, (1, 1)


def _conv(channels: tuple[int, int], kernel: tuple[int, int], norm: bool) -> Conv:
    return Conv(channels, kernel, norm=norm, activation="leaky_relu", collapse=True)
