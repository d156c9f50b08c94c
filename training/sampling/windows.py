"""Windows beside one another: stretches of recordings that were labelled window by window, drawn in one piece.

recording    │ 0 │ 1 │ 2 │ 3 │ 4 │ 5 │      `data.window = 1.0`: each has weak labels of its own
example          └───┴───┴───┘              `windows` of them: each label stands at the frames of its window,
                                            or there stand the frames that a procedure found
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from msgspec import Meta

from edge.frontend.stream import FrontEnd
from training.batch import Batch
from training.data.dataset import Item
from training.data.windows import beside
from training.registry import Settings
from training.sampling.registry import SAMPLERS, Material

Float32 = npt.NDArray[np.float32]


class WindowsSamplingSettings(Settings):
    """How stretches are drawn.

    Attributes
    ----------
    windows
        Of an example, from a window at random; behind a recording's last one comes silence, of which nothing is taught.
    seconds
        Length of a window.
    """

    windows: Annotated[int, Meta(ge=1)] = 4
    seconds: Annotated[float, Meta(gt=0)] = 1.0


@SAMPLERS.register("windows", WindowsSamplingSettings)
class Windows:
    """Draws stretches; the same seed and step give the same ones, every window as often as any other as the first.

    A recording that is shorter than a stretch begins with its first window.

    Raises
    ------
    ValueError
        An item is no window of this length, or is not labelled.
    """

    def __init__(self, settings: WindowsSamplingSettings, material: Material) -> None:
        self.settings, self.material, self.spec = settings, material, material.spec
        self.rows = beside(material.dataset.items, settings.seconds)
        self.classes = len(material.dataset.labels)
        self.length = int(settings.windows * settings.seconds * self.spec.rate)
        self.frames = max(0, (self.length - self.spec.frames.window) // self.spec.hop + 1)
        self.front_end = FrontEnd(self.spec)

    def batch(self, size: int, seed: int, step: int) -> Batch:
        """Return features ``[B, T, F]`` and, at each frame, what is known of it ``[B, T, C]``."""
        rng = np.random.default_rng([seed, step])
        drawn = [self._example(self._stretch(rng), rng) for _ in range(size)]
        sounds, targets = (np.stack(part) for part in zip(*drawn, strict=True))
        sounds, targets = self.material.augment.mix(sounds, targets, rng)
        features = [self.material.augment.feature(self.front_end.transform(sound), rng) for sound in sounds]
        return Batch(torch.from_numpy(np.stack(features)), torch.from_numpy(targets))

    def _stretch(self, rng: np.random.Generator) -> Sequence[Item]:
        """Windows beside one another; the last ones of a recording are as often among them as the first."""
        sizes = np.array([len(row) for row in self.rows])
        row = self.rows[rng.choice(len(self.rows), p=sizes / sizes.sum())]
        count = self.settings.windows
        first = int(rng.integers(1 - count, len(row))) if len(row) > count else 0
        return row[max(0, min(first, len(row) - count)) :][:count]

    def _example(self, windows: Sequence[Item], rng: np.random.Generator) -> tuple[Float32, Float32]:
        whole = self.material.shelf(replace(windows[0], stop=windows[-1].stop))
        piece = self.material.augment.waveform(whole[: self.length], self.spec.rate, rng)
        sound = np.zeros(self.length, np.float32)
        sound[: len(piece)] = piece[: self.length]
        targets = np.full((self.frames, self.classes), -1.0, np.float32)
        for k, item in enumerate(windows):
            first, stop = (round(n * self.frames / self.settings.windows) for n in (k, k + 1))
            found = self.material.frames.get(item.name)
            if found is None:
                targets[first:stop] = 0.0
                targets[first:stop, list(item.weak or ())] = 1.0
            else:
                first = round(k * self.settings.seconds * self.spec.rate / self.spec.hop)
                targets[first : first + len(found)] = found[: self.frames - first]
        return sound, targets
