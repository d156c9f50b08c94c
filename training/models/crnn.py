"""The convolutional recurrent network of DCASE 2018's task 4, which most of its systems began with (cards 03, 12).

features [B, T, 64]
  3 ×       3×3 conv, batch norm, ReLU ─ max-pool over bands ÷ 4 ─ dropout        64 → 16 → 4 → 1 bands, time stays
  GRU       64 units, both ways                                                   dropout of its inputs
  head      one dense layer and a sigmoid per frame; a clip is pooled from its frames

Trained on clips it is a tagger, on frames a detector; nothing else differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from torch import nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.network import Network
from training.layers.pooling import MaxPool
from training.layers.recurrent import GRU
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Sequential, StreamLayer
from training.layers.weighted_gru import WeightedGRU, WeightedGRUHead
from training.models.pooling import Direction, Pooling, both, pooling_head, ways
from training.models.registry import MODELS, Shape
from training.registry import Settings

Share = Annotated[float, Meta(ge=0, lt=1)]


class CRNNSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    maps, pools
        Channels of each convolution, and (time, bands) of the pooling behind it.
    dropout, whole
        Behind each convolution; whether whole channels are dropped.
    hidden
        Units of the GRU in each direction.
    recurrent_dropout
        Of its inputs, whole channels.
    direction
        Of the GRU.
    pooling, window
        Of clip scores, and over how many seconds.
    """

    maps: list[int] = msgspec.field(default_factory=lambda: [64, 64, 64])
    pools: list[tuple[int, int]] = msgspec.field(default_factory=lambda: [(1, 4), (1, 4), (1, 4)])
    dropout: Share = 0.3
    whole: bool = False
    hidden: Annotated[int, Meta(ge=1)] = 64
    recurrent_dropout: Share = 0.3
    direction: Direction = "both"
    pooling: Pooling = "mean"
    window: Annotated[float, Meta(gt=0)] = 10.0


class WeightedGRUSettings(CRNNSettings):
    """Sizes, and how fast frames are forgotten.

    Attributes
    ----------
    weight
        ω of the hidden state where frames are scored; 1 is the network as it was trained.
    steady
        Indices of the classes that sound for seconds, which are not weighted.
    """

    weight: Annotated[float, Meta(ge=0, le=1)] = 0.2
    steady: list[int] = msgspec.field(default_factory=list)


@MODELS.register("crnn", CRNNSettings)
def crnn(settings: CRNNSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s = settings
    layers, size = front(s, shape.bands)
    body = Sequential(*layers, GRU(size, s.hidden, both(s.direction)))
    return Network(
        body, pooling_head(s.pooling, s.hidden * ways(s.direction), shape.classes, frames(s, shape)), shape.bands
    )


@MODELS.register("weighted-gru", WeightedGRUSettings)
def weighted_gru(settings: WeightedGRUSettings, shape: Shape) -> Network:
    """Build the network whose GRU forgets faster where frames are scored (card 12); clips are means.

    Raises
    ------
    ValueError
        `steady` has an index that is no class.
    """
    s, bad = settings, [k for k in settings.steady if not 0 <= k < shape.classes]
    if bad:
        raise ValueError(f"model: expected `steady` to hold indices of {shape.classes} classes, got {bad[0]}")
    layers, size = front(s, shape.bands)
    body = Sequential(*layers, WeightedGRU(size, s.hidden, s.weight, both(s.direction)))
    classify = nn.Linear(s.hidden * ways(s.direction), shape.classes)
    return Network(body, WeightedGRUHead(classify, frames(s, shape), s.steady), shape.bands)


def front(settings: CRNNSettings, bands: int) -> tuple[list[StreamLayer], int]:
    """Layers up to the recurrent one, and how many channels they give."""
    s = settings
    layers, channels, bands = convolutions(s.maps, s.pools, bands, s.dropout, whole=s.whole, bias=True)
    return [*layers, BandsToChannels(), Dropout(s.recurrent_dropout)], channels * bands


def convolutions(
    maps: Sequence[int],
    pools: Sequence[tuple[int, int]],
    bands: int,
    dropout: float = 0.0,
    *,
    whole: bool = False,
    bias: bool = False,
) -> tuple[list[StreamLayer], int, int]:
    """3×3 convolutions with batch norm, each with its pooling; returns the layers, and channels and bands behind them.

    `bias` keeps the biases before the norms, which learn nothing, as Keras has them: the published counts have them in.

    Raises
    ------
    ValueError
        Not one pooling per convolution.
    """
    if len(maps) != len(pools):
        raise ValueError(f"model: expected as many `pools` as `maps`, got {len(pools)} and {len(maps)}")
    layers: list[StreamLayer] = []
    for before, after, pool in zip([1, *maps], maps, pools, strict=False):
        layers += [Conv((before, after), (3, 3), lookahead="same", bias=bias), MaxPool(pool)]
        layers += [Dropout(dropout, whole=whole)] if dropout else []
        bands //= pool[1]
    return layers, maps[-1], bands


def frames(settings: CRNNSettings, shape: Shape) -> int:
    """Frames of the scores in the window of clips."""
    rate = shape.frame_rate
    for time, _ in settings.pools:
        rate /= time
    return int(settings.window * rate)
