"""Residual networks with pooling over frequency and attention over time (Ford et al., Interspeech 2019; card A).

features [B, T, bands]
  stem      7×7, 64; max pool 3×3 ÷ 2                      He et al.'s ResNets without what stands behind the last
  stages    64, 128 ÷ 2, 256 ÷ 2, 512 ÷ 2                   convolution: `truncated`
  bands     the mean over what is left of the bands         the embedding, one every 16 or 32 frames

segments    each 96 frames by itself, bands and time averaged; mean of the patches' probabilities      (ResNet A)
global      the mean embedding of the clip is classified                                               (ResNet B)
attention   every frame is classified, and the clip is their mean, weighted per class                  (ResNet + att)
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta
from torch import nn

from training.layers.activation import Activation
from training.layers.conv import Conv
from training.layers.global_mean import GlobalMeanHead
from training.layers.heads import AttentionHead, Head, MeanHead, Weight
from training.layers.network import Network
from training.layers.patches import Patches
from training.layers.pooling import AveragePool, Decimate, MaxPool
from training.layers.streaming import Branch, Identity, Residual, Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings

UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
EXPANSION = 4  # of a bottleneck unit's channels
PATCH = 96  # frames


class ResNetSettings(Settings):
    """Which network.

    Attributes
    ----------
    depth
        Layers; units of 50 and 101 are bottlenecks.
    width
        Channels of the stem and of the first stage: 64, or fewer for small machines.
    stride
        Of the stem: 1 gives a score every 16 frames, 2 every 32.
    pooling
        See above.
    weight
        What the attention weighs frames by, see `training.layers.heads.attention`.
    window
        Seconds that a clip score hears.
    """

    depth: Literal[18, 34, 50, 101] = 50
    width: Annotated[int, Meta(ge=1)] = 64
    stride: Literal[1, 2] = 2
    pooling: Literal["segments", "global", "attention"] = "attention"
    weight: Weight = "classes"
    window: Annotated[float, Meta(gt=0)] = 10.0


@MODELS.register("resnet", ResNetSettings)
def resnet(settings: ResNetSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s = settings
    layers, channels = truncated(s.depth, s.width, s.stride)
    frames = 16 * s.stride
    bands = -(-shape.bands // frames)
    if s.pooling == "segments":
        layers.append(AveragePool((PATCH // frames, bands)))
        body, frames = Sequential(Patches(PATCH, Sequential(*layers))), PATCH
    else:
        body = Sequential(*layers, AveragePool((1, bands)))
    window = max(1, int(s.window * shape.frame_rate / frames))
    network = Network(body, _head(s, nn.Linear(channels, shape.classes), window), shape.bands)
    network.bind()
    return network


def truncated(depth: int, width: int = 64, stride: int = 1) -> tuple[list[StreamLayer], int]:
    """Layers up to the last convolution, and how many channels it has.

    Paddings are those of the original, half a kernel on every side; in time a rest of a stride gives no frame.
    """
    layers = [Conv((1, width), (7, 7), (stride, stride), lookahead="same"), MaxPool((3, 3), (2, 2), "same", pad=1)]
    channels, unit = width, _bottleneck if depth >= 50 else _basic
    for stage, count in enumerate(UNITS[depth]):
        for number in range(count):
            step = 2 if stage and not number else 1
            layers.append(unit(channels, width << stage, step))
            channels = (width << stage) * (EXPANSION if depth >= 50 else 1)
    return layers, channels


def _basic(channels: int, width: int, stride: int) -> StreamLayer:
    body = Sequential(_conv((channels, width), 3, stride), _conv((width, width), 3, activation="none"))
    return _unit(body, (channels, width), stride)


def _bottleneck(channels: int, width: int, stride: int) -> StreamLayer:
    out = EXPANSION * width
    body = Sequential(
        _conv((channels, width)), _conv((width, width), 3, stride), _conv((width, out), activation="none")
    )
    return _unit(body, (channels, out), stride)


def _unit(body: StreamLayer, channels: tuple[int, int], stride: int) -> StreamLayer:
    """ReLU of the body beside its input; where shapes differ, beside a 1×1 convolution of it."""
    if stride == 1 and channels[0] == channels[1]:
        return Sequential(Residual(body), Activation("relu"))
    seen = Decimate((stride, stride)) if stride > 1 else Identity()
    return Sequential(
        Branch(body, Sequential(seen, _conv(channels, activation="none")), join="add"), Activation("relu")
    )


def _conv(channels: tuple[int, int], size: int = 1, stride: int = 1, activation: str = "relu") -> Conv:
    return Conv(channels, (size, size), (stride, stride), lookahead="same", activation=activation)


def _head(settings: ResNetSettings, classify: nn.Linear, window: int) -> Head:
    if settings.pooling == "segments":
        return MeanHead(classify, window)
    if settings.pooling == "global":
        return GlobalMeanHead(classify, window)
    return AttentionHead(classify, window, settings.weight)
