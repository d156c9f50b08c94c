"""Procedures of training, one file each; importing this package registers them all."""

from __future__ import annotations

from training.procedures.registry import PROCEDURES, Fitted, Job, Procedure
from training.registry import import_all

__all__ = ["PROCEDURES", "Fitted", "Job", "Procedure"]

import_all(__name__, __path__)
