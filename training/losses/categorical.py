"""Cross-entropy of clips with networks whose head ends in a softmax: −Σ y ln p (cards 04 and C, 41 classes)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from torch import Tensor

from training.batch import Batch
from training.layers.heads import Scores
from training.losses.frame_clip import NEAR, clip_targets, pooled
from training.losses.registry import LOSSES, Loss
from training.registry import Settings


class CategoricalSettings(Settings):
    """Share of a clip's label that is spread over all classes."""

    smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.0


@LOSSES.register("categorical", CategoricalSettings)
def categorical(settings: CategoricalSettings, classes: int) -> Loss:
    """Return the mean cross-entropy of clips; their probabilities are divided by their sum, should it not be 1.

    Class-wise attention weighs every class by other frames: after one level of it nothing makes the sum 1.
    """

    def loss(scores: Scores, batch: Batch) -> Tensor:
        probabilities, shares = pooled(scores), clip_targets(batch).clamp_min(0)
        weight = shares.sum(1, keepdim=True)
        wanted = shares * (1 - settings.smoothing) + weight * settings.smoothing / classes
        logs = (probabilities / probabilities.sum(1, keepdim=True).clamp_min(NEAR)).clamp_min(NEAR).log()
        return -(wanted * logs).sum() / weight.sum().clamp_min(1)

    return loss
