"""Samplers by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.frontend.spec import FrontEndSpec
from training.augment import Chain
from training.batch import Batch
from training.data.dataset import Dataset
from training.data.shelf import Shelf
from training.registry import Registry

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """What samplers draw from.

    Attributes
    ----------
    dataset
        The training part; nothing else is ever seen.
    background
        Recordings of none of the classes.
    shelf
        Where samples are read from.
    spec
        Front end of the features.
    augment
        What a recipe's ``[[augment]]`` lists.
    frames
        Targets of frames ``[T, C]`` by names, which a procedure found: ``clips`` and ``windows`` teach them in place of
        what the recordings' labels say.
    """

    dataset: Dataset
    background: Dataset | None
    shelf: Shelf
    spec: FrontEndSpec
    augment: Chain = field(default_factory=lambda: Chain(()))
    frames: Mapping[str, Float32] = field(default_factory=dict)


class Sampler(Protocol):
    """Draws batches."""

    def batch(self, size: int, seed: int, step: int) -> Batch:
        """Return a batch, a pure function of its arguments: a resumed training sees what it would have seen."""


SAMPLERS: Registry[Sampler] = Registry("sampling")
"""Builders take their settings and a `Material`."""
