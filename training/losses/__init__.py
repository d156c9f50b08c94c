"""Losses, one file each; importing this package registers them all."""

from __future__ import annotations

from training.losses import boundary_ctc, exclusive, frame_clip, multiple_instance
from training.losses.registry import LOSSES, Loss

__all__ = ["LOSSES", "Loss", "boundary_ctc", "exclusive", "frame_clip", "multiple_instance"]
