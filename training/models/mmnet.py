"""M&mnet: a residual network over time, with bands as channels, that is told what sounds in every segment (card D).

features [B, T, 128]            a frame every 11 ms
  norm, conv 3                  bands are channels: convolutions run along time alone
  block 256, max ÷ 4            norm, conv 3, norm, ReLU, conv 3, norm; beside it a 1×1 shortcut
  block 384, max ÷ 4            a segment is 16 frames, 0.18 s
  block 384, norm, ReLU         X, the embedding
  head                          see `training.layers.micro`

M&mnet-MS hangs f_att and f_det on the output of every block, and on maps that two transposed convolutions bring back
to the rates of the first two:

    block 1 ──▶ block 2 ──▶ block 3 ─▶ X ─▶ upsampled ─▶ upsampled
       │           │                   │        │            │           five pairs of f_att and f_det

All sizes are the released network's (card D), whose first norm in a block has no ReLU. Convolutions look one frame
ahead, or hear the past only where `causal` says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta
from torch import nn

from training.layers.activation import Activation
from training.layers.conv import Conv, TransposedConv
from training.layers.micro import ATTENDING, DETECTING, MicroHead, Scale, Scheme
from training.layers.network import Network
from training.layers.norm import BatchNorm
from training.layers.pooling import MaxPool
from training.layers.reshape import BandsToChannels, FramesToChannels
from training.layers.streaming import Branch, Identity, Sequential, StreamLayer
from training.layers.windowed import Lookahead
from training.models.registry import MODELS, Shape
from training.registry import Settings

Odd = Annotated[int, Meta(ge=1, le=9)]


class MMNetSettings(Settings):
    """Sizes of the network, and how it is supervised.

    Attributes
    ----------
    scheme
        Of the paper's figure 3; see `training.layers.micro.SCHEMES`. ``mean`` is the main net alone.
    stem, blocks
        Channels of the first convolution and of the residual blocks.
    pools
        Max pooling in time behind each block but the last.
    dense
        Sizes of the hidden layers of f_cls.
    kernels
        Of f_att and f_det, in frames of their map.
    window
        Seconds that a clip score hears.
    mu
        Weight of the macro prediction in the ensemble.
    causal
        Whether convolutions hear the past only.
    """

    scheme: Scheme = "mm"
    stem: int = 128
    blocks: list[int] = msgspec.field(default_factory=lambda: [256, 384, 384])
    pools: list[int] = msgspec.field(default_factory=lambda: [4, 4])
    dense: list[int] = msgspec.field(default_factory=lambda: [1024, 1024])
    kernels: tuple[Odd, Odd] = (3, 3)
    window: float = 10.0
    mu: Annotated[float, Meta(ge=0, le=1)] = 0.5
    causal: bool = False


@MODELS.register("mmnet", MMNetSettings)
def mmnet(settings: MMNetSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes.

    Raises
    ------
    ValueError
        Another number of poolings than between the blocks.
    """
    s, sizes = settings, [settings.blocks[-1], *settings.dense]
    if len(s.pools) != len(s.blocks) - 1:
        raise ValueError(f"mmnet: expected {len(s.blocks) - 1} `pools` between the blocks, got {len(s.pools)}")
    trunk = _Trunk(s, shape.classes)
    stem = _time((shape.bands, s.stem), 3, trunk.ahead)
    layers, scales = trunk.from_block(0)
    head = MicroHead(
        Sequential(*(Conv(pair, bias=True) for pair in pairwise(sizes))),
        nn.Linear(sizes[-1], shape.classes),
        sizes[0],
        s.scheme,
        scales,
        max(1, round(s.window * shape.frame_rate / math.prod(s.pools))),
        s.mu,
    )
    network = Network(Sequential(BandsToChannels(), BatchNorm(shape.bands), stem, *layers), head, shape.bands)
    network.apply(_he)
    network.bind()
    return network


class _Trunk:
    """Builds the blocks, from the last one back to the first; what lies deeper comes first in the channels."""

    def __init__(self, settings: MMNetSettings, classes: int) -> None:
        self.settings, self.classes = settings, classes
        self.ahead: Lookahead = 0 if settings.causal else "same"
        self.widths = [settings.stem, *settings.blocks]

    def from_block(self, number: int) -> tuple[list[StreamLayer], list[Scale]]:
        """Layers from a block's input to what the head hears, and the scales that stand behind X in it."""
        pools, channels = self.settings.pools[number:], self.widths[number + 1]
        block = _block((self.widths[number], channels), self.ahead)
        if not pools:
            layers, scales = self.top(channels)
            return [block, BatchNorm(channels), Activation("relu"), *layers], scales
        layers, scales = self.from_block(number + 1)
        layers.insert(0, MaxPool((pools[0], 1)))
        if self.settings.scheme != "ms":
            return [block, *layers], scales
        own, scale = self.micro(channels, math.prod(pools))
        return [block, Branch(Sequential(*layers), *own)], [*scales, scale]

    def top(self, channels: int) -> tuple[list[StreamLayer], list[Scale]]:
        """X, and the maps on it and above."""
        if self.settings.scheme not in (*ATTENDING, *DETECTING):
            return [], []
        own, scale = self.micro(channels, 1)
        if self.settings.scheme != "ms":
            return [Branch(Identity(), *own)], [scale]
        above, scales = self.upsampled(channels, 1, self.settings.pools[::-1])
        return [Branch(Identity(), *own, above)], [scale, *scales]

    def upsampled(self, channels: int, frames: int, strides: Sequence[int]) -> tuple[StreamLayer, list[Scale]]:
        """One transposed convolution behind another, each with the maps on it."""
        frames *= strides[0]
        up = TransposedConv((channels, channels), strides[0], strides[0])
        own, scale = self.micro(channels, frames)
        if len(strides) == 1:
            return Sequential(up, Branch(*own)), [scale]
        above, scales = self.upsampled(channels, frames, strides[1:])
        return Sequential(up, Branch(*own, above)), [scale, *scales]

    def micro(self, channels: int, frames: int) -> tuple[list[StreamLayer], Scale]:
        """f_att and f_det of a map with `frames` of its frames in a segment."""
        scheme, (attend, detect) = self.settings.scheme, self.settings.kernels
        scale = Scale(frames, channels * (scheme in ATTENDING), self.classes * (scheme in DETECTING))
        wanted = ((scale.attention, attend), (scale.detection, detect))
        found = [_time((channels, out), kernel, self.ahead) for out, kernel in wanted if out]
        return [x if frames == 1 else Sequential(x, FramesToChannels(frames)) for x in found], scale


def _block(channels: tuple[int, int], ahead: Lookahead) -> StreamLayer:
    inner = channels[1], channels[1]
    body = Sequential(
        BatchNorm(channels[0]),
        Conv(channels, (3, 1), lookahead=ahead, bias=True),
        Conv(inner, (3, 1), lookahead=ahead, bias=True, activation="none"),
    )
    return Branch(body, Conv(channels, norm=False, activation="none"), join="add")


def _time(channels: tuple[int, int], kernel: int, ahead: Lookahead) -> Conv:
    return Conv(channels, (kernel, 1), lookahead=ahead, norm=False, activation="none")


def _he(module: nn.Module) -> None:
    """Start as the paper does (He et al. 2015)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)
