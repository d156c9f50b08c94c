"""Clips: recordings, or random pieces of them, with the labels that they have; the plain way to train a tagger.

recording        ▁▂▅▇▅▂▁▁▁▁▂▃▂▁      weak label: somewhere in it
piece                ▅▇▅▂▁▁          `seconds` long, from a random place; silence behind what is shorter
  waveform augmentations, mixing in the batch, front end, feature augmentations
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from msgspec import Meta
from torch import Tensor

from edge.frontend.stream import FrontEnd
from training.batch import NO_MORE, UNKNOWN, Batch
from training.data.annotations import order_of
from training.data.blocks import filled
from training.data.dataset import Item
from training.registry import Settings
from training.sampling.alignment import Alignment
from training.sampling.registry import SAMPLERS, Material

Float32 = npt.NDArray[np.float32]


class ClipsSettings(Settings):
    """How clips are drawn.

    Attributes
    ----------
    seconds
        Length of an example.
    every
        Pieces begin at multiples of so many seconds into a recording, as segments beside one another do that take over
        its labels (card B); 0: anywhere.
    repeat
        Repeat what is shorter instead of putting silence behind it (card 26); for recordings without times.
    balance
        ``labels``: every class is drawn as often as any other (class-balanced batches, cards C and 37);
        ``items``: every recording is; ``halves``: examples with and without any of the classes take turns, so that half
        of a batch is of each, the rarer kind drawn again and again (card 24); ``places``: as halves, and of either kind
        every fold as often as any other, however many recordings it has.
    unlabelled
        Share of a batch that is drawn from unlabelled recordings, where there are any (card 16: half).
    align, align_means
        Features of labelled recordings, each fold for itself, get the covariance of the unlabelled ones', with this
        regulariser (card 32: 1), and their mean as well; see `training.sampling.alignment`. 0: they stay.
    """

    seconds: Annotated[float, Meta(gt=0)] = 4.0
    every: Annotated[float, Meta(ge=0)] = 0.0
    repeat: bool = False
    balance: Literal["labels", "items", "halves", "places"] = "labels"
    unlabelled: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    align: Annotated[float, Meta(ge=0)] = 0.0
    align_means: bool = False


class Piece(NamedTuple):
    """An example: samples ``[N]``, targets ``[1 + T, C]`` of the clip and its frames, boundaries where known.

    `heard` is the number of its frames that no silence was put into.
    """

    sound: Float32
    targets: Float32
    order: tuple[int, ...] | None
    heard: int


def order_targets(orders: Sequence[tuple[int, ...] | None]) -> Tensor | None:
    """Targets ``[B, L]`` of boundaries, as `training.batch.Batch` has them; None where no order is known."""
    if all(order is None for order in orders):
        return None
    longest = max(1, *(len(order) for order in orders if order is not None))
    out = torch.full((len(orders), longest), UNKNOWN)
    for row, order in zip(out, orders, strict=True):
        if order is not None:
            row[:] = NO_MORE
            row[: len(order)] = torch.tensor(order, dtype=row.dtype)
    return out


@SAMPLERS.register("clips", ClipsSettings)
class Clips:
    """Draws clips; the same generator state gives the same ones.

    Frames are taught where an item has strong labels; clips always, but for unlabelled ones. The order of boundaries is
    taught where the example is the whole recording, or has strong labels, and the batch is not mixed. Which frames
    hold the recording is told of batches that are not mixed.

    Raises
    ------
    ValueError
        ``halves`` or ``places`` of a set in which all recordings have a class, or none has; `align` without unlabelled
        recordings.
    """

    def __init__(self, settings: ClipsSettings, material: Material) -> None:
        self.settings, self.material, self.spec = settings, material, material.spec
        self.items = material.dataset.items
        apart = settings.unlabelled > 0 or settings.align > 0
        self.unlabelled = [item for item in self.items if item.weak is None] if apart else []
        if self.unlabelled:
            self.items = tuple(item for item in self.items if item.weak is not None)
        self.groups = self._groups()
        self.classes = len(material.dataset.labels)
        self.length = int(settings.seconds * self.spec.rate)
        self.front_end = FrontEnd(self.spec)
        self.frames = self._count(self.length)
        self.alignment = self._alignment()

    def batch(self, size: int, seed: int, step: int) -> Batch:
        """Return features ``[B, T, F]``, clip targets ``[B, C]``, and what else is known of them."""
        rng = np.random.default_rng([seed, step])
        without = round(self.settings.unlabelled * size) if self.unlabelled else 0
        drawn, items = [], []
        for slot in range(size):
            items.append(self._item(rng, slot, slot >= size - without))
            drawn.append(self._piece(items[-1], rng))
        sounds, targets = np.stack([piece.sound for piece in drawn]), np.stack([piece.targets for piece in drawn])
        mixed, targets = self.material.augment.mix(sounds, targets, rng)
        order = heard = None
        if mixed is sounds:
            order, heard = order_targets([piece.order for piece in drawn]), torch.tensor([p.heard for p in drawn])
        features = [
            self.material.augment.feature(self._aligned(self.front_end.transform(sound), item), rng)
            for sound, item in zip(mixed, items, strict=True)
        ]
        clip, frame = torch.from_numpy(targets[:, 0].copy()), torch.from_numpy(targets[:, 1:].copy())
        return Batch(torch.from_numpy(np.stack(features)), frame if (frame >= 0).any() else None, clip, order, heard)

    def _alignment(self) -> Alignment | None:
        s = self.settings
        if not s.align:
            return None

        def features(item: Item) -> Float32:
            return self.front_end.transform(filled(self.material.shelf(item), self.length)[: self.length])

        return Alignment(features, self.items, self.unlabelled, s.align, s.align_means)

    def _aligned(self, frames: Float32, item: Item) -> Float32:
        return frames if self.alignment is None else self.alignment(frames, item)

    def _groups(self) -> list[list[Item]]:
        """What is drawn from in turn; none: from all recordings alike."""
        if self.settings.balance == "labels":
            return [group for group in self.material.dataset.by_label() if group]
        if self.settings.balance == "items":
            return []
        halves = [[item for item in self.items if item.weak], [item for item in self.items if item.weak == ()]]
        if not all(halves):
            counts = tuple(len(half) for half in halves)
            raise ValueError(
                f"sampling: `{self.settings.balance}` expects recordings with and without any class, got {counts[0]} "
                f"and {counts[1]}"
            )
        return halves

    def _item(self, rng: np.random.Generator, slot: int, unlabelled: bool) -> Item:
        if unlabelled:
            return self.unlabelled[rng.integers(len(self.unlabelled))]
        if not self.groups:
            return self.items[rng.integers(len(self.items))]
        halves = self.settings.balance in ("halves", "places")
        group = self.groups[slot % 2 if halves else rng.integers(len(self.groups))]
        if self.settings.balance == "places":
            folds = sorted({item.fold or 0 for item in group})
            fold = folds[rng.integers(len(folds))]
            group = [item for item in group if (item.fold or 0) == fold]
        return group[rng.integers(len(group))]

    def _piece(self, item: Item, rng: np.random.Generator) -> Piece:
        whole = self.material.shelf(item)
        if self.settings.repeat and len(whole) < self.length:
            whole = filled(whole, self.length)
        grid = max(1, round(self.settings.every * self.spec.rate))
        start = grid * int(rng.integers(max(len(whole) - self.length, 0) // grid + 1))
        piece = self.material.augment.waveform(whole[start : start + self.length], self.spec.rate, rng)
        sound = np.zeros(self.length, np.float32)
        sound[: len(piece)] = piece[: self.length]
        order = item.order if len(whole) <= self.length else self._order(item, start / self.spec.rate)
        heard = max(1, self._count(min(len(piece), self.length)))
        return Piece(sound, self._targets(item, start / self.spec.rate), order, heard)

    def _count(self, samples: int) -> int:
        """Frames of so many samples."""
        return max(0, (samples - self.spec.frames.window) // self.spec.hop + 1)

    def _order(self, item: Item, start: float) -> tuple[int, ...] | None:
        """Order of the boundaries of what sounds in a piece; what its ends cut begins and ends there."""
        if item.strong is None:
            return None
        stop = start + self.settings.seconds
        inside = [
            replace(sound, onset=max(sound.onset, start), offset=min(sound.offset, stop))
            for sound in item.strong
            if sound.onset < stop and sound.offset > start
        ]
        return order_of(inside)

    def _targets(self, item: Item, start: float) -> Float32:
        """What is known of a piece that begins `start` seconds into an item.

        A piece of a weakly labelled recording keeps all its labels, though its sound may lie elsewhere.
        """
        out = np.full((1 + self.frames, self.classes), -1.0, np.float32)
        if item.weak is not None:
            out[0] = 0.0
            out[0, list(item.weak)] = 1.0
        found = self.material.frames.get(item.name)
        if found is not None:
            first = round(start * self.spec.rate / self.spec.hop)
            out[1 : 1 + len(found) - first] = found[first : first + self.frames]
        elif item.strong is not None:
            per_second = self.spec.rate / self.spec.hop
            out[1:] = 0.0
            for sound in item.strong:
                first, stop = (max(0, round((t - start) * per_second)) for t in (sound.onset, sound.offset))
                out[1 + first : 1 + stop, sound.label] = 1.0
            out[0] = out[1:].max(0, initial=0.0)
        return out
