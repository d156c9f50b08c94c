"""Two gated CRNNs, one at every frame, one at every fifth: onsets by the fine, steadiness by the coarse (card 19).

features [B, 5 T, 64]           8.3 ms
  ┌─ fine: cut into 5 pieces ─ gated CRNN ──────────────────────────┐
  └─ coarse: every 5th frame ─ gated CRNN ─ each frame five times ──┴─ concatenated ─ head          [B, 5 T, C]

Both hear windows of 64 ms, so a coarse frame *is* each fifth fine one. The pieces are as long as the coarse clip: a GRU
hears no more of the one than of the other. In a stream nothing is cut; the fine GRU hears all of the past.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from training.layers.network import Network
from training.layers.pooling import Decimate
from training.layers.rates import Pieces, Repeat
from training.layers.streaming import Branch, Sequential
from training.models.gated_crnn import GatedSettings, gated
from training.models.pooling import Pooling, both, pooling_head, ways
from training.models.registry import MODELS, Shape


class TwoRateSettings(GatedSettings):
    """Sizes of both networks, which share no weights.

    Attributes
    ----------
    ratio
        Fine frames per coarse one, and pieces of a clip.
    pooling, window
        Of clip scores, and over how many seconds.
    """

    pools: list[Annotated[int, Meta(ge=1)]] = msgspec.field(default_factory=lambda: [2, 2, 2, 2])
    norm: bool = False
    top: Annotated[int, Meta(ge=0)] = 128
    ratio: Annotated[int, Meta(ge=2)] = 5
    pooling: Pooling = "mean"
    window: Annotated[float, Meta(gt=0)] = 10.0


@MODELS.register("two-rate", TwoRateSettings)
def two_rate(settings: TwoRateSettings, shape: Shape) -> Network:
    """Build the network for a number of bands and classes."""
    s = settings
    fine, coarse = (gated(s, shape.bands) for _ in range(2))
    body = Branch(
        Pieces(s.ratio, fine) if both(s.direction) else fine,
        Sequential(Decimate((s.ratio, 1)), coarse, Repeat(s.ratio)),
    )
    size = 2 * s.hidden * ways(s.direction)
    return Network(body, pooling_head(s.pooling, size, shape.classes, int(s.window * shape.frame_rate)), shape.bands)
