"""Which recordings train, which choose, which test. A group (recordist, site, source recording) never crosses.

official fold 3      by_fold(set, [3])            train: the others      test: fold 3
official parts       by_split(set)                train: "train"         test: "test"
k folds              k_folds(set, 5, seed)        five times
one group out        leave_one_out(set)           as often as there are groups
a share held out     hold_out(set, 0.2, seed)     also the inner split, which chooses: hold_out(split.train, 0.2, seed)

What is chosen (epoch, threshold, recipe) is chosen on an inner part of the training part, never on the test part.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from training.data.dataset import Dataset, Item

Indices = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


@dataclass(frozen=True)
class Split:
    """Two parts of a set that share no group and no recording.

    Attributes
    ----------
    train, test
        The parts.
    name
        Of the split: ``fold 3``.

    Raises
    ------
    ValueError
        A part is empty, or a group stands in both.
    """

    train: Dataset
    test: Dataset
    name: str = ""

    def __post_init__(self) -> None:
        for part, items in (("training", self.train.items), ("test", self.test.items)):
            if not items:
                raise ValueError(f"{self._where()}: expected recordings in the {part} part, got none")
        crossing = groups(self.train) & groups(self.test)
        if crossing:
            raise ValueError(
                f"{self._where()}: expected every group in one part, got {min(crossing)!r} in both; "
                "split by group instead"
            )

    def _where(self) -> str:
        return " ".join(filter(None, (self.train.name or self.test.name, self.name)))


def group_of(item: Item) -> str:
    """Return what must stay together with an item: its group, or else its file."""
    return f"group {item.group}" if item.group else f"file {item.path}"


def groups(dataset: Dataset) -> set[str]:
    """Return the groups of a set."""
    return {group_of(item) for item in dataset.items}


def folds(dataset: Dataset) -> list[int]:
    """Return the numbers of the official folds.

    Raises
    ------
    ValueError
        Some item has none.
    """
    without = next((item for item in dataset.items if item.fold is None), None)
    if without is not None or not dataset.items:
        name = without.name if without else "no recording"
        raise ValueError(
            f"{dataset.name}: expected an official fold for each recording, got none for {name!r}; use k folds"
        )
    return sorted({item.fold for item in dataset.items if item.fold is not None})


def by_fold(dataset: Dataset, test: Iterable[int]) -> Split:
    """Return the split that tests on some official folds and trains on the others.

    Raises
    ------
    ValueError
        No such fold, no fold left, or a group that the folds do not keep together.
    """
    there, wanted = folds(dataset), sorted(set(test))
    if not set(wanted) < set(there) or not wanted:
        raise ValueError(f"{dataset.name}: expected some, not all, of the folds {_list(there)}, got {_list(wanted)}")
    rest = [fold for fold in there if fold not in wanted]
    return Split(dataset.folds(rest), dataset.folds(wanted), f"fold {_list(wanted)}")


def every_fold(dataset: Dataset) -> list[Split]:
    """Return the splits that test on each official fold in turn."""
    return [by_fold(dataset, [fold]) for fold in folds(dataset)]


def by_split(dataset: Dataset, train: Sequence[str] = ("train",), test: Sequence[str] = ("test",)) -> Split:
    """Return the official parts.

    Raises
    ------
    ValueError
        A part has no recording: the names that there are are told.
    """
    for names in (train, test):
        if not any(item.split in names for item in dataset.items):
            there = sorted({item.split for item in dataset.items} - {""})
            raise ValueError(
                f"{dataset.name}: expected the part {' or '.join(names)}, got {', '.join(there) or 'none'}"
            )
    return Split(
        dataset.where(lambda item: item.split in train),
        dataset.where(lambda item: item.split in test),
        "official parts",
    )


def k_folds(dataset: Dataset, count: int, seed: int) -> list[Split]:
    """Return `count` splits with each group in one test part, with even classes where items have one class each.

    Raises
    ------
    ValueError
        There are fewer groups than folds.
    """
    names = [group_of(item) for item in dataset.items]
    if not 2 <= count <= len(set(names)):
        raise ValueError(f"{dataset.name}: expected 2 to {len(set(names))} folds (a group never crosses), got {count}")
    parts = _stratified(names, [_class(item) for item in dataset.items], count, seed)
    if not parts:
        parts = list(GroupKFold(count, shuffle=True, random_state=seed).split(names, groups=names))
    return [
        Split(_take(dataset, train), _take(dataset, test), f"fold {number} of {count}")
        for number, (train, test) in enumerate(parts, start=1)
    ]


def leave_one_out(dataset: Dataset) -> list[Split]:
    """Return the splits that test on each group in turn.

    Raises
    ------
    ValueError
        There is one group only.
    """
    return [
        Split(
            dataset.where(lambda item, name=name: group_of(item) != name),
            dataset.where(lambda item, name=name: group_of(item) == name),
            name,
        )
        for name in sorted(groups(dataset))
    ]


def hold_out(dataset: Dataset, share: float, seed: int) -> Split:
    """Return one split whose test part is about a `share` of the recordings; `train` is the rest.

    Parameters
    ----------
    dataset
        The set, or the training part of a split: then what is held out is for choosing.
    share
        0 … 0.5; one part in ``round(1 / share)`` is taken, in whole groups.
    seed
        Of the draw.

    Raises
    ------
    ValueError
        The share is impossible, or there are too few groups.
    """
    if not 0 < share <= 0.5:
        raise ValueError(f"{dataset.name}: expected a share to hold out over 0 and at most 0.5, got {share:g}")
    return replace(k_folds(dataset, round(1 / share), seed)[0], name=f"{share:g} held out")


def _class(item: Item) -> int | None:
    """Return the class of an item that has one; -1 where none sounds; None where that says too little."""
    if item.weak is None or len(item.weak) > 1:
        return None
    return item.weak[0] if item.weak else -1


def _stratified(names: Sequence[str], classes: Sequence[int | None], count: int, seed: int) -> list[Indices]:
    """Parts with even classes; none where items have several, or too few to be even."""
    if None in classes or max(Counter(classes).values()) < count:
        return []
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class of fewer groups than folds is absent from some test part: nothing that anybody could change.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = list(splitter.split(names, classes, names))
    return parts if all(len(test) for _, test in parts) else []


def _take(dataset: Dataset, indices: npt.NDArray[np.intp]) -> Dataset:
    return replace(dataset, items=tuple(dataset.items[k] for k in indices))


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
