"""Clips: recordings, or random pieces of them, with the labels that they have; the plain way to train a tagger.

recording        ▁▂▅▇▅▂▁▁▁▁▂▃▂▁      weak label: somewhere in it
piece                ▅▇▅▂▁▁          `seconds` long, from a random place; silence behind what is shorter
  waveform augmentations, mixing in the batch, front end, feature augmentations
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from msgspec import Meta

from edge.frontend.stream import FrontEnd
from training.batch import Batch
from training.data.blocks import filled
from training.data.dataset import Item
from training.registry import Settings
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
        ``items``: every recording is.
    """

    seconds: Annotated[float, Meta(gt=0)] = 4.0
    every: Annotated[float, Meta(ge=0)] = 0.0
    repeat: bool = False
    balance: Literal["labels", "items"] = "labels"


@SAMPLERS.register("clips", ClipsSettings)
class Clips:
    """Draws clips; the same generator state gives the same ones.

    Frames are taught where an item has strong labels; clips always, but for unlabelled ones.
    """

    def __init__(self, settings: ClipsSettings, material: Material) -> None:
        self.settings, self.material, self.spec = settings, material, material.spec
        self.items = material.dataset.items
        self.by_label = [group for group in material.dataset.by_label() if group]
        self.classes = len(material.dataset.labels)
        self.length = int(settings.seconds * self.spec.rate)
        self.front_end = FrontEnd(self.spec)
        self.frames = max(0, (self.length - self.spec.frames.window) // self.spec.hop + 1)

    def batch(self, size: int, seed: int, step: int) -> Batch:
        """Return features ``[B, T, F]``, clip targets ``[B, C]``, and frame targets ``[B, T, C]`` if any are known."""
        rng = np.random.default_rng([seed, step])
        drawn = [self._piece(self._item(rng), rng) for _ in range(size)]
        sounds = np.stack([sound for sound, _ in drawn])
        targets = np.stack([target for _, target in drawn])  # [B, 1 + T, C]: the clip's, then the frames'
        sounds, targets = self.material.augment.mix(sounds, targets, rng)
        features = [self.material.augment.feature(self.front_end.transform(sound), rng) for sound in sounds]
        clip, frame = torch.from_numpy(targets[:, 0].copy()), torch.from_numpy(targets[:, 1:].copy())
        return Batch(torch.from_numpy(np.stack(features)), frame if (frame >= 0).any() else None, clip)

    def _item(self, rng: np.random.Generator) -> Item:
        if self.settings.balance == "labels" and self.by_label:
            group = self.by_label[rng.integers(len(self.by_label))]
            return group[rng.integers(len(group))]
        return self.items[rng.integers(len(self.items))]

    def _piece(self, item: Item, rng: np.random.Generator) -> tuple[Float32, Float32]:
        """One example's samples ``[N]`` and targets ``[1 + T, C]``."""
        whole = self.material.shelf(item)
        if self.settings.repeat and len(whole) < self.length:
            whole = filled(whole, self.length)
        grid = max(1, round(self.settings.every * self.spec.rate))
        start = grid * int(rng.integers(max(len(whole) - self.length, 0) // grid + 1))
        piece = self.material.augment.waveform(whole[start : start + self.length], self.spec.rate, rng)
        sound = np.zeros(self.length, np.float32)
        sound[: len(piece)] = piece[: self.length]
        return sound, self._targets(item, start / self.spec.rate)

    def _targets(self, item: Item, start: float) -> Float32:
        """What is known of a piece that begins `start` seconds into an item.

        A piece of a weakly labelled recording keeps all its labels, though its sound may lie elsewhere.
        """
        out = np.full((1 + self.frames, self.classes), -1.0, np.float32)
        if item.weak is not None:
            out[0] = 0.0
            out[0, list(item.weak)] = 1.0
        if item.strong is not None:
            per_second = self.spec.rate / self.spec.hop
            out[1:] = 0.0
            for sound in item.strong:
                first, stop = (max(0, round((t - start) * per_second)) for t in (sound.onset, sound.offset))
                out[1 + first : 1 + stop, sound.label] = 1.0
            out[0] = out[1:].max(0, initial=0.0)
        return out
