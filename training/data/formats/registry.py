"""The registry of on-disk formats: ``load(settings, folder) -> Dataset``, named by a recipe's ``[data] kind``."""

from __future__ import annotations

from training.data.dataset import Dataset
from training.registry import Registry

FORMATS: Registry[Dataset] = Registry("data")
