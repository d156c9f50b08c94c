"""Recordings of one class each: a softmax decides between the classes, and every frame says for itself what sounds."""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from training.batch import Batch
from training.layers.heads import Scores
from training.losses.frame_clip import NEAR, at_rate, bce, clip_targets, pooled
from training.losses.registry import LOSSES, Loss
from training.registry import Settings


class ExclusiveSettings(Settings):
    """Weights of the two parts.

    Attributes
    ----------
    frame_weight
        Of the frames' cross-entropy, summed over the classes.
    smoothing
        Share of a clip's label that is spread over all classes.
    frame_smoothing
        Targets of frames are drawn in by this much from 0 and 1.
    """

    frame_weight: Annotated[float, Meta(ge=0)] = 0.12
    smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    frame_smoothing: Annotated[float, Meta(ge=0, lt=0.5)] = 0.01


@LOSSES.register("exclusive", ExclusiveSettings)
def exclusive(settings: ExclusiveSettings, classes: int) -> Loss:
    """Return the cross-entropy of a softmax over the clips' logits, plus that of the frames.

    A clip's targets are shares that add up to 1, or to 0 where none of the classes sounds: then only frames count.
    """

    def loss(scores: Scores, batch: Batch) -> Tensor:
        total = softmax_entropy(pooled(scores), clip_targets(batch), settings.smoothing)
        if settings.frame_weight and batch.frame is not None:
            frames = bce(scores.frame, at_rate(batch.frame, scores), settings.frame_smoothing)
            total = total + settings.frame_weight * classes * frames
        return total

    return loss


def softmax_entropy(probabilities: Tensor, shares: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of shares ``[B, C]`` with the softmax of the logits of probabilities ``[B, C]``.

    Clips weigh as much as their shares add up to.
    """
    weight = shares.sum(1, keepdim=True)
    wanted = shares * (1 - smoothing) + weight * smoothing / shares.shape[1]
    logs = torch.log_softmax(torch.logit(probabilities, NEAR), 1)
    return -(wanted * logs).sum() / weight.sum().clamp_min(1)
