"""Losses by their names."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from training.batch import Batch
from training.layers.heads import Scores
from training.registry import Registry

Loss = Callable[[Scores, Batch], Tensor]

LOSSES: Registry[Loss] = Registry("loss")
"""Builders take their settings and the number of classes, and give `Loss`: one number of a batch."""
