"""Macro and attentional micro supervision (card D): clips by their labels, and every segment by its clip's.

L = ξ(y, ŷ) + λ Σ_t a_t/M ξ(y, d̂_t),    ξ(y, p) = Σ_c w_c (− y_c ln p_c − (1 − y_c) ln(1 − p_c))      (eq. 3, 7, 8)

The weights of a clip's segments add up to 1 here and to M in the paper, whose λ = 1 is a `micro` of M.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional

from training.batch import Batch
from training.layers.heads import Scores
from training.layers.micro import Supervised
from training.losses.frame_clip import NEAR, clip_targets
from training.losses.registry import LOSSES, Loss
from training.registry import Settings


class MacroMicroSettings(Settings):
    """Weights of the parts; which there are, the network's `scheme` says.

    Attributes
    ----------
    micro
        λ.
    attend
        What attention and class weights speak of: ``all`` errors, as the paper has it, or those of the classes that
        the clip has, ``positives``, as the released code has it. Then all other classes count alike in every segment.
    beta
        Exponent of the classes' weights; 0 for none.
    shares
        Share of the training clips that each class is in; empty: the training counts them.
    """

    micro: Annotated[float, Meta(ge=0)] = 1.0
    attend: Literal["all", "positives"] = "all"
    beta: Annotated[float, Meta(ge=0)] = 0.3
    shares: list[Annotated[float, Meta(gt=0, lt=1)]] = msgspec.field(default_factory=list)


@LOSSES.register("macro-micro", MacroMicroSettings)
def macro_micro(settings: MacroMicroSettings, classes: int) -> Loss:
    """Return the mean over the clips of L.

    Raises
    ------
    ValueError
        As many shares as classes were expected, or the network is no M&mnet.
    """
    weights = class_weights(settings.shares or [0.5] * classes, settings.beta)
    if len(weights) != classes:
        raise ValueError(f"loss: expected `shares` of {classes} classes, got {len(weights)}")

    def loss(scores: Scores | Supervised, batch: Batch) -> Tensor:
        if not isinstance(scores, Supervised):
            raise ValueError('loss: macro-micro expected a network in training that has segment heads (kind = "mmnet")')
        given, w = clip_targets(batch), weights.to(scores.clip.device)
        total = scores.clip.new_zeros(())
        if scores.macro is not None:
            positive, negative = errors(scores.macro, given)
            total = total + (w * positive + (w if settings.attend == "all" else 1) * negative).sum(1).mean()
        if scores.micro is not None:
            total = total + settings.micro * _micro(scores, given, w, settings.attend)
        return total

    return loss


def _micro(scores: Supervised, given: Tensor, weights: Tensor, attend: str) -> Tensor:
    targets = given.unsqueeze(1).expand_as(scores.micro)
    if scores.pseudo is not None:
        targets = targets * torch.where(targets > 0, scores.pseudo, 1.0)
    positive, negative = errors(scores.micro, targets)
    a = scores.weight.unsqueeze(2)
    if attend == "all":
        return (a * weights * (positive + negative)).sum((1, 2)).mean()
    alike = a.sum(1, keepdim=True) / a.shape[1]
    return (a * weights * positive + alike * negative).sum((1, 2)).mean()


def errors(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """− y ln p and − (1 − y) ln(1 − p), elementwise; both are 0 where the target, −1, is not taught."""
    logits, taught = torch.logit(probabilities, NEAR), (targets >= 0).to(probabilities.dtype)
    wanted = targets.clamp_min(0).to(probabilities.dtype)
    return taught * wanted * functional.softplus(-logits), taught * (1 - wanted) * functional.softplus(logits)


def class_weights(shares: list[float], beta: float) -> Tensor:
    """w_c = (p̄ / p_c · (1 − p_c) / (1 − p̄))^β of the share p_c of clips that each class is in (eq. 11)."""
    p = torch.tensor(shares, dtype=torch.float32)
    mean = p.mean()
    return (mean / p * (1 - p) / (1 - mean)) ** beta
