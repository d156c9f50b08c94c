"""Virtual adversarial training: what a clip is said to be must not change under the worst small change of its features.

    r      of all changes with ‖r‖ = ε the one that moves the clip's probabilities most     no label is asked for
    loss   KL[p(x) ‖ p(x + r)], p(x) held constant

The worst direction is found by power iterations from a random one: the gradient of the divergence a small step ξ along
it (Miyato et al. 2018; card 16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.losses.frame_clip import NEAR

Posterior = Callable[[Tensor], Tensor]


def adversarial(posterior: Posterior, features: Tensor, size: float, step: float = 1e-3, iterations: int = 1) -> Tensor:
    """Return the loss, the mean over examples.

    Parameters
    ----------
    posterior
        Features ``[B, T, F]`` to probabilities ``[B, C]``; called with the same features it must give the same.
    size
        ε: the norm of each example's change, over all its features.
    step
        ξ, as a share of `size`.
    iterations
        Of the search.
    """
    with torch.no_grad():
        here = posterior(features)
    change = worst(posterior, features, here, size, step, iterations)
    return divergence(here, posterior(features + change)).mean()


def worst(
    posterior: Posterior, features: Tensor, here: Tensor, size: float, step: float = 1e-3, iterations: int = 1
) -> Tensor:
    """Changes ``[B, T, F]`` of norm `size`."""
    direction = _unit(torch.randn_like(features))
    for _ in range(iterations):
        change = (step * size * direction).requires_grad_()
        moved = divergence(here, posterior(features + change)).sum()
        (gradient,) = torch.autograd.grad(moved, change)
        # where nothing moves the gradient is zero, and one direction is as bad as another
        direction = torch.where(gradient.abs().amax((1, 2), keepdim=True) > 0, _unit(gradient), direction)
    return (size * direction).detach()


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Kullback-Leibler divergence ``[B]`` of independent probabilities ``[B, C]``, summed over the classes."""
    p, q = p.clamp(NEAR, 1 - NEAR), q.clamp(NEAR, 1 - NEAR)
    return (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1)


@contextmanager
def steady(model: nn.Module) -> Iterator[None]:
    """Let a network that is trained answer the same to the same features, and learn no statistics from changed ones.

    Nothing is dropped, and batch norms keep their running statistics, though they go on normalising by the batch.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    drops = [module for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked.clone() for norm in norms]
    dropping = [drop.training for drop in drops]
    try:
        for norm in norms:
            norm.momentum = 0.0
        for drop in drops:
            drop.eval()
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)
        for drop, before in zip(drops, dropping, strict=True):
            drop.train(before)


def _unit(x: Tensor) -> Tensor:
    scale = x.abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)  # squares of tiny gradients vanish
    x = x / scale
    return x / x.square().sum((1, 2), keepdim=True).sqrt().clamp_min(torch.finfo(x.dtype).tiny)
