"""Training scenes: labelled clips placed over backgrounds, or no class at all, with frame targets.

background   ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░      soundscape, synthetic noise, or digital silence
clip A             ▓▓▓▓▓▓▓▓                      onset and cut anywhere: the network meets cold starts and offsets
clip B                  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒          a second class: its labels join the first one's
target A     0000··11111111··00000000000         1 sounds, 0 does not, · (-1) is not taught
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from edge.frontend.stream import FrontEnd
from training.augment.equalise import draw_curve, equalise
from training.augment.gain import fade, gain
from training.augment.masks import mask_bands, mask_time, tilt
from training.augment.place import background_at, place
from training.augment.speed import speed
from training.batch import Batch
from training.data import negatives
from training.data.activity import activity
from training.data.dataset import Item
from training.registry import Settings
from training.sampling.registry import SAMPLERS, Material

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]


class SceneSettings(Settings):
    """How scenes are drawn; probabilities 0 … 1, levels in dB, ranges as [low, high].

    Attributes
    ----------
    seconds
        Length of a scene.
    negative
        Share of scenes without any event.
    second
        Share of the others with a second event, at `second_db` relative to its own recording.
    aligned
        Share of first events that stand where their recording has them.
    gain
        Loudness of a scene against its recordings.
    speed
        Playing speed.
    colour, colour_depth
        Share of events that are equalised, and by how many dB (standard deviation).
    background, snr
        Share of scenes with a background, and how far the events' active part stands above it.
    tilt, band_masks, widest_band, time_masks, longest_mask
        Of the feature frames: nepers of a random filter; counts and sizes of masks.
    pauses
        By label, seconds of silence inside one event: sounds that come in beats or bursts are one event across them.
    bursts
        By label, dB below a recording's peak where an event begins and where it ends: short cries stand well above
        the bed of their recording, and the bed is not the cry.
    ambiguous
        Labels that a steady noise could honestly be taken for: synthetic noises do not teach them either way.
    """

    seconds: float = 5.0
    negative: float = 0.2
    second: float = 0.35
    second_db: tuple[float, float] = (-8.0, 4.0)
    aligned: float = 0.3
    gain: tuple[float, float] = (-30.0, 6.0)
    speed: tuple[float, float] = (0.87, 1.15)
    colour: float = 0.6
    colour_depth: float = 6.0
    background: float = 0.7
    snr: tuple[float, float] = (3.0, 40.0)
    tilt: float = 0.4
    band_masks: int = 2
    widest_band: int = 8
    time_masks: int = 1
    longest_mask: int = 25
    pauses: dict[str, float] = msgspec.field(default_factory=dict)
    bursts: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    ambiguous: list[str] = msgspec.field(default_factory=list)


PAUSE = 0.3  # seconds, of labels that `pauses` does not name
STEADY = (30.0, 40.0)  # dB, of labels that `bursts` does not name


@SAMPLERS.register("scenes", SceneSettings)
class Scenes:
    """Draws scenes; the same generator state gives the same scene.

    Parameters
    ----------
    settings
        What to draw.
    material
        Labelled items, background recordings (as backgrounds and negatives), front end.

    Raises
    ------
    ValueError
        The settings name a label that the data set does not have.
    """

    def __init__(self, settings: SceneSettings, material: Material) -> None:
        self.settings, self.spec, self.shelf = settings, material.spec, material.shelf
        self.labels = material.dataset.labels
        self._check_labels()
        self.by_label = material.dataset.by_label()
        self.soundscapes = list(material.background.items) if material.background else []
        self.present = [k for k, group in enumerate(self.by_label) if group]
        self.length = int(settings.seconds * self.spec.rate)
        self.front_end = FrontEnd(self.spec)
        self.frames = max(0, (self.length - self.spec.frames.window) // self.spec.hop + 1)

    def batch(self, size: int, seed: int, step: int) -> Batch:
        """Return scenes ``[B, T, F]`` and frame targets ``[B, T, C]``."""
        rng = np.random.default_rng([seed, step])
        drawn = [self.draw(rng) for _ in range(size)]
        return Batch(*(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)))

    def draw(self, rng: np.random.Generator) -> tuple[Float32, Int8]:
        """Return features ``[T, F]`` and targets ``[T, C]`` (1, 0, or -1 where nothing is taught)."""
        samples, targets = self.negative(rng) if rng.random() < self.settings.negative else self.positive(rng)
        samples = gain(samples, rng.uniform(*self.settings.gain))
        return self._mask(self.front_end.transform(samples), rng), targets

    def positive(self, rng: np.random.Generator) -> tuple[Float32, Int8]:
        """One or two events over a background."""
        s = self.settings
        mix, targets = np.zeros(self.length, np.float32), np.zeros((self.frames, len(self.labels)), np.int8)
        count = 2 if rng.random() < s.second else 1
        for number, label in enumerate(rng.choice(self.present, min(count, len(self.present)), replace=False)):
            sound, marks = self._event(int(label), rng, aligned=number == 0 and rng.random() < s.aligned)
            mix += gain(sound, rng.uniform(*s.second_db)) if number else sound
            targets[:, label] = marks[: self.frames]
        if rng.random() < s.background:
            active = np.repeat((targets == 1).any(axis=1), self.spec.hop)[: self.length]
            heard = mix[: len(active)][active]
            rms = float(np.sqrt(np.mean(heard**2))) if len(heard) else 0.01
            mix += background_at(self._background(rng), rng.uniform(*s.snr), rms)
        return mix, targets

    def negative(self, rng: np.random.Generator) -> tuple[Float32, Int8]:
        """No event: a soundscape, a synthetic sound, or one over the other."""
        targets = np.zeros((self.frames, len(self.labels)), np.int8)
        if self.soundscapes and rng.random() < 0.4:
            return self._soundscape(rng), targets
        name = str(rng.choice(list(negatives.GENERATORS)))
        sound = negatives.GENERATORS[name](self.length, self.spec.rate, rng)
        if name in negatives.STEADY:
            for label in self.settings.ambiguous:
                targets[:, self.labels.index(label)] = -1
        if self.soundscapes and rng.random() < 0.3:
            sound = sound + background_at(self._soundscape(rng), rng.uniform(0.0, 40.0), negatives.LEVEL)
        start = int(rng.uniform(0.0, 0.7) * self.length) if rng.random() < 0.3 else 0
        return place(sound, self.length, start), targets

    def _event(self, label: int, rng: np.random.Generator, *, aligned: bool) -> tuple[Float32, Int8]:
        """One clip, changed and moved: samples ``[N]`` and marks per hop."""
        s, hop = self.settings, self.spec.hop
        item = self.by_label[label][rng.integers(len(self.by_label[label]))]
        factor = rng.uniform(*s.speed)
        sound = speed(self.shelf(item), self.spec.rate, factor)
        if rng.random() < s.colour:
            sound = equalise(sound, self.spec.rate, draw_curve(rng, s.colour_depth))
        marks = self.marks(sound, item, label, factor)
        shift = 0 if aligned else self._shift(marks, rng)
        if shift:
            sound = fade(sound, int(rng.uniform(0, 0.1) * self.spec.rate), int(rng.uniform(0, 0.1) * self.spec.rate))
        hops = -(-self.length // hop)
        return place(sound, self.length, shift * hop), place(marks, hops, shift)

    def marks(self, sound: Float32, item: Item, label: int, factor: float = 1.0) -> Int8:
        """Activity of a label per hop, 1, 0 or -1: as annotated, else by what its class sounds like."""
        hop, name = self.spec.hop, self.labels[label]
        if item.strong is not None:
            marks = np.zeros(len(sound) // hop, np.int8)
            for heard in (s for s in item.strong if s.label == label):
                frames = (round(t / factor * self.spec.rate / hop) for t in (heard.onset, heard.offset))
                marks[slice(*frames)] = 1
            return marks
        high, low = self.settings.bursts.get(name, STEADY)
        pause = self.settings.pauses.get(name, PAUSE)
        return activity(sound, hop, high=high, low=low, close=round(pause * self.spec.rate / hop))

    def _check_labels(self) -> None:
        s = self.settings
        for name in (*s.pauses, *s.bursts, *s.ambiguous):
            if name not in self.labels:
                raise ValueError(f"sampling: expected labels of {', '.join(self.labels)}, got {name!r}")

    def _shift(self, marks: Int8, rng: np.random.Generator) -> int:
        """Frames to move a clip by, so that at least 0.6 s (or all) of its active part stays inside the scene."""
        active = np.flatnonzero(marks == 1)
        if not len(active):
            return 0
        first, last = int(active[0]), int(active[-1])
        keep = min(round(0.6 * self.spec.rate / self.spec.hop), last - first + 1)
        return int(rng.integers(keep - last - 1, self.frames - keep - first + 1))

    def _background(self, rng: np.random.Generator) -> Float32:
        if self.soundscapes and rng.random() < 0.5:
            return self._soundscape(rng)
        name = str(rng.choice(["noise", "noise", "narrow", "hum", "formants", "chirps"]))
        return negatives.GENERATORS[name](self.length, self.spec.rate, rng)

    def _soundscape(self, rng: np.random.Generator) -> Float32:
        """A random piece of a recording, perhaps coloured, repeated where the recording is shorter than a scene."""
        recording = self.shelf(self.soundscapes[rng.integers(len(self.soundscapes))])
        piece = np.resize(recording[rng.integers(max(len(recording) - self.length, 0) + 1) :], self.length)
        if rng.random() < self.settings.colour:
            piece = equalise(piece, self.spec.rate, draw_curve(rng, self.settings.colour_depth))
        return piece * np.float32(10 ** (rng.uniform(0, 30) / 20))

    def _mask(self, frames: Float32, rng: np.random.Generator) -> Float32:
        s = self.settings
        frames = tilt(frames, rng, s.tilt) if s.tilt and rng.random() < 0.5 else frames
        frames = mask_bands(frames, rng, min(s.widest_band, frames.shape[1]), s.band_masks)
        return mask_time(frames, rng, s.longest_mask, s.time_masks)
