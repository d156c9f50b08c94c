"""How batches are drawn from a data set, one file each; importing this package registers them all."""

from __future__ import annotations

from training.sampling import clips, mixtures, scenes, sequences
from training.sampling.registry import SAMPLERS, Material, Sampler

__all__ = ["SAMPLERS", "Material", "Sampler", "clips", "mixtures", "scenes", "sequences"]
