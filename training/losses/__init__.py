"""Losses, one file each; importing this package registers them all."""

from __future__ import annotations

from training.losses import exclusive, frame_clip, macro_micro
from training.losses.registry import LOSSES, Loss

__all__ = ["LOSSES", "Loss", "exclusive", "frame_clip", "macro_micro"]
