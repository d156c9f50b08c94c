"""VGGish and what listens to its embeddings (Hershey et al. 2017; Xu, Smit and Kurimo 2018; cards C and 04).

features [B, T, 64]                                   the front end `vggish`, a frame every 10 ms
  patches   96 frames each, none knows of another
            3×3 64 | 128 | 256 256 | 512 512          2×2 max pools between
            dense 4096, 4096, 128                     72 million parameters, nearly all here
  sequence  see `training.models.sequence`

It is far too large for a sensor: `training.models.compact` takes its place there.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from training.layers.conv import Conv
from training.layers.patches import Patches
from training.layers.pooling import MaxPool
from training.layers.streaming import Sequential, StreamLayer
from training.models.registry import MODELS, Shape
from training.models.sequence import SequenceNetwork, SequenceSettings, sequence
from training.registry import Settings

PATCH, POOLS = 96, 4  # frames; how often they are halved
BLOCKS = ((64,), (128,), (256, 256), (512, 512))
DENSE = (4096, 4096)
EMBEDDING = 128


class VGGishSettings(Settings):
    """Sizes.

    Attributes
    ----------
    width
        Share of the original's channels, 0 … 1; the embedding has 128 all the same.
    whiten
        A linear layer behind the embedding, for the PCA that AudioSet's embeddings have behind them.
    sequence
        What listens to the embeddings.
    """

    width: Annotated[float, Meta(gt=0, le=1)] = 1.0
    whiten: bool = False
    sequence: SequenceSettings = SequenceSettings()


@MODELS.register("vggish", VGGishSettings)
def vggish(settings: VGGishSettings, shape: Shape) -> SequenceNetwork:
    """Build the network for a number of bands and classes."""
    body = Patches(PATCH, extractor(shape.bands, settings.width, settings.whiten))
    layers, head = sequence(settings.sequence, EMBEDDING, shape.classes, shape.frame_rate / PATCH)
    return SequenceNetwork(body, layers, head, shape.bands)


def extractor(bands: int = 64, width: float = 1.0, whiten: bool = False) -> Sequential:
    """One patch ``[B, 1, 96, bands]`` to its embedding ``[B, 128, 1, 1]``; convolutions have biases and no norm."""
    layers: list[StreamLayer] = []
    channels = 1
    for block in BLOCKS:
        for size in block:
            out = max(1, round(size * width))
            layers.append(Conv((channels, out), (3, 3), lookahead="same", norm=False))
            channels = out
        layers.append(MaxPool((2, 2)))
    left = (PATCH >> POOLS, bands >> POOLS)
    for size in (*(max(1, round(dense * width)) for dense in DENSE), EMBEDDING):
        # A dense layer on all that is left of the patch is a convolution as large as that.
        layers.append(Conv((channels, size), left, (left[0], 1), norm=False, collapse=True))
        channels, left = size, (1, 1)
    if whiten:
        layers.append(Conv((EMBEDDING, EMBEDDING), norm=False, activation="none"))
    return Sequential(*layers)
