"""Losses, one file each; importing this package registers them all."""

from __future__ import annotations

from training.losses.registry import LOSSES, Loss
from training.registry import import_all

__all__ = ["LOSSES", "Loss"]

import_all(__name__, __path__)
