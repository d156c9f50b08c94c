"""A 3-D CNN over a stack of slices of a clip, and a GRU for each of its last maps (Himawan et al. 2018; card 21).

features [B, 1000, 80]       five slices of 2 s
  conv 3×3×3, 8              batch norm, ReLU, max-pool over slices × time × bands, dropout             5 × 100 × 40
  conv 3×3×3, 32                                                                                        3 × 50 × 20
  conv 3×3×3, 16                                                                                        1 × 25 × 10
  16 GRUs of 32              each over the 25 frames of 10 bands of one map; their last states          512
  dense

A kernel sees the same place of the slices before and behind: a call that comes again. The stack slides by one slice, so
there is a score every two seconds, of the last ten. With one slice and one GRU over all maps it is the 2-D network that
the paper compares.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from torch import nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.gru_bank import GRUBank
from training.layers.heads import MeanHead
from training.layers.network import Network
from training.layers.recurrent import GRU
from training.layers.reshape import BandsToChannels
from training.layers.segments import LastFrame, Segments, WholeMaxPool
from training.layers.slices import Neighbours, SliceMaxPool, Slices
from training.layers.streaming import Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings

Size = Annotated[int, Meta(ge=1)]


class CNNGRU3DSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    slices, frames
        How many of how many frames.
    maps
        Of each convolution.
    pools
        Slices that each layer takes the largest of; of time and bands it is two.
    hidden
        Units of a GRU.
    bank
        A GRU for every map, or one over all.
    dropout
        Behind each convolution.
    """

    slices: Size = 5
    frames: Size = 200
    maps: list[Size] = msgspec.field(default_factory=lambda: [8, 32, 16])
    pools: list[Size] = msgspec.field(default_factory=lambda: [1, 2, 3])
    hidden: Size = 32
    bank: bool = True
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.5


@MODELS.register("3d-cnn-gru", CNNGRU3DSettings)
def cnn_gru_3d(settings: CNNGRU3DSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes.

    Raises
    ------
    ValueError
        The pools leave more than one slice.
    """
    s = settings
    layers: list[StreamLayer] = [Slices(s.slices)]
    channels, slices, bands = 1, s.slices, shape.bands
    for maps, pool in zip(s.maps, s.pools, strict=True):
        layers += _convolution((channels, maps), slices, pool, s.dropout)
        channels, slices, bands = maps, -(-slices // pool), bands // 2
    if slices != 1:
        raise ValueError(f"3d-cnn-gru: expected `pools` that leave one of {s.slices} slices, got {slices} left")
    if s.bank:
        layers.append(GRUBank(channels, bands, s.hidden))
    else:
        layers += [BandsToChannels(), GRU(channels * bands, s.hidden), LastFrame()]
    size = s.hidden * (channels if s.bank else 1)
    body = Segments(Sequential(*layers), size, s.slices * s.frames, s.frames, newest=True)
    network = Network(body, MeanHead(nn.Linear(size, shape.classes), 1), shape.bands)
    network.bind()
    return network


def _convolution(channels: tuple[int, int], slices: int, pool: int, dropout: float) -> list[StreamLayer]:
    seen = 3 if slices > 1 else 1
    conv = Conv((seen * channels[0], channels[1]), (3, 3), lookahead="same")
    nn.init.xavier_uniform_(conv.conv.weight)
    layers: list[StreamLayer] = [Neighbours(slices)] if slices > 1 else []
    layers += [conv, WholeMaxPool((2, 2), (2, 2))]
    if pool > 1:
        layers.append(SliceMaxPool(slices, pool))
    return [*layers, Dropout(dropout, whole=False)]
