"""AlexNet with batch norm on segments of one second, and what makes it small (card B).

features [B, T, 64]                          a frame every 10 ms
  segments of 1 s, each on its own
    conv 64, 11×7 / 2×1, pool 3×3 / 2        kernels and strides are time × frequency
    conv 192, 5×5, pool 3×3 / 2
    conv 384, 256, 256, 3×3, pool 3×3 / 2    256 maps of 5 × 7
    dense layers, as `reduction` says        the embedding
  head        sigmoid; clips by the mean over the last seconds

reduction   none    5·7·256 ─ 3982 ─ 3982 ─ classes          56.1 M parameters at 527 classes
            final   5·7·256 ─ 3982 ─ 3982 ─ n ─ classes      the embedding is n
            mid     5·7·256 ─ 3982 ─ n ─ 3982 ─ classes      the embedding is n
            fc      5·7·256 ─ n ─ n ─ classes
            gap     mean of 5·7 ─ 256 ─ classes              2.6 M: the embedding is the mean

Pools are unpadded and drop a rest, as images have it: all eleven sizes of the card agree on this layout.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta
from torch import nn

from training.layers.conv import Conv
from training.layers.deep import DeepMeanHead
from training.layers.dropout import Dropout
from training.layers.heads import Head, MeanHead
from training.layers.network import Network
from training.layers.segments import GlobalMean, Segments, WholeMaxPool
from training.layers.streaming import Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings

Size = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class AlexNetSettings(Settings):
    """What the network is reduced by, and its sizes.

    Attributes
    ----------
    reduction, size
        See above; n of ``final``, ``mid`` and ``fc``.
    norm
        Batch norm behind every convolution and hidden dense layer; parameters are counted with the biases before it.
    channels, dense
        Of the five convolutions and of the dense layers.
    dropout
        Before each hidden dense layer, of single values.
    segment, window
        Seconds of a segment, and of the segments that a clip score is the mean of.
    """

    reduction: Literal["none", "final", "mid", "fc", "gap"] = "none"
    size: Size = 256
    norm: bool = True
    channels: tuple[Size, Size, Size, Size, Size] = (64, 192, 384, 256, 256)
    dense: Size = 3982
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    segment: Seconds = 1.0
    window: Seconds = 10.0


@MODELS.register("alexnet", AlexNetSettings)
def alexnet(settings: AlexNetSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes.

    Raises
    ------
    ValueError
        A segment of so few frames or bands that nothing is left of it behind the pools.
    """
    s, length = settings, max(1, round(settings.segment * shape.frame_rate))
    sizes, layers, size = _dense_sizes(s), _convolutions(s), _map(length, shape.bands)
    if s.reduction == "gap":
        layers.append(GlobalMean())
    else:  # a dense layer on all of a map is a convolution as large as it is
        flat = Conv((s.channels[-1], sizes[0]), size, (size[0], 1), norm=s.norm, bias=True, collapse=True)
        layers += [_drop(s), flat, *(layer for pair in pairwise(sizes) for layer in (_drop(s), _dense(pair, s)))]
    window = max(1, round(s.window / s.segment))
    body = Segments(Sequential(*layers), sizes[-1], length, length)
    network = Network(body, _head(s, sizes[-1], shape.classes, window), shape.bands)
    network.bind()
    return network


def _dense_sizes(s: AlexNetSettings) -> list[int]:
    """Of the hidden layers up to the embedding."""
    return {
        "none": [s.dense, s.dense],
        "final": [s.dense, s.dense, s.size],
        "mid": [s.dense, s.size],
        "fc": [s.size, s.size],
        "gap": [s.channels[-1]],
    }[s.reduction]


def _head(s: AlexNetSettings, embedding: int, classes: int, window: int) -> Head:
    if s.reduction != "mid":
        return MeanHead(nn.Linear(embedding, classes), window)
    hidden = Sequential(_drop(s), _dense((embedding, s.dense), s))
    return DeepMeanHead(hidden, embedding, nn.Linear(s.dense, classes), window)


def _convolutions(s: AlexNetSettings) -> list[StreamLayer]:
    a, b, c, d, e = s.channels
    pool = WholeMaxPool((3, 3), (2, 2))
    return [
        Conv((1, a), (11, 7), (2, 1), lookahead="same", norm=s.norm, bias=True),
        pool,
        Conv((a, b), (5, 5), lookahead="same", norm=s.norm, bias=True),
        pool,
        *(Conv(pair, (3, 3), lookahead="same", norm=s.norm, bias=True) for pair in pairwise((b, c, d, e))),
        pool,
    ]


def _map(frames: int, bands: int) -> tuple[int, int]:
    """Size of the last map."""
    frames //= 2
    for _ in range(3):
        frames, bands = (frames - 3) // 2 + 1, (bands - 3) // 2 + 1
    if frames < 1 or bands < 1:
        raise ValueError("alexnet: expected segments of at least 30 frames of 15 bands, got fewer")
    return frames, bands


def _dense(sizes: tuple[int, int], s: AlexNetSettings) -> StreamLayer:
    return Conv(sizes, norm=s.norm, bias=True)


def _drop(s: AlexNetSettings) -> StreamLayer:
    return Dropout(s.dropout, whole=False)
