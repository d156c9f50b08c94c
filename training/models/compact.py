"""A compact embedding that streams, and what listens to it: cards C and 04 at the size of a sensor.

features [B, T, bands]                             at a hop of 20 ms
  trunk     that of `training.models.wheatear`: dense 5×5, 3×3 …, time ÷ 4, then residual blocks in time
  embed     pointwise to 128                       the embedding, the mean of `every` frames of the trunk
  sequence  see `training.models.sequence`

Where VGGish hears patches of 0.96 s, each by itself, this one hears the past of every frame, a second or more of it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.pooling import AveragePool
from training.layers.streaming import Residual, Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.models.sequence import SequenceNetwork, SequenceSettings, sequence
from training.registry import Settings

STRIDE = 4  # frames of the features per frame of the trunk


class CompactSettings(Settings):
    """Sizes.

    Attributes
    ----------
    stem, stages, width, dilations
        Channels of the convolutions, of the part in time; dilations of its blocks in frames of the trunk.
    embedding
        Channels of the embedding.
    every
        Frames of the trunk per embedding.
    dropout
        Behind the embedding.
    sequence
        What listens to the embeddings.
    """

    stem: int = 16
    stages: list[int] = msgspec.field(default_factory=lambda: [32, 56, 96])
    width: int = 160
    dilations: list[int] = msgspec.field(default_factory=lambda: [1, 2, 4])
    embedding: int = 128
    every: Annotated[int, Meta(ge=1)] = 2
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    sequence: SequenceSettings = SequenceSettings(hidden=128, window=5.0)


@MODELS.register("compact", CompactSettings)
def compact(settings: CompactSettings, shape: Shape) -> SequenceNetwork:
    """Build the network for a number of bands and classes."""
    s = settings
    layers, head = sequence(s.sequence, s.embedding, shape.classes, shape.frame_rate / (STRIDE * s.every))
    return SequenceNetwork(extractor(s, shape.bands), layers, head, shape.bands)


def extractor(s: CompactSettings, bands: int) -> Sequential:
    """Features ``[B, 1, T, bands]`` to embeddings ``[B, embedding, T', 1]``."""
    channels, bands = s.stem, -(-bands // 2)
    layers: list[StreamLayer] = [Conv((1, s.stem), (5, 5), (2, 2))]
    for number, out in enumerate(s.stages):
        layers.append(Conv((channels, out), (3, 3), (1 if number else STRIDE // 2, 2)))
        channels, bands = out, -(-bands // 2)
    layers.append(Conv((channels, s.width), (1, bands), collapse=True))
    layers += [Residual(Conv((s.width, s.width), (3, 1), dilation=(d, 1))) for d in s.dilations]
    layers += [Conv((s.width, s.embedding), activation="none"), AveragePool((s.every, 1)), Dropout(s.dropout)]
    return Sequential(*layers)
