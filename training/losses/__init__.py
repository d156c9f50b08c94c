"""Losses, one file each; importing this package registers them all."""

from __future__ import annotations

from training.losses import categorical, exclusive, frame_clip
from training.losses.registry import LOSSES, Loss

__all__ = ["LOSSES", "Loss", "categorical", "exclusive", "frame_clip"]
