"""What families that learn from clips share: a head by its name, and the two ways in which a recurrent layer runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import nn

from training.layers.boundaries import BoundaryHead
from training.layers.heads import AttentionHead, Head, LinearSoftmaxHead, MaxHead, MeanHead

Pooling = Literal["mean", "max", "linear", "attention", "class-attention", "boundaries"]
Direction = Literal["both", "forward"]
"""``both``: as published, from the clip's two ends, in windows; ``forward``: hears the past only, and streams."""
HEADS: dict[str, Callable[[nn.Linear, int], Head]] = {
    "mean": MeanHead,
    "max": MaxHead,
    "linear": LinearSoftmaxHead,
    "attention": AttentionHead,
    "class-attention": partial(AttentionHead, weight="classes"),
    "boundaries": BoundaryHead,
}


def pooling_head(kind: Pooling, embedding: int, classes: int, window: int) -> Head:
    """Build a head for embeddings; the one of boundaries has two symbols per class and a blank."""
    return HEADS[kind](nn.Linear(embedding, 2 * classes + 1 if kind == "boundaries" else classes), max(1, window))


def both(direction: Direction) -> bool:
    """Whether recurrent layers run both ways."""
    return direction == "both"


def ways(direction: Direction) -> int:
    """Recurrent states per unit."""
    return 2 if direction == "both" else 1
