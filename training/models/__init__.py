"""Model families, one file each; importing this package registers them all."""

from __future__ import annotations

from training.models.registry import MODELS, Shape
from training.registry import import_all

__all__ = ["MODELS", "Shape"]

import_all(__name__, __path__)
