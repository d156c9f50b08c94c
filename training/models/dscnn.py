"""A depthwise-separable CNN that scores every frame and sees only the past.

features [B, T, 64]
  stem      3×5 conv, frequency ÷2                          each frequency stage halves the bands and keeps time
  stages    depthwise 3×3 + pointwise …
  collapse  the remaining bands become channels             from here on time only
  temporal  residual depthwise k×1, dilation 1 2 4 8 …      receptive field about 2 s
  embed     pointwise                                       the embedding
  classify  one logit per class and frame
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import Head, rows
from training.layers.streaming import Clock, Residual, Sequential, State, StreamLayer, bind


class DSCNN(nn.Module):
    """Frame-level multi-label network.

    Parameters
    ----------
    classes
        Number of outputs.
    bands
        Features per frame.
    stem
        Channels of the first convolution.
    stages
        (channels, frequency stride) of each depthwise-separable stage.
    width
        Channels of the temporal part.
    kernel, dilations
        Of the temporal blocks, in frames.
    embedding
        Size of the vector before the last dense layer.
    dropout
        Before the last dense layer.
    """

    def __init__(
        self,
        classes: int,
        bands: int = 64,
        stem: int = 16,
        stages: Sequence[tuple[int, int]] = ((32, 2), (48, 2), (64, 1), (64, 2)),
        width: int = 96,
        kernel: int = 5,
        dilations: Sequence[int] = (1, 2, 4, 8, 8),
        embedding: int = 96,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.bands = bands
        layers: list[StreamLayer] = [Conv((1, stem), (3, 5), stride=(1, 2))]
        channels, bands = stem, -(-bands // 2)
        for out, stride in stages:
            layers.append(_separable((channels, out), stride))
            channels, bands = out, -(-bands // stride)
        layers.append(Conv((channels, width), (1, bands), collapse=True))
        layers += [Residual(_temporal(width, kernel, d)) for d in dilations]
        layers += [Dropout(dropout), Conv((width, embedding))]
        self.body = bind(Sequential(*layers), self.bands)
        self.drop = nn.Dropout(dropout)
        self.classify = nn.Linear(embedding, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``[B, T, classes]`` of features ``[B, T, bands]``."""
        return self.classify(self.drop(self.embed(features)))

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings ``[B, T, embedding]``."""
        return rows(self.body(_to_image(features)))

    def init_state(self, batch: int = 1) -> State:
        """Return the state before the first frame: zeros ``[B, past, bands, channels]`` by module path."""
        return self.body.init_state(batch)

    def step(self, features: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Logits, embeddings and the next state for the next frames ``[B, chunk, bands]``."""
        y, after = self.body.step(_to_image(features), state, Clock.at())  # causal: no layer asks for the time
        embedding = rows(y)
        return self.classify(embedding), embedding, after

    @property
    def head(self) -> Head:
        """The last layer as a head, which gives probabilities."""
        return Head(self.classify)

    @property
    def receptive_field(self) -> int:
        """Frames that a score depends on."""
        return 1 + int(self.body.after.past)


def _separable(channels: tuple[int, int], stride: int) -> StreamLayer:
    depthwise = Conv((channels[0], channels[0]), (3, 3), stride=(1, stride), groups=channels[0])
    block = Sequential(depthwise, Conv(channels))
    return Residual(block) if stride == 1 and channels[0] == channels[1] else block


def _temporal(width: int, kernel: int, dilation: int) -> StreamLayer:
    depthwise = Conv((width, width), (kernel, 1), dilation=(dilation, 1), groups=width)
    return Sequential(depthwise, Conv((width, width)))


def _to_image(features: Tensor) -> Tensor:
    return features.unsqueeze(1).contiguous(memory_format=torch.channels_last)
