"""WHEN: when does anything of a kind sound? Learnt from clips in less than an hour of sound (card 24).

features [B, T, 40]
  3 ×        3×3 conv 64, batch norm, ReLU ─ max-pool over bands ÷ 5, 4, 2        40 → 8 → 2 → 1 bands, time stays
  2 × GRU    64 units, both ways, whose outputs are multiplied
  dense      64, ReLU, per frame
  head       one dense layer and a sigmoid per frame; a clip has what its likeliest frame has
"""

from __future__ import annotations

import msgspec

from training.layers.activation import Product
from training.layers.conv import Conv
from training.layers.network import Network
from training.layers.recurrent import GRU
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Sequential, StreamLayer
from training.models.crnn import convolutions
from training.models.pooling import Direction, both, pooling_head
from training.models.registry import MODELS, Shape
from training.registry import Settings


class WhenSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    maps, pools
        Channels of each convolution, and the bands that are pooled behind it.
    hidden
        Units of each GRU in each direction, and of the dense layer.
    direction
        Of the GRUs; of one direction nothing is multiplied.
    window
        Seconds of a clip score.
    """

    maps: list[int] = msgspec.field(default_factory=lambda: [64, 64, 64])
    pools: list[int] = msgspec.field(default_factory=lambda: [5, 4, 2])
    hidden: int = 64
    direction: Direction = "both"
    window: float = 5.0


@MODELS.register("when", WhenSettings)
def when(settings: WhenSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes; published for a single class."""
    s = settings
    layers, channels, bands = convolutions(s.maps, [(1, pool) for pool in s.pools], shape.bands, bias=True)
    layers.append(BandsToChannels())
    for size in (channels * bands, s.hidden):
        layers += _recurrent(size, s.hidden, s.direction)
    layers.append(Conv((s.hidden, s.hidden), norm=False))
    head = pooling_head("max", s.hidden, shape.classes, int(s.window * shape.frame_rate))
    return Network(Sequential(*layers), head, shape.bands)


def _recurrent(size: int, hidden: int, direction: Direction) -> list[StreamLayer]:
    gru = GRU(size, hidden, both(direction))
    return [gru, Product()] if both(direction) else [gru]
