"""Training scenes: labelled clips placed over backgrounds, or no class at all, with frame targets.

background   ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░      soundscape, synthetic noise, or digital silence
clip A             ▓▓▓▓▓▓▓▓                      onset and cut anywhere: the network meets cold starts and offsets
clip B                  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒          a second class: its labels join the first one's
target A     0000··11111111··00000000000         1 sounds, 0 does not, · (-1) is not taught
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from edge.frontend.spec import FrontEndSpec
from edge.frontend.stream import FrontEnd
from training.augment.equalise import draw_curve, equalise
from training.augment.gain import fade, gain
from training.augment.masks import mask_bands, mask_time, tilt
from training.augment.place import background_at, place
from training.augment.speed import speed
from training.data import negatives
from training.data.activity import activity
from training.data.esc10 import LABELS, Clip

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]


class SceneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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


# Sounds that come in beats or bursts are one event across the pauses, in seconds.
PAUSES = {"clock_tick": 1.2, "fire_crackling": 1.2, "sea_waves": 1.0}
PAUSE = 0.3
# Short cries stand well above the bed of their recording, and the bed is not the cry: (high, low) dB below the peak.
BURSTS = {"dog_bark": (18.0, 28.0), "person_sneeze": (20.0, 30.0), "rooster": (20.0, 30.0), "baby_cry": (22.0, 32.0)}
STEADY = (30.0, 40.0)


class Scenes:
    """Draws scenes; the same generator state gives the same scene.

    Parameters
    ----------
    clips
        Labelled recordings.
    soundscapes
        Recordings of none of the classes, as backgrounds and negatives.
    spec
        Front end of the features.
    settings
        What to draw.
    """

    def __init__(
        self, clips: Sequence[Clip], soundscapes: Sequence[Float32], spec: FrontEndSpec, settings: SceneSettings
    ) -> None:
        self.settings, self.spec = settings, spec
        self.soundscapes = list(soundscapes)
        self.by_label = [[clip for clip in clips if clip.label == k] for k in range(len(LABELS))]
        self.present = [k for k, group in enumerate(self.by_label) if group]
        self.length = int(settings.seconds * spec.rate)
        self.front_end = FrontEnd(spec)
        self.frames = max(0, (self.length - spec.frames.window) // spec.hop + 1)

    def draw(self, rng: np.random.Generator) -> tuple[Float32, Int8]:
        """Return features ``[T, F]`` and targets ``[T, C]`` (1, 0, or -1 where nothing is taught)."""
        samples, targets = self.negative(rng) if rng.random() < self.settings.negative else self.positive(rng)
        samples = gain(samples, rng.uniform(*self.settings.gain))
        return self._mask(self.front_end.transform(samples), rng), targets

    def positive(self, rng: np.random.Generator) -> tuple[Float32, Int8]:
        """One or two events over a background."""
        s = self.settings
        mix, targets = np.zeros(self.length, np.float32), np.zeros((self.frames, len(LABELS)), np.int8)
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
        targets = np.zeros((self.frames, len(LABELS)), np.int8)
        if self.soundscapes and rng.random() < 0.4:
            return self._soundscape(rng), targets
        name = str(rng.choice(list(negatives.GENERATORS)))
        sound = negatives.GENERATORS[name](self.length, self.spec.rate, rng)
        for label in negatives.AMBIGUOUS.get(name, ()):
            targets[:, LABELS.index(label)] = -1
        if self.soundscapes and rng.random() < 0.3:
            sound = sound + background_at(self._soundscape(rng), rng.uniform(0.0, 40.0), negatives.LEVEL)
        start = int(rng.uniform(0.0, 0.7) * self.length) if rng.random() < 0.3 else 0
        return place(sound, self.length, start), targets

    def _event(self, label: int, rng: np.random.Generator, *, aligned: bool) -> tuple[Float32, Int8]:
        """One clip, changed and moved: samples ``[N]`` and marks per hop."""
        s, hop = self.settings, self.spec.hop
        clip = self.by_label[label][rng.integers(len(self.by_label[label]))]
        sound = speed(clip.samples, self.spec.rate, rng.uniform(*s.speed))
        if rng.random() < s.colour:
            sound = equalise(sound, self.spec.rate, draw_curve(rng, s.colour_depth))
        marks = event_marks(sound, label, self.spec.rate, hop)
        shift = 0 if aligned else self._shift(marks, rng)
        if shift:
            sound = fade(sound, int(rng.uniform(0, 0.1) * self.spec.rate), int(rng.uniform(0, 0.1) * self.spec.rate))
        hops = -(-self.length // hop)
        return place(sound, self.length, shift * hop), place(marks, hops, shift)

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
        recording = self.soundscapes[rng.integers(len(self.soundscapes))]
        piece = np.resize(recording[rng.integers(max(len(recording) - self.length, 0) + 1) :], self.length)
        if rng.random() < self.settings.colour:
            piece = equalise(piece, self.spec.rate, draw_curve(rng, self.settings.colour_depth))
        return piece * np.float32(10 ** (rng.uniform(0, 30) / 20))

    def _mask(self, frames: Float32, rng: np.random.Generator) -> Float32:
        s = self.settings
        frames = tilt(frames, rng, s.tilt) if s.tilt and rng.random() < 0.5 else frames
        frames = mask_bands(frames, rng, min(s.widest_band, frames.shape[1]), s.band_masks)
        return mask_time(frames, rng, s.longest_mask, s.time_masks)


def event_marks(sound: Float32, label: int, rate: int, hop: int) -> Int8:
    """Activity of a clip by what its class sounds like: 1, 0 or -1 per hop."""
    name = LABELS[label]
    high, low = BURSTS.get(name, STEADY)
    return activity(sound, hop, high=high, low=low, close=round(PAUSES.get(name, PAUSE) * rate / hop))


def batch(scenes: Scenes, size: int, seed: int, step: int) -> tuple[Float32, Int8]:
    """Scenes of one training step ``[B, T, F]`` and ``[B, T, C]``, a pure function of seed and step."""
    rng = np.random.default_rng([seed, step])
    drawn = [scenes.draw(rng) for _ in range(size)]
    return np.stack([x for x, _ in drawn]), np.stack([y for _, y in drawn])
