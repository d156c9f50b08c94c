"""How batches are drawn from a data set, one file each; importing this package registers them all."""

from __future__ import annotations

from training.registry import import_all
from training.sampling.registry import SAMPLERS, Material, Sampler

__all__ = ["SAMPLERS", "Material", "Sampler"]

import_all(__name__, __path__)
