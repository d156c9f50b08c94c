"""A recurrent CNN with simple recurrent units, deep, and the shallow one that learns from it (card 34).

features [B, T, 64]
  deep       4 × (2 × 2×2 conv 64, batch norm, ReLU ─ max-pool ÷ 2) ─ 1×1 conv 256, ReLU ─ max-pool ÷ 4
  shallow    3 × (3×3 conv 64, batch norm, ReLU ─ max-pool ÷ 4)
  SRU        128 units, both ways
  head       one dense layer and a sigmoid per frame; a clip is the mean of its frames
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from training.layers.conv import Conv
from training.layers.network import Network
from training.layers.pooling import MaxPool
from training.layers.reshape import BandsToChannels
from training.layers.sru import SRU
from training.layers.streaming import Sequential, StreamLayer
from training.models.crnn import convolutions
from training.models.pooling import Direction, Pooling, both, pooling_head, ways
from training.models.registry import MODELS, Shape
from training.registry import Settings

Positive = Annotated[int, Meta(ge=1)]


class RCNNSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    depth
        Of the convolutions.
    maps, top
        Channels of the convolutions, and of the last one of the deep network.
    hidden, direction
        Units of the SRU in each direction, and which it has.
    pooling, window
        Of clip scores, and over how many seconds.
    """

    depth: Literal["deep", "shallow"] = "shallow"
    maps: Positive = 64
    top: Positive = 256
    hidden: Positive = 128
    direction: Direction = "both"
    pooling: Pooling = "mean"
    window: Annotated[float, Meta(gt=0)] = 10.0


@MODELS.register("rcnn", RCNNSettings)
def rcnn(settings: RCNNSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s = settings
    if s.depth == "deep":
        layers, channels, bands = _deep(s, shape.bands)
    else:
        layers, channels, bands = convolutions([s.maps] * 3, [(1, 4)] * 3, shape.bands)
    layers += [BandsToChannels(), SRU(channels * bands, s.hidden, both(s.direction))]
    head = pooling_head(s.pooling, s.hidden * ways(s.direction), shape.classes, int(s.window * shape.frame_rate))
    return Network(Sequential(*layers), head, shape.bands)


def _deep(s: RCNNSettings, bands: int) -> tuple[list[StreamLayer], int, int]:
    """2×2 convolutions see one frame ahead, as published, where the SRU hears both ways; else one frame back."""
    layers: list[StreamLayer] = []
    channels, ahead = 1, 1 if both(s.direction) else 0
    for _ in range(4):
        for _ in range(2):
            layers.append(Conv((channels, s.maps), (2, 2), lookahead=ahead))
            channels = s.maps
        layers.append(MaxPool((1, 2)))
        bands //= 2
    return [*layers, Conv((channels, s.top), norm=False), MaxPool((1, bands))], s.top, 1
