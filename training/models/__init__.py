"""Model families, one file each; importing this package registers them all."""

from __future__ import annotations

from training.models import crnn, cross_task, dscnn, gated_crnn, inception_crnn, rcnn, two_rate, wheatear, when
from training.models.registry import MODELS, Shape

__all__ = [
    "MODELS",
    "Shape",
    "crnn",
    "cross_task",
    "dscnn",
    "gated_crnn",
    "inception_crnn",
    "rcnn",
    "two_rate",
    "wheatear",
    "when",
]
