"""Binary cross-entropy per frame and, over a pooling head, per clip."""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional

from training.batch import Batch
from training.layers.heads import Scores
from training.losses.registry import LOSSES, Loss
from training.registry import Settings

NEAR = 1e-6  # probabilities are kept so far from 0 and 1: beyond, a float32 logit says nothing more


class FrameClipSettings(Settings):
    """Weights of the two parts.

    Attributes
    ----------
    frame_weight, clip_weight
        Of the frames' cross-entropy and of the clips'; 0 leaves a part out.
    smoothing
        Targets are drawn in by this much from 0 and 1: labels of recordings are never quite sure.
    """

    frame_weight: Annotated[float, Meta(ge=0)] = 1.0
    clip_weight: Annotated[float, Meta(ge=0)] = 0.5
    smoothing: Annotated[float, Meta(ge=0, lt=0.5)] = 0.01


@LOSSES.register("frame-clip", FrameClipSettings)
def frame_clip(settings: FrameClipSettings, classes: int) -> Loss:  # noqa: ARG001 - the role's signature
    """Return the weighted sum of the frames' and the clips' cross-entropy.

    Clips are pooled by the network's head; where it does not pool, by linear softmax.
    """

    def loss(scores: Scores, batch: Batch) -> Tensor:
        total = scores.frame.new_zeros(())
        if settings.frame_weight and batch.frame is not None:
            total = total + settings.frame_weight * bce(scores.frame, at_rate(batch.frame, scores), settings.smoothing)
        if settings.clip_weight:
            total = total + settings.clip_weight * bce(pooled(scores), clip_targets(batch), settings.smoothing)
        return total

    return loss


def linear_softmax(probabilities: Tensor) -> Tensor:
    """Pool ``[B, T, C]`` to ``[B, C]``: frames weighted by their own probability (Wang et al., 2019)."""
    return (probabilities**2).sum(1) / probabilities.sum(1).clamp_min(1e-6)


def pooled(scores: Scores) -> Tensor:
    """Probabilities ``[B, C]`` of whole clips."""
    return linear_softmax(scores.frame) if scores.clip is None else scores.clip[:, -1]


def clip_targets(batch: Batch) -> Tensor:
    """Targets ``[B, C]`` of clips: the batch's own, else those that follow from its frames.

    A clip has a class as far as any frame has it; it is not taught where no frame has it and one is doubtful.

    Raises
    ------
    ValueError
        The batch has neither.
    """
    if batch.clip is not None:
        return batch.clip
    if batch.frame is None:
        raise ValueError("loss: expected targets of frames or clips, got a batch without labels")
    strongest, doubtful = batch.frame.amax(1), (batch.frame < 0).any(1)
    return torch.where((strongest <= 0) & doubtful, -1, strongest)


def at_rate(targets: Tensor, scores: Scores) -> Tensor:
    """Targets ``[B, T, C]`` at the rate of the scores ``[B, T', C]``: of T / T' frames, the last decides."""
    frames = scores.frame.shape[1]
    each = targets.shape[1] // frames
    return targets[:, each - 1 :: each][:, :frames]


def bce(probabilities: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean binary cross-entropy over what is taught (targets of 0 … 1; -1 is not)."""
    taught = (targets >= 0).to(probabilities.dtype)
    wanted = targets.clamp_min(0).to(probabilities.dtype) * (1 - 2 * smoothing) + smoothing
    loss = functional.binary_cross_entropy_with_logits(
        torch.logit(probabilities, NEAR), wanted, reduction="none"
    )  # by logits, which mixed precision allows
    return (loss * taught).sum() / taught.sum().clamp_min(1)
