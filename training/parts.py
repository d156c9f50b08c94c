"""What a training learns from, chooses by, and is measured on."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from training.data import splits
from training.data.dataset import Dataset


class Parts(NamedTuple):
    """Disjoint parts of a data set; no group stands in two of them."""

    train: Dataset
    inner: Dataset
    test: Dataset


def parts(dataset: Dataset, fold: int | None, inner: float, seed: int) -> Parts:
    """Split a set.

    Parameters
    ----------
    fold
        The official fold that is held out; None: the official ``test`` part, where the set has one.
    inner
        Share of the rest that is held back for choosing.

    Raises
    ------
    ValueError
        The set has no such fold, or nothing is left to train on.
    """
    if fold is not None:
        split = splits.by_fold(dataset, [fold])
        train, test = split.train, split.test
    else:
        train = dataset.where(lambda item: item.split != "test")
        test = dataset.where(lambda item: item.split == "test")
    if not len(train):
        raise ValueError(f"{dataset.name}: expected recordings to train on, got none beside the held-out ones")
    if not inner:
        return Parts(train, replace(dataset, items=()), test)
    chosen = splits.hold_out(train, inner, seed)
    return Parts(chosen.train, chosen.test, test)
