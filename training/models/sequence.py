"""What listens to a sequence of embeddings (cards C, 37 and 04): means, memory, or attention on one or more levels.

embeddings [B, D, T, 1]
  dnn         3 × dense 600; the mean over the window is classified
  lstm        an LSTM of 600; its last output is classified
  attention   dense 600 after dense 600, class-wise attention behind the layers that `taps` names, joined
  statistics  mean ⊕ deviation over the window, classified: a small head to train an extractor under (ours)
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from training.layers.activation import Activation
from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.global_mean import GlobalMeanHead
from training.layers.heads import Head, MeanHead, Scores, Weight
from training.layers.mean_std import MeanStdHead
from training.layers.multilevel import MultiLevelAttentionHead
from training.layers.network import Network
from training.layers.norm import BatchNorm
from training.layers.recurrent import LSTM
from training.layers.streaming import Sequential, StreamLayer
from training.registry import Settings


class SequenceSettings(Settings):
    """Which, and how large.

    Attributes
    ----------
    kind
        See above.
    hidden
        Channels of a layer.
    layers
        Dense layers of ``dnn``.
    taps
        Levels with attention: [3] is card C's level-3 and card 37's 3-A, [2, 3] its 2-A-1-A.
    weight
        What the attention weighs frames by, see `training.layers.heads.attention`.
    dropout
        Behind each dense layer.
    exclusive
        Attention with softmax in place of sigmoids: clips have one class each (card 04).
    window
        Seconds that a clip score hears.
    """

    kind: Literal["dnn", "lstm", "attention", "statistics"] = "attention"
    hidden: Annotated[int, Meta(ge=1)] = 600
    layers: Annotated[int, Meta(ge=1)] = 3
    taps: list[int] = msgspec.field(default_factory=lambda: [2, 3])
    weight: Weight = "classes"
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.4
    exclusive: bool = False
    window: Annotated[float, Meta(gt=0)] = 9.6


class SequenceNetwork(Network):
    """An extractor and what listens to its embeddings; it takes features, or embeddings that are there already.

    Parameters
    ----------
    extractor
        Features ``[B, 1, T, bands]`` to embeddings ``[B, D, T', 1]``.
    layers, head
        From `sequence`.
    """

    def __init__(self, extractor: StreamLayer, layers: list[StreamLayer], head: Head, bands: int) -> None:
        super().__init__(Sequential(extractor, *layers), head, bands)
        self.bind()

    def forward(self, features: Tensor) -> Scores:
        """Whole clip: features ``[B, T, bands]``, or embeddings ``[B, D, T', 1]``."""
        if features.ndim == 3:
            return super().forward(features)
        for layer in self.body.layers[1:]:
            features = layer(features)
        with torch.autocast(features.device.type, enabled=False):  # as the base
            return self.head(features.float())


def sequence(settings: SequenceSettings, embedding: int, classes: int, rate: float) -> tuple[list[StreamLayer], Head]:
    """Layers to put behind the embedding, and the head.

    Parameters
    ----------
    rate
        Embeddings per second.
    """
    s, window = settings, max(1, round(settings.window * rate))
    if s.kind == "lstm":
        return [LSTM(embedding, s.hidden)], MeanHead(nn.Linear(s.hidden, classes), 1)
    if s.kind == "statistics":
        return [], MeanStdHead(nn.Linear(embedding, classes), nn.Linear(2 * embedding, classes), window)
    if s.kind == "dnn":
        sizes = [embedding, *[s.hidden] * s.layers]
        layers = [layer for k in range(s.layers) for layer in _dense(sizes[k], sizes[k + 1], s.dropout)]
        return layers, GlobalMeanHead(nn.Linear(s.hidden, classes), window)
    return [], MultiLevelAttentionHead(embedding, s.hidden, s.taps, classes, window, s.weight, s.dropout, s.exclusive)


def _dense(channels: int, out: int, dropout: float) -> list[StreamLayer]:
    linear = Conv((channels, out), norm=False, activation="none")
    return [linear, BatchNorm(out), Activation("relu"), Dropout(dropout, whole=False)]
