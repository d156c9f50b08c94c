"""What card B sets beside AlexNet: a perceptron, an LSTM, a GRU with attention and ResNet-50 on segments of one second.

segment-mlp             T · 64 ─ 1000 ─ 1000 ─ 1000 ─ classes
segment-lstm            three LSTMs of 2048 over the frames, the last one's last frame
segment-gru-attention   two GRUs of 2048 both ways, frames weighted by a learnt context of 1024
segment-resnet          ResNet-50 (He et al. 2016) of one channel, whose first convolution does not skip
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import MeanHead
from training.layers.network import Network
from training.layers.recurrent import GRU, LSTM
from training.layers.reshape import BandsToChannels
from training.layers.segments import ContextAttention, LastFrame, Segments
from training.layers.streaming import Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings

Size = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
EXPANSION = 4  # of the channels in a bottleneck block


class SegmentSettings(Settings):
    """What all of them share.

    Attributes
    ----------
    segment, window
        Seconds of a segment, and of the segments that a clip score is the mean of.
    """

    segment: Seconds = 1.0
    window: Seconds = 10.0

    def frames(self, shape: Shape) -> int:
        """Of a segment."""
        return max(1, round(self.segment * shape.frame_rate))


class MLPSettings(SegmentSettings):
    """Sizes of the hidden layers, and the dropout before each."""

    hidden: list[Size] = msgspec.field(default_factory=lambda: [1000, 1000, 1000])
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.5


class LSTMSettings(SegmentSettings):
    """Cells of each layer."""

    hidden: Size = 2048
    layers: Size = 3


class GRUAttentionSettings(SegmentSettings):
    """Cells of each layer and direction, and the size of the context."""

    hidden: Size = 2048
    layers: Size = 2
    context: Size = 1024


class ResNetSettings(SegmentSettings):
    """Channels of the first convolution (a stage's blocks begin with that, and double it), and blocks of each stage."""

    stem: Size = 64
    blocks: list[Size] = msgspec.field(default_factory=lambda: [3, 4, 6, 3])


@MODELS.register("segment-mlp", MLPSettings)
def mlp(settings: MLPSettings, shape: Shape) -> Network:
    """Build the perceptron; its first dense layer, on a whole segment, is a convolution as large as that."""
    frames, sizes = settings.frames(shape), settings.hidden
    first = Conv((1, sizes[0]), (frames, shape.bands), (frames, 1), bias=True, collapse=True)
    layers: list[StreamLayer] = [first]
    for pair in pairwise(sizes):
        layers += [Dropout(settings.dropout, whole=False), Conv(pair, bias=True)]
    return _network(Sequential(*layers, Dropout(settings.dropout, whole=False)), sizes[-1], settings, shape)


@MODELS.register("segment-lstm", LSTMSettings)
def lstm(settings: LSTMSettings, shape: Shape) -> Network:
    """Build the LSTM."""
    sizes = [shape.bands, *[settings.hidden] * settings.layers]
    layers = [LSTM(*pair) for pair in pairwise(sizes)]
    return _network(Sequential(BandsToChannels(), *layers, LastFrame()), settings.hidden, settings, shape)


@MODELS.register("segment-gru-attention", GRUAttentionSettings)
def gru_attention(settings: GRUAttentionSettings, shape: Shape) -> Network:
    """Build the two-sided GRU with attention."""
    both = 2 * settings.hidden
    inputs = [shape.bands, *[both] * (settings.layers - 1)]
    layers = [GRU(size, settings.hidden, bidirectional=True) for size in inputs]
    body = Sequential(BandsToChannels(), *layers, ContextAttention(both, settings.context))
    return _network(body, both, settings, shape)


@MODELS.register("segment-resnet", ResNetSettings)
def resnet(settings: ResNetSettings, shape: Shape) -> Network:
    """Build the residual network."""
    stem, blocks = settings.stem, settings.blocks
    layers: list[nn.Module] = [
        nn.Conv2d(1, stem, 7, padding=3, bias=False), nn.BatchNorm2d(stem), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    ]  # fmt: skip
    size = stem
    for stage, count in enumerate(blocks):
        inner = stem * 2**stage
        for number in range(count):
            layers.append(Bottleneck(size, inner, 2 if stage and not number else 1))
            size = EXPANSION * inner
    return _network(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), size, settings, shape)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions with batch norm, added to their input, which a 1×1 convolution fits where it must."""

    def __init__(self, size: int, inner: int, stride: int) -> None:
        super().__init__()
        out = EXPANSION * inner
        self.body = nn.Sequential(
            *_normed(size, inner, 1), nn.ReLU(), *_normed(inner, inner, 3, stride), nn.ReLU(), *_normed(inner, out, 1)
        )
        fits = stride == 1 and size == out
        self.skip = nn.Identity() if fits else nn.Sequential(*_normed(size, out, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, size, T, F]`` to ``[N, 4 · inner, T / stride, F / stride]``."""
        return functional.relu(self.body(x) + self.skip(x))


def _normed(size: int, out: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(size, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)


def _network(body: nn.Module, size: int, settings: SegmentSettings, shape: Shape) -> Network:
    """Segments, one beside another, and the mean of their probabilities."""
    frames = settings.frames(shape)
    head = MeanHead(nn.Linear(size, shape.classes), max(1, round(settings.window / settings.segment)))
    network = Network(Segments(body, size, frames, frames), head, shape.bands)
    network.bind()
    return network
