"""CNN4 and CNN8: one small convolutional network for scenes, tags, birds, events and activities (card 43).

features [B, T, 64]
  4 ×     CNN4: 5×5 conv; CNN8: 2 × 3×3 conv (64, 128, 256, 512; batch norm, ReLU) ─ max-pool ÷ 2
  head    clips: maximum over time and bands, one dense layer
          events: bands are pooled, time is not; maximum over bands, mean over time, and the same dense layer per frame
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta
from torch import nn

from training.layers.conv import Conv
from training.layers.global_max import GlobalMaxHead
from training.layers.global_mean import GlobalMeanHead
from training.layers.network import Network
from training.layers.pooling import MaxPool
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings


class CrossTaskSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    layers
        Convolutions: 4 large or 8 small ones.
    maps
        Channels of the four stages.
    events
        Whether time keeps its resolution.
    window
        Seconds of a clip score.
    """

    layers: Literal[4, 8] = 8
    maps: tuple[int, int, int, int] = (64, 128, 256, 512)
    events: bool = True
    window: Annotated[float, Meta(gt=0)] = 10.0


@MODELS.register("cross-task", CrossTaskSettings)
def cross_task(settings: CrossTaskSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s, bands = settings, shape.bands
    size, repeats, stride = 5 if s.layers == 4 else 3, s.layers // 4, 1 if s.events else 2
    layers: list[StreamLayer] = []
    for before, after in zip((1, *s.maps), s.maps, strict=False):
        for channels in [(before, after), (after, after)][:repeats]:
            layers.append(Conv(channels, (size, size), lookahead="same"))
        layers.append(MaxPool((stride, 2)))
        bands //= 2
    layers += [MaxPool((1, bands)), BandsToChannels()]
    classify = nn.Linear(s.maps[-1], shape.classes)
    window = max(1, int(s.window * shape.frame_rate / stride**4))
    head = GlobalMeanHead(classify, window) if s.events else GlobalMaxHead(classify, window)
    return Network(Sequential(*layers), head, shape.bands)
