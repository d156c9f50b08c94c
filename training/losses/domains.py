"""What makes embeddings of two domains alike: a discriminator that is to be fooled, or equal covariances.

embeddings   v [N, D]  source: labelled recordings       z = D(v)   a logit: is it source?
             w [M, D]  target: a new microphone or place

discriminate   BCE(D(v), 1) + BCE(D(w), 0)    for the discriminator (cards 27; Goodfellow et al. 2014)
fool           BCE(D(w), 1)                   for the extractor of the target's embeddings
reverse        v → v, gradient → -λ gradient  both at once: one descends, one climbs (Ganin et al., JMLR 2016)
coral          ‖Cov v - Cov w‖² / 4D²         no discriminator (Sun and Saenko, ECCV workshops 2016)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def discriminate(source: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of logits ``[N]`` of source embeddings and ``[M]`` of the target's: 2 ln 2 where both are guessed.

    Each domain's mean counts alike, however many examples it has.
    """
    return _entropy(source, 1.0) + _entropy(target, 0.0)


def fool(target: Tensor) -> Tensor:
    """Cross-entropy of the target's logits ``[M]`` with the wrong domain: ln 2 where the discriminator guesses."""
    return _entropy(target, 1.0)


def told_apart(source: Tensor, target: Tensor) -> float:
    """Balanced accuracy of a discriminator by its logits; 0.5 where the domains look alike to it."""
    return float((source > 0).float().mean() + (target <= 0).float().mean()) / 2


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse(x: Tensor, strength: float = 1.0) -> Tensor:
    """Return `x`; its gradient comes back with the other sign, `strength` times as large."""
    out: Tensor = _Reverse.apply(x, strength)
    return out


def covariance(x: Tensor) -> Tensor:
    """Covariance ``[D, D]`` of rows ``[N, D]``, divided by N - 1.

    Raises
    ------
    ValueError
        Fewer than two rows.
    """
    if len(x) < 2:
        raise ValueError(f"covariance: expected at least two embeddings of a domain, got {len(x)}; use larger batches")
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Squared distance of the covariances of ``[N, D]`` and ``[M, D]``, divided by 4 D²."""
    distance = (covariance(source) - covariance(target)).square().sum()
    return distance / (4 * source.shape[1] ** 2)


def _entropy(logits: Tensor, domain: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))
