"""Procedures of training, one file each; importing this package registers them all."""

from __future__ import annotations

from training.procedures import distil, fit
from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure

__all__ = ["PROCEDURES", "Fitted", "Job", "Procedure", "distil", "fit"]
