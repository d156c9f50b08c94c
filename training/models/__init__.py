"""Model families, one file each; importing this package registers them all."""

from __future__ import annotations

from training.models import bulbul, dscnn, mosquito, wheatear
from training.models.registry import MODELS, Shape

__all__ = ["MODELS", "Shape", "bulbul", "dscnn", "mosquito", "wheatear"]
