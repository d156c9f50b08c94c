"""Order without times: connectionist temporal classification over boundaries of sounds (Graves et al. 2006; card 15).

order      dog_start dog_end baby_start …                    what is known
paths      - - dog_start - - dog_end dog_end - baby_start    one symbol per frame that collapses to it: repeats fall
           dog_start dog_start - dog_end - - baby_start -    together, then blanks fall out
loss       −ln Σ over all such paths of Π of their frames' probabilities
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

from training.batch import Batch
from training.layers.heads import Scores
from training.losses.registry import LOSSES, Loss
from training.registry import Settings

LEAST = 1e-12  # probability of a symbol, so that its logarithm is a number


@LOSSES.register("ctc", Settings)
def ctc(settings: Settings, classes: int) -> Loss:  # noqa: ARG001 - the role's signature
    """Return the loss of a network with a head of boundaries, the mean over clips whose order is known."""

    def loss(scores: Scores, batch: Batch) -> Tensor:
        if scores.symbols is None:
            raise ValueError(
                'loss ctc: expected a head that gives boundary symbols (`pooling = "boundaries"`), got none'
            )
        if batch.order is None:
            raise ValueError(
                "loss ctc: expected recordings whose order of boundaries is known, in whole examples, got none"
            )
        known = batch.known_order
        return boundary_ctc(scores.symbols[known], batch.order[known]).sum() / known.sum().clamp_min(1)

    return loss


def boundary_ctc(symbols: Tensor, order: Tensor) -> Tensor:
    """Loss ``[B]`` of symbol probabilities ``[B, T, S]``, the last one the blank's, for orders ``[B, L]``, -1 behind.

    Orders that are too long for the frames cost nothing.
    """
    batch, frames, count = symbols.shape
    return functional.ctc_loss(
        symbols.clamp_min(LEAST).log().transpose(0, 1),
        order.clamp_min(0),
        torch.full((batch,), frames, dtype=torch.long),
        (order >= 0).sum(1).cpu(),
        blank=count - 1,
        reduction="none",
        zero_infinity=True,
    )


def best_path(symbols: Tensor) -> list[int]:
    """Read an order off the probabilities ``[T, S]`` of one clip: the likeliest symbol of each frame, collapsed."""
    return collapsed(symbols.argmax(1).tolist(), symbols.shape[1] - 1)


def collapsed(path: Iterable[int], blank: int) -> list[int]:
    """Return what a path says: repeats together, then blanks out.

    >>> collapsed([3, 2, 2, 0, 0, 1, 1, 1, 3], 3)
    [2, 0, 1]
    """
    return [symbol for symbol, _ in groupby(path) if symbol != blank]
