"""Gated CRNNs: convolutions whose outputs are gated by sigmoids of their own instead of a ReLU (cards 15, 16, 19).

features [B, T, 64]
  blocks     `depth` × (3×3 conv 2C ─ GLU) ─ max-pool over bands                  time stays
  top        a 3×3 conv with ReLU ─ max-pool of the bands that are left           only where cards have it
  GRU        both ways, perhaps gated by a second one
  head       frames by one dense layer; clips by attention, mean, maximum, or boundary symbols
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from training.layers.activation import GLU, Activation
from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.network import Network
from training.layers.pooling import MaxPool
from training.layers.recurrent import GRU
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Branch, Sequential, StreamLayer
from training.models.pooling import Direction, Pooling, both, pooling_head, ways
from training.models.registry import MODELS, Shape
from training.registry import Settings

Positive = Annotated[int, Meta(ge=1)]


class GatedSettings(Settings):
    """Sizes of the layers up to the head.

    Attributes
    ----------
    maps
        Channels of each convolution of a block, behind its gate.
    depth, pools
        Convolutions of a block, and the bands that are pooled behind each block.
    gate
        False puts a ReLU in place of the gates: what they are worth.
    norm
        Batch norm before the gates, instead of biases.
    dropout
        Behind each block.
    top
        Channels of one more convolution, which pools the bands that are left; 0 for none.
    hidden, direction
        Units of the GRU in each direction, and which it has.
    gated_recurrence
        The GRU's output is multiplied by the sigmoid of a second one's.
    """

    maps: Positive = 64
    depth: Positive = 2
    pools: list[Positive] = msgspec.field(default_factory=lambda: [4, 4, 4])
    gate: bool = True
    norm: bool = True
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    top: Annotated[int, Meta(ge=0)] = 0
    hidden: Positive = 64
    direction: Direction = "both"
    gated_recurrence: bool = False


class GatedCRNNSettings(GatedSettings):
    """Sizes of the network.

    Attributes
    ----------
    pooling, window
        Of clip scores, and over how many seconds.
    """

    pooling: Pooling = "class-attention"
    window: Annotated[float, Meta(gt=0)] = 10.0


@MODELS.register("gated-crnn", GatedCRNNSettings)
def gated_crnn(settings: GatedCRNNSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s = settings
    head = pooling_head(s.pooling, s.hidden * ways(s.direction), shape.classes, int(s.window * shape.frame_rate))
    return Network(gated(s, shape.bands), head, shape.bands)


def gated(settings: GatedSettings, bands: int) -> StreamLayer:
    """Build the layers up to the head: ``[B, 1, T, bands]`` to ``[B, hidden · ways, T, 1]``."""
    s, channels = settings, 1
    layers: list[StreamLayer] = []
    for pool in s.pools:
        for _ in range(s.depth):
            layers += _convolution((channels, s.maps), s)
            channels = s.maps
        layers.append(MaxPool((1, pool)))
        layers += [Dropout(s.dropout, whole=False)] if s.dropout else []
        bands //= pool
    if s.top:
        layers += [Conv((channels, s.top), (3, 3), lookahead="same", norm=s.norm), MaxPool((1, bands))]
        channels, bands = s.top, 1
    return Sequential(*layers, BandsToChannels(), _recurrent(channels * bands, s))


def _convolution(channels: tuple[int, int], s: GatedSettings) -> list[StreamLayer]:
    before, after = channels
    if not s.gate:
        return [Conv(channels, (3, 3), lookahead="same", norm=s.norm)]
    return [Conv((before, 2 * after), (3, 3), lookahead="same", norm=s.norm, activation="none"), GLU()]


def _recurrent(size: int, s: GatedSettings) -> StreamLayer:
    gru = GRU(size, s.hidden, both(s.direction))
    if not s.gated_recurrence:
        return gru
    gates = Sequential(GRU(size, s.hidden, both(s.direction)), Activation("sigmoid"))
    return Branch(gru, gates, join="multiply")
