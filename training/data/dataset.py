"""Data sets as the trainings see them: recordings on disk and what is known of each; sound is read when asked for.

A format module turns one on-disk layout into a `Dataset`; nothing else knows how a set lies on disk.

known of a recording      weak            strong                     meaning
which classes sound       (2, 5)          None                       somewhere in it, nobody says where
when they sound           (2, 5)          (Sound(2, 0.4, 1.9), …)    and nothing else sounds
none of them              ()              ()
nothing                   None            None                       unlabelled
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.data.decode import decode
from training.data.embeddings import read

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, order=True)
class Sound:
    """One labelled stretch: class index, onset and offset in seconds from the item's start."""

    label: int
    onset: float
    offset: float


@dataclass(frozen=True)
class Item:
    """One recording, or a stretch of one.

    Attributes
    ----------
    name
        Unique in its set: the path as the set's table has it.
    path
        The sound file.
    weak
        Class indices, ascending; None where they are not known.
    strong
        Stretches by onset; None where times are not known.
    order
        Boundaries in the order in which they come, without times (sequential labels, card 15): 2k where a sound of
        class k begins, 2k + 1 where it ends; None where not known.
    fold, split
        The official fold (None where the set has none) and the official part: ``train``, ``test`` … or "".
    group
        What must never stand on both sides of a split: recordist, site, source recording. "" where each item is
        its own group.
    start, stop
        The stretch of the file in seconds; stop None is the file's end.
    checked
        Whether a person verified the labels.
    device
        What it was recorded with; "" where the set does not say.
    """

    name: str
    path: Path
    weak: tuple[int, ...] | None = None
    strong: tuple[Sound, ...] | None = None
    order: tuple[int, ...] | None = None
    fold: int | None = None
    split: str = ""
    group: str = ""
    start: float = 0.0
    stop: float | None = None
    checked: bool = True
    device: str = ""

    def samples(self, rate: int) -> Float32:
        """Mono mix, float32 ``[N]`` at `rate` Hz, from the cache of decoded files.

        Raises
        ------
        ValueError
            The file is missing or is no sound file.
        """
        stop = None if self.stop is None else round(self.stop * rate)
        return decode(self.path, rate, round(self.start * rate), stop)


@dataclass(frozen=True)
class EmbeddedItem(Item):
    """A recording of which only its embeddings are known.

    Attributes
    ----------
    path, at
        The TFRecord file, and where the recording's record begins in it, bytes.
    """

    at: int = 0

    def samples(self, rate: int) -> Float32:  # noqa: ARG002 - the base's
        """Refuse.

        Raises
        ------
        ValueError
            There is no sound.
        """
        raise ValueError(f"{self.path}: expected sound, got embeddings of {self.name}; only a training can use them")

    def embedding(self) -> Float32:
        """Numbers ``[T, 128]``.

        Raises
        ------
        ValueError
            The file is not what it was.
        """
        return next(read(self.path, self.at)).values


@dataclass(frozen=True)
class Dataset:
    """Items and the names of their classes.

    Attributes
    ----------
    exclusive
        Whether an item has exactly one class.
    licence, attribution
        Of the recordings, for the cards of models that are trained on them.
    """

    name: str
    labels: tuple[str, ...]
    items: tuple[Item, ...]
    exclusive: bool = False
    licence: str = ""
    attribution: str = ""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def embedded(self) -> bool:
        """Whether the items have embeddings in place of sound."""
        return any(isinstance(item, EmbeddedItem) for item in self.items)

    def where(self, keep: Callable[[Item], bool]) -> Dataset:
        """Return the set with the items that `keep` is true of."""
        return replace(self, items=tuple(item for item in self.items if keep(item)))

    def folds(self, chosen: Iterable[int]) -> Dataset:
        """Return the set with the items of some official folds."""
        wanted = set(chosen)
        return self.where(lambda item: item.fold in wanted)

    def by_label(self) -> list[list[Item]]:
        """Return the items of each class; an item of several stands in each."""
        out: list[list[Item]] = [[] for _ in self.labels]
        for item in self.items:
            for label in item.weak or ():
                out[label].append(item)
        return out


def label_indices(names: Sequence[str], labels: Sequence[str], where: str) -> tuple[int, ...]:
    """Return ascending class indices of label names.

    Raises
    ------
    ValueError
        A name is not among the labels: it and `where` are named.
    """
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise ValueError(f"{where}: expected labels of {', '.join(labels)}, got {unknown[0]!r}")
    return tuple(sorted({labels.index(name) for name in names}))
