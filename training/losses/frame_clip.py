"""Binary cross-entropy per frame and, over a pooling head, per clip."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def linear_softmax(probabilities: Tensor) -> Tensor:
    """Pool ``[B, T, C]`` to ``[B, C]``: frames weighted by their own probability (Wang et al., 2019)."""
    return (probabilities**2).sum(1) / probabilities.sum(1).clamp_min(1e-6)


def frame_clip_loss(logits: Tensor, targets: Tensor, clip_weight: float, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of frames that are taught plus `clip_weight` times that of clips.

    Parameters
    ----------
    logits
        ``[B, T, C]``.
    targets
        ``[B, T, C]``: 1, 0, or -1 where nothing is taught. A clip has a class if any frame has; it is not taught
        where its frames are 0 or -1 with at least one -1.
    smoothing
        Targets are drawn in by this much from 0 and 1: labels of recordings are never quite sure.
    """
    frame = _masked_bce(logits, targets, smoothing)
    if not clip_weight:
        return frame
    present, doubtful = (targets == 1).any(1), (targets == -1).any(1)
    clip = torch.where(present, 1, torch.where(doubtful, -1, 0))
    pooled = linear_softmax(torch.sigmoid(logits)).clamp(1e-5, 1 - 1e-5)
    return frame + clip_weight * _masked_bce(torch.logit(pooled), clip, smoothing)


def _masked_bce(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    taught = (targets >= 0).to(logits.dtype)
    wanted = targets.clamp_min(0).to(logits.dtype) * (1 - 2 * smoothing) + smoothing
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (loss * taught).sum() / taught.sum().clamp_min(1)
