"""An Inception CRNN: convolutions of several sizes side by side, then a GRU (card 14).

features [B, T, 64]
  stem         3×3 conv 64, ReLU
  3 ×    ┌─ 1×1 ─────────────┐
         ├─ 1×1 ─ 3×3 ───────┤
         ├─ 1×1 ─ 5×5 ───────┼─ concatenated, max-pool over bands ÷ 4        64 → 16 → 4 → 1 bands, time stays
         └─ 3×3 max ─ 1×1 ───┘
  GRU          64 units, both ways
  head         one dense layer and a sigmoid per frame; a clip is the mean of its frames

The paper leaves the number of blocks, their widths, the pools and the GRU to a figure: this is the card's reading.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from training.layers.conv import Conv
from training.layers.network import Network
from training.layers.pooling import MaxPool
from training.layers.recurrent import GRU
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Branch, Sequential, StreamLayer
from training.models.pooling import Direction, Pooling, both, pooling_head, ways
from training.models.registry import MODELS, Shape
from training.registry import Settings


class InceptionCRNNSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    stem
        Channels of the first convolution.
    branch, reduced
        Channels of each of the four branches, and of the 1×1 convolutions before the wide ones.
    pools
        Bands that are pooled behind each block.
    hidden, direction
        Units of the GRU in each direction, and which it has.
    pooling, window
        Of clip scores, and over how many seconds.
    """

    stem: int = 64
    branch: int = 32
    reduced: int = 32
    pools: list[Annotated[int, Meta(ge=1)]] = msgspec.field(default_factory=lambda: [4, 4, 4])
    hidden: int = 64
    direction: Direction = "both"
    pooling: Pooling = "mean"
    window: float = 10.0


@MODELS.register("inception-crnn", InceptionCRNNSettings)
def inception_crnn(settings: InceptionCRNNSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s, channels, bands = settings, settings.stem, shape.bands
    layers: list[StreamLayer] = [_conv((1, s.stem), 3)]
    for pool in s.pools:
        layers += [inception(channels, s.branch, s.reduced), MaxPool((1, pool))]
        channels, bands = 4 * s.branch, bands // pool
    layers += [BandsToChannels(), GRU(channels * bands, s.hidden, both(s.direction))]
    head = pooling_head(s.pooling, s.hidden * ways(s.direction), shape.classes, int(s.window * shape.frame_rate))
    return Network(Sequential(*layers), head, shape.bands)


def inception(channels: int, branch: int, reduced: int) -> StreamLayer:
    """An Inception block with reductions (Szegedy et al. 2015)."""
    return Branch(
        _conv((channels, branch), 1),
        Sequential(_conv((channels, reduced), 1), _conv((reduced, branch), 3)),
        Sequential(_conv((channels, reduced), 1), _conv((reduced, branch), 5)),
        Sequential(MaxPool((3, 3), (1, 1), "same", pad=1), _conv((channels, branch), 1)),
    )


def _conv(channels: tuple[int, int], size: int) -> Conv:
    return Conv(channels, (size, size), lookahead="same", norm=False)
