"""Mosquitoes by their flight tone: three convolutions on a tenth of a second (Li et al. 2018, card 30).

features [B, T, 26]                    10 ms a frame
  3 × conv 3×3 to 8, 32, 64            without padding: 26×10 → 24×8 → 22×6 → 20×4
  dense 128 over 20×4, then classes

In time each layer sees the past only, so every frame has the score of the ten frames that end with it.
"""

from __future__ import annotations

import msgspec
from torch import nn

from training.layers.conv import Conv
from training.layers.dropout import Dropout
from training.layers.heads import MeanHead
from training.layers.network import Network
from training.layers.streaming import Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.registry import Settings


class MosquitoSettings(Settings):
    """Sizes of the network.

    Attributes
    ----------
    channels
        Of the convolutions, all 3×3.
    picture
        Frames of a picture: those that a score hears.
    hidden
        Units of the dense layer.
    dropout
        Before the dense layer and behind it.
    """

    channels: list[int] = msgspec.field(default_factory=lambda: [8, 32, 64])
    picture: int = 10
    hidden: int = 128
    dropout: float = 0.3


@MODELS.register("mosquito", MosquitoSettings)
def mosquito(settings: MosquitoSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes.

    Raises
    ------
    ValueError
        The picture is smaller than the convolutions' field.
    """
    s, before = settings, 1
    layers: list[StreamLayer] = []
    for channels in s.channels:
        layers.append(Conv((before, channels), (3, 3), norm=False, collapse=True))
        before = channels
    lost = 2 * len(s.channels)
    rest = (s.picture - lost, shape.bands - lost)
    if min(rest) < 1:
        raise ValueError(f"mosquito: expected more than {lost} frames and bands, got {s.picture} and {shape.bands}")
    layers += [
        Dropout(s.dropout, whole=False),
        Conv((before, s.hidden), rest, norm=False, collapse=True),
        Dropout(s.dropout, whole=False),
    ]
    head = MeanHead(nn.Linear(s.hidden, shape.classes), 1)  # a clip's score is that of the picture at its end
    network = Network(Sequential(*layers), head, shape.bands)
    network.bind()
    return network
