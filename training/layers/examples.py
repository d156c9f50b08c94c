"""Small networks, at least one for every layer and head: what tests and measurements of streaming run over."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from training.layers.activation import GLU, Activation, Product
from training.layers.boundaries import BoundaryHead
from training.layers.conv import Conv, TransposedConv
from training.layers.deep import DeepMeanHead
from training.layers.dropout import Dropout
from training.layers.excite import SqueezeExcite
from training.layers.global_max import GlobalMaxHead
from training.layers.global_mean import GlobalMeanHead
from training.layers.gru_bank import GRUBank
from training.layers.heads import (
    AttentionHead,
    ExponentialSoftmaxHead,
    FeatureAttentionHead,
    Head,
    LinearSoftmaxHead,
    MaxHead,
    MeanHead,
    MeanMaxHead,
)
from training.layers.mean_std import MeanStdHead
from training.layers.micro import SCHEMES
from training.layers.multilevel import MultiLevelAttentionHead
from training.layers.network import Network
from training.layers.norm import BatchNorm
from training.layers.patches import Patches
from training.layers.pooling import AveragePool, Decimate, MaxPool
from training.layers.rates import Repeat
from training.layers.recurrent import GRU, LSTM
from training.layers.reshape import BandsToChannels, ChannelsToBands, FramesToChannels
from training.layers.segments import GlobalMean, LastFrame, Segments, WholeMaxPool
from training.layers.slices import Neighbours, SliceMaxPool, Slices
from training.layers.sru import SRU
from training.layers.streaming import Branch, Identity, Residual, Sequential, StreamLayer
from training.layers.weighted_gru import WeightedGRU, WeightedGRUHead
from training.models.dscnn import DSCNNSettings, dscnn
from training.models.mmnet import MMNetSettings, mmnet
from training.models.registry import Shape

CLASSES, WINDOW = 3, 7


def on_top(layer: Callable[[], StreamLayer], channels: int, late: bool) -> StreamLayer:
    """The layer between a convolution that makes its input and what makes one band of its output."""
    before = Conv((1, channels), (3, 3), lookahead="same" if late else 0, activation="none")
    return Sequential(before, layer(), BandsToChannels())


def _picture() -> StreamLayer:
    """What looks at a segment as at a picture: 5 numbers of 4 channels."""
    return Sequential(
        Conv((4, 6), (3, 3), lookahead="same", bias=True), WholeMaxPool((3, 3), (2, 2)), Conv((6, 5)), GlobalMean()
    )


def _stack() -> StreamLayer:
    """What looks at a segment as at three slices of four frames, two numbers for each of 3 maps."""
    return Sequential(
        Slices(3), Neighbours(3), Conv((12, 3), (3, 3), lookahead="same"), SliceMaxPool(3, 2), SliceMaxPool(2, 2),
        WholeMaxPool((2, 2), (2, 2)), GRUBank(3, 3, 2),
    )  # fmt: skip


C, F = 4, 6  # channels and bands that the layers below are fed
LAYERS: dict[str, tuple[Callable[[], StreamLayer], int]] = {  # and the channels × bands that they give
    "conv": (lambda: Conv((C, 5), (3, 3)), 5 * F),
    "conv same": (lambda: Conv((C, 5), (5, 3), lookahead="same"), 5 * F),
    "conv one frame ahead": (lambda: Conv((C, 5), (4, 1), lookahead=1, activation="silu"), 5 * F),
    "conv strided": (lambda: Conv((C, 5), (3, 3), stride=(2, 2)), 5 * 3),
    "conv strided same": (lambda: Conv((C, 5), (6, 3), stride=(3, 1), lookahead="same"), 5 * F),
    "conv dilated same": (lambda: Conv((C, 5), (3, 3), dilation=(3, 2), lookahead="same"), 5 * F),
    "conv depthwise": (lambda: Conv((C, C), (3, 3), groups=C, lookahead="same"), C * F),
    "conv depthwise multiplied": (lambda: Conv((C, 2 * C), (3, 1), groups=C), 2 * C * F),
    "conv grouped": (lambda: Conv((C, 6), (3, 3), groups=2, activation="none"), 6 * F),
    "conv without norm": (lambda: Conv((C, 5), (1, 1), norm=False, activation="tanh"), 5 * F),
    "conv collapsing": (lambda: Conv((C, 5), (1, F), collapse=True), 5),
    "transposed": (lambda: Sequential(AveragePool((2, 1)), TransposedConv((C, 5), 5, 2)), 5 * F),
    "transposed same": (
        lambda: Sequential(AveragePool((2, 1)), TransposedConv((C, 5), 6, 2, lookahead="same")),
        5 * F,
    ),
    "transposed then strided": (
        lambda: Sequential(
            AveragePool((3, 1)), TransposedConv((C, 5), 5, 3, lookahead="same"), Conv((5, 4), (3, 1), (3, 1))
        ),
        4 * F,
    ),
    "batch norm": (lambda: BatchNorm(C), C * F),
    "batch norm folded": (lambda: Sequential(Conv((C, 5), (3, 1), norm=False, activation="none"), BatchNorm(5)), 5 * F),
    "conv of even height": (lambda: Conv((C, 5), (2, 2), lookahead=1), 5 * F),
    "glu": (GLU, C // 2 * F),
    "product": (Product, C // 2 * F),
    "max pool": (lambda: MaxPool((2, 2)), C * 3),
    "max pool overlapping": (lambda: MaxPool((3, 1), (1, 1)), C * F),
    "max pool same": (lambda: MaxPool((5, 2), (2, 2), lookahead="same"), C * 3),
    "max pool padded": (lambda: MaxPool((3, 3), (2, 2), lookahead="same", pad=1), C * 3),
    "decimate": (lambda: Sequential(Conv((C, C), (5, 1), lookahead="same"), Decimate((2, 2))), C * 3),
    "max pool of padded bands": (lambda: MaxPool((3, 3), (1, 1), "same", pad=1), C * F),
    "average pool": (lambda: AveragePool((3, 2)), C * 3),
    "average pool same": (lambda: AveragePool((4, 1), (2, 1), lookahead="same"), C * F),
    "squeeze-excite channels": (lambda: SqueezeExcite(C, 2), C * F),
    "squeeze-excite bands": (lambda: SqueezeExcite(F, 2, over="bands"), C * F),
    "dropout": (lambda: Dropout(0.5), C * F),
    "gru": (lambda: Sequential(BandsToChannels(), GRU(C * F, 5)), 5),
    "lstm": (lambda: Sequential(BandsToChannels(), LSTM(C * F, 5)), 5),
    "sru": (lambda: Sequential(BandsToChannels(), SRU(C * F, 5)), 5),
    "sru as wide as its input": (lambda: Sequential(BandsToChannels(), SRU(C * F, C * F)), C * F),
    "weighted gru": (lambda: Sequential(BandsToChannels(), WeightedGRU(C * F, 5, 0.3)), 10),
    "two rates": (
        lambda: Branch(Identity(), Sequential(Decimate((3, 1)), Conv((C, 2), (3, 1), lookahead="same"), Repeat(3))),
        (C + 2) * F,
    ),
    "reshapes": (lambda: Sequential(BandsToChannels(), ChannelsToBands(F), Conv((C, C), (1, 3))), C * F),
    "frames to channels": (
        lambda: Sequential(BandsToChannels(), FramesToChannels(3), Conv((3 * C * F, 5), norm=False)),
        5,
    ),
    "segments": (lambda: Segments(_picture(), 5, 6, 6), 5),
    "segments overlapping": (lambda: Segments(_picture(), 5, 8, 4), 5),
    "segments of slices": (lambda: Segments(_stack(), 6, 12, 4, newest=True), 6),
    "segments heard to their end": (
        lambda: Segments(Sequential(BandsToChannels(), GRU(C * F, 5), LastFrame()), 5, 4, 4),
        5,
    ),
    "patches": (lambda: Patches(6, Sequential(Conv((C, 5), (3, 3), lookahead="same"), AveragePool((6, 1)))), 5 * F),
    "residual": (lambda: Residual(Sequential(Conv((C, C), (3, 3)), Conv((C, C), (2, 1), activation="none"))), C * F),
    "residual same": (lambda: Residual(Conv((C, C), (5, 3), lookahead="same")), C * F),
    "residual over an hourglass": (
        lambda: Residual(Sequential(MaxPool((2, 1)), TransposedConv((C, C), 4, 2, lookahead="same"))),
        C * F,
    ),
    "branches": (
        lambda: Branch(Conv((C, 2), (3, 1), lookahead="same"), Conv((C, 3), (7, 1), lookahead="same"), Conv((C, 1))),
        6 * F,
    ),
    "context gate": (
        lambda: Branch(Identity(), Conv((C, C), (5, 1), lookahead=1, activation="sigmoid"), join="multiply"),
        C * F,
    ),
    "late, then strided": (
        lambda: Sequential(Conv((C, C), (3, 1), lookahead="same"), AveragePool((2, 1)), Conv((C, C), (5, 1), (2, 1))),
        C * F,
    ),
}
LAYERS |= {
    f"activation {name}": (lambda name=name: Activation(name), C * F)
    for name in ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hard_swish", "sigmoid", "tanh", "exp")
}
HEADS: dict[str, Callable[[int], Head]] = {
    "frame": lambda size: Head(nn.Linear(size, CLASSES)),
    "mean": lambda size: MeanHead(nn.Linear(size, CLASSES), WINDOW),
    "max": lambda size: MaxHead(nn.Linear(size, CLASSES), WINDOW),
    "linear softmax": lambda size: LinearSoftmaxHead(nn.Linear(size, CLASSES), WINDOW),
    "exponential softmax": lambda size: ExponentialSoftmaxHead(nn.Linear(size, CLASSES), WINDOW),
    "attention": lambda size: AttentionHead(nn.Linear(size, CLASSES), WINDOW),
    "attention of classes": lambda size: AttentionHead(nn.Linear(size, CLASSES), WINDOW, "classes"),
    "attention of features": lambda size: FeatureAttentionHead(size, 6, CLASSES, WINDOW),
    "attention by sigmoids": lambda size: AttentionHead(nn.Linear(size, CLASSES), WINDOW, "sigmoid"),
    "attention of several levels": lambda size: MultiLevelAttentionHead(size, 5, [1, 2], CLASSES, WINDOW),
    "attention of one level": lambda size: MultiLevelAttentionHead(size, 5, [2], CLASSES, WINDOW, "classes"),
    "attention, one class": lambda size: MultiLevelAttentionHead(size, 5, [1, 3], CLASSES, WINDOW, exclusive=True),
    "mean embedding": lambda size: GlobalMeanHead(nn.Linear(size, CLASSES), WINDOW),
    "global max": lambda size: GlobalMaxHead(nn.Linear(size, CLASSES), WINDOW),
    "boundaries": lambda size: BoundaryHead(nn.Linear(size, 2 * CLASSES + 1), WINDOW),
    "boundaries of a frame": lambda size: BoundaryHead(nn.Linear(size, 2 * CLASSES + 1), 1),
    "weighted memory": lambda size: WeightedGRUHead(nn.Linear(size // 2, CLASSES), WINDOW, [1]),
    "mean and max": lambda size: MeanMaxHead(nn.Linear(size, CLASSES), WINDOW),
    "mean and deviation": lambda size: MeanStdHead(nn.Linear(size, CLASSES), nn.Linear(2 * size, CLASSES), WINDOW),
    "mean behind a hidden layer": lambda size: DeepMeanHead(
        Sequential(Conv((size, 7), bias=True)), size, nn.Linear(7, CLASSES), WINDOW
    ),
    "one-frame window": lambda size: AttentionHead(nn.Linear(size, CLASSES), 1),
}


def _crnn() -> Network:
    body = Sequential(
        Conv((1, 8), (3, 3), lookahead="same", activation="none"),
        GLU(),
        MaxPool((2, 2)),
        Conv((4, 6), (3, 3), lookahead="same"),
        SqueezeExcite(6, 2),
        AveragePool((1, 2)),
        BandsToChannels(),
        GRU(12, 6),
        GRU(6, 5),
        Dropout(0.3),
    )
    return Network(body, AttentionHead(nn.Linear(5, CLASSES), 9), 8)


def _tcn() -> Network:
    blocks = [
        Residual(Sequential(Conv((6, 6), (3, 1), dilation=(d, 1), groups=6, lookahead="same"), Conv((6, 6))))
        for d in (1, 2, 4)
    ]
    body = Sequential(Conv((1, 6), (1, 8), collapse=True), *blocks)
    return Network(body, MeanMaxHead(nn.Linear(6, CLASSES), 5), 8)


def _waveform() -> Network:
    body = Sequential(
        Conv((1, 6), (16, 1), (8, 1), norm=False),
        Conv((6, 6), (4, 1), (2, 1), lookahead="same"),
        LSTM(6, 5),
    )
    return Network(body, LinearSoftmaxHead(nn.Linear(5, CLASSES), 6), 1)


def _mmnet(scheme: str, *, causal: bool = False) -> Network:
    sizes = MMNetSettings(scheme=scheme, stem=5, blocks=[6, 8], pools=[2], dense=[7], window=0.32, causal=causal)
    return mmnet(sizes, Shape(8, CLASSES, 50.0))


def _dscnn(*, causal: bool = True) -> Network:
    sizes = {"stem": 4, "stages": [(6, 2), (6, 1)], "width": 8, "kernel": 3, "dilations": [1, 2], "embedding": 5}
    return dscnn(DSCNNSettings(**sizes, causal=causal), Shape(16, CLASSES, 50.0))


NETWORKS: dict[str, Callable[[], Network]] = {
    **{
        f"{name}, {'late' if late else 'prompt'}": lambda make=make, size=size, late=late: Network(
            on_top(make, C, late), Head(nn.Linear(size, CLASSES)), F
        )
        for name, (make, size) in LAYERS.items()
        for late in (False, True)
    },
    **{
        f"head {name}, {'late' if late else 'prompt'}": lambda make=make, late=late: Network(
            on_top(Identity, C, late), make(C * F), F
        )
        for name, make in HEADS.items()
        for late in (False, True)
    },
    **{f"mmnet {scheme}": lambda scheme=scheme: _mmnet(scheme) for scheme in SCHEMES},
    "mmnet causal": lambda: _mmnet("mm", causal=True),
    "dscnn": _dscnn,
    "dscnn both ways": lambda: _dscnn(causal=False),
    "crnn": _crnn,
    "tcn": _tcn,
    "waveform": _waveform,
}


def build(name: str) -> Network:
    """A network of the registry with weights and statistics that are not trivial, bound, in evaluation mode."""
    torch.manual_seed(sum(map(ord, name)))
    network = alive(NETWORKS[name]())
    network.bind()
    return network


def alive(network: Network) -> Network:
    """Give the batch norms statistics that are not the identity, as training does."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for path, value in [*network.named_buffers(), *network.named_parameters()]:
            if path.endswith(("running_mean", "norm.bias")):
                value.copy_(0.3 * torch.randn(value.shape, generator=generator))
            if path.endswith(("running_var", "norm.weight")):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return network.eval()
