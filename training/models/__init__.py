"""Model families, one file each; importing this package registers them all."""

from __future__ import annotations

from training.models import compact, dscnn, resnet, vggish, wheatear
from training.models.registry import MODELS, Shape

__all__ = ["MODELS", "Shape", "compact", "dscnn", "resnet", "vggish", "wheatear"]
