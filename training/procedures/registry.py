"""Procedures by their names: what turns a fresh network into a trained one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from training.batch import Batch
from training.compute import Compute
from training.data.dataset import Dataset
from training.losses.registry import Loss
from training.registry import Registry
from training.sampling.registry import Material

Watch = Callable[[int, Mapping[str, float]], None]
Draw = Callable[[int, int], Batch]
NOTHING = Dataset("", (), ())


def _none(table: dict[str, Any] | None) -> nn.Module:
    raise ValueError(f"procedure: expected a job that can build networks, got one that cannot, for {table!r}")


def _fixed(material: Material) -> Draw:
    raise ValueError(f"procedure: expected a job that can draw anew, got one that cannot, for {material.dataset.name}")


@dataclass(frozen=True)
class Job:
    """What a procedure works on.

    Attributes
    ----------
    model
        The network with fresh weights.
    draw
        Batch of (size, step); a pure function, so that a resumed training sees what it would have seen.
    loss
        Of scores and batch.
    checkpoint
        File that is read where it exists and written now and then.
    compute
        Device, precision, ranks.
    validate
        Figures on the inner split, the first of which decides (more is better); None where nothing is held back.
    watch
        Called with step and figures.
    until
        Stop early at this step and leave the checkpoint (for tests and interrupted work).
    fold
        The fold held out, for procedures that look up other runs of the same fold; None without.
    build
        A fresh network for the same features and classes, from a table such as a recipe's ``[model]``; of None, the
        recipe's own.
    material, redraw
        What batches are drawn from, and how they would be from something else: for procedures that find labels. None
        of samplers that would not teach them.
    inner
        Recordings that are held back for choosing.
    seed
        The recipe's.
    """

    model: nn.Module
    draw: Draw
    loss: Loss
    checkpoint: Path
    compute: Compute = field(default_factory=Compute)
    validate: Callable[[nn.Module], dict[str, float]] | None = None
    watch: Watch = lambda *_: None
    until: int | None = None
    fold: int | None = None
    build: Callable[[dict[str, Any] | None], nn.Module] = _none
    material: Material | None = None
    redraw: Callable[[Material], Draw] = _fixed
    inner: Dataset = NOTHING
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """What a procedure gives: weights, loss of every step, and figures of its own for the run's metrics."""

    weights: dict[str, Tensor]
    curve: list[float]
    figures: dict[str, float] = field(default_factory=dict)


Procedure = Callable[[Job], Fitted]
PROCEDURES: Registry[Procedure] = Registry("procedure")
"""Builders take their settings."""
