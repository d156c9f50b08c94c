"""Sequences of embeddings, drawn so that every class comes as often as any other (cards C, 37 and 04).

draw    0  1  2 … 526 | 527 528 …                   the classes in turn, over the borders of batches: of 527 classes and
class   0  1  2 … 526 |  0   1  …                   batches of 500 the second one begins with class 500
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from msgspec import Meta

from training.batch import Batch
from training.data.dataset import EmbeddedItem
from training.registry import Settings
from training.sampling.registry import SAMPLERS, Material

Float32 = npt.NDArray[np.float32]


class SequenceSettings(Settings):
    """How sequences are drawn.

    Attributes
    ----------
    segments
        Embeddings of an example: a stretch from a random place; what is shorter is repeated.
    balance
        ``labels``: the classes in turn; ``items``: every recording as often as any other.
    """

    segments: Annotated[int, Meta(ge=1)] = 10
    balance: Literal["labels", "items"] = "labels"


@SAMPLERS.register("sequences", SequenceSettings)
class Sequences:
    """Draws sequences; a batch is a pure function of its size, seed and step.

    Raises
    ------
    ValueError
        The data set has no embeddings.
    """

    def __init__(self, settings: SequenceSettings, material: Material) -> None:
        dataset = material.dataset
        if not dataset.embedded:
            raise ValueError(f"sampling: expected a data set of embeddings, got {dataset.name}: `clips` draws sound")
        self.settings, self.material = settings, material
        self.classes = len(dataset.labels)
        self.groups = dataset.by_label() if settings.balance == "labels" else [list(dataset.items)]
        self._orders: dict[int, tuple[int, npt.NDArray[np.int64]]] = {}  # of each group, in the round it is in

    def batch(self, size: int, seed: int, step: int) -> Batch:
        """Return embeddings ``[B, D, L, 1]`` and clip targets ``[B, C]``."""
        rng = np.random.default_rng([seed, step])
        items = [self.item(step * size + k, seed) for k in range(size)]
        values = np.stack([stretch(item.embedding(), self.settings.segments, rng) for item in items])
        targets = np.zeros((size, self.classes), np.float32)
        for row, item in zip(targets, items, strict=True):
            row[list(item.weak or ())] = 1.0
        values, targets = self.material.augment.mix(values, targets, rng)
        return Batch(torch.from_numpy(values.transpose(0, 2, 1)[..., None].copy()), None, torch.from_numpy(targets))

    def item(self, draw: int, seed: int) -> EmbeddedItem:
        """The item of a draw: of the class whose turn it is, one after another in an order that changes each round."""
        turn, label = divmod(draw, len(self.groups))
        group = self.groups[label]
        round_, place = divmod(turn, len(group))
        if self._orders.get(label, (-1,))[0] != round_:
            self._orders[label] = round_, np.random.default_rng([seed, label, round_]).permutation(len(group))
        return group[self._orders[label][1][place]]


def stretch(values: Float32, length: int, rng: np.random.Generator) -> Float32:
    """`length` rows of ``[T, D]`` from a random place; all of them again and again where there are fewer."""
    if len(values) < length:
        return np.resize(values, (length, values.shape[1]))
    first = int(rng.integers(len(values) - length + 1))
    return values[first : first + length]
