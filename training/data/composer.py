"""Scenes with exact labels: sounds of known classes, cut out by their energy, at a chosen ratio over a background.

source        ▁▁▃▇█▆▅▃▂▁____________      a clip; its sounding part is found, to the sample (ESC's end in silence)
background    ░░░░░░░░░░░░░░░░░░░░░░      its sounding part, repeated where it is shorter, at a level
scene         ░░░▓▓▓▓▓▓░░░▒▒▒▒▒▒▒░░░      each sound so many dB above what lies under it
label            ├────┤   ├─────┤         where it was put

A scene is a pure function of the material, the settings, the seed and its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from training.augment.gain import fade
from training.data.activity import activity, runs
from training.data.annotations import by_onset
from training.data.dataset import Dataset, Float32, Item, Sound

Rng = np.random.Generator
Range = tuple[float, float]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]

APART = 0.15  # seconds between sounds of one class; nearer ones an annotator would call one (card 03)
PAUSE = 0.3  # seconds, inside a sound of a class that `pauses` does not name
STEADY = (30.0, 40.0)  # dB below the peak, of a class that `bursts` does not name
CROSSFADE = 0.05  # seconds, where a background is repeated
TRIES = 50
FULL = 0.99


class SceneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How scenes are composed; ranges as [low, high].

    Attributes
    ----------
    rate, seconds
        Sample rate in Hz, and length of a scene.
    events
        How many sounds; fewer where no more find room.
    empty
        Share of scenes without any.
    overlap
        How many may sound at once; 1: one after another. Two of one class never do.
    length
        Seconds of a sound: a shorter stretch of its source is not taken, a longer one is cut and faded out.
    snr
        dB of a sound's mean power over that of the background under it.
    level
        Of the background, dB re full scale (RMS). A scene that would clip is made quieter as a whole.
    pauses
        By class, seconds of silence inside one sound: of those that come in beats.
    bursts
        By class, dB below the source's peak where a sound begins and where it ends: for short cries over a bed.
    """

    rate: Annotated[int, Meta(ge=4000, le=192_000)] = 16_000
    seconds: Seconds = 10.0
    events: tuple[int, int] = (1, 3)
    empty: Share = 0.1
    overlap: Annotated[int, Meta(ge=1)] = 2
    length: tuple[Seconds, Seconds] = (0.1, 6.0)
    snr: Range = (0.0, 20.0)
    level: Range = (-50.0, -30.0)
    pauses: dict[str, float] = msgspec.field(default_factory=dict)
    bursts: dict[str, Range] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("events", "length", "snr", "level"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"expected `{name}` as [low, high], got [{low:g}, {high:g}]")
        if self.events[0] < 1:
            raise ValueError(f"expected `events` from 1 on, got {self.events[0]}; `empty` gives scenes without any")
        if self.length[0] > self.seconds:
            raise ValueError(f"expected `length` from at most {self.seconds:g} s on, got {self.length[0]:g} s")


@dataclass(frozen=True)
class Event:
    """A sound in a scene.

    Attributes
    ----------
    sound
        Class, onset and offset; both are whole samples.
    snr
        dB over the background.
    source
        Name of the recording that it was cut from.
    start, stop
        Samples of the source.
    """

    sound: Sound
    snr: float
    source: str
    start: int
    stop: int


@dataclass(frozen=True)
class Scene:
    """Samples float32 ``[N]`` and what sounds in them.

    Attributes
    ----------
    samples
        The mix.
    background
        The background alone, at its level in the mix.
    events
        By onset.
    level
        Of the background, dB re full scale.
    bed
        Name of the background's recording.
    """

    samples: Float32
    background: Float32
    events: tuple[Event, ...]
    level: float
    bed: str

    def strong(self) -> tuple[Sound, ...]:
        """Return the labels."""
        return by_onset(event.sound for event in self.events)


class Composer:
    """Draws scenes.

    Parameters
    ----------
    foreground
        Recordings of one class each, or with times; others are left out.
    backgrounds
        Sets of recordings of none of the classes; each set is drawn equally often.
    settings
        What to draw.

    Raises
    ------
    ValueError
        There is no such recording, or the settings name a class that there is not.
    """

    def __init__(self, foreground: Dataset, backgrounds: Sequence[Dataset], settings: SceneSettings) -> None:
        self.settings, self.labels = settings, foreground.labels
        self.length = round(settings.seconds * settings.rate)
        by_label = foreground.by_label()
        self._sources = [[item for item in some if _can_give(item, k)] for k, some in enumerate(by_label)]
        self._present = [label for label, items in enumerate(self._sources) if items]
        self._beds = [dataset.items for dataset in backgrounds if dataset.items]
        if not self._present:
            raise ValueError(
                f"{foreground.name}: expected recordings of one class, or with times, to take sounds from, got none"
            )
        if not self._beds:
            raise ValueError("expected recordings for the background, got none; name a set with --background")
        for name in (*settings.pauses, *settings.bursts):
            if name not in self.labels:
                raise ValueError(f"[scenes]: expected labels of {', '.join(self.labels)}, got {name!r}")

    def scene(self, *seed: int) -> Scene:
        """Return the scene of a seed, which may be several numbers."""
        rng, s = np.random.default_rng(seed), self.settings
        bed, background = self._background(rng)
        level = rng.uniform(*s.level)
        background = background * np.float32(10 ** (level / 20) / _rms(background))
        mix, events = background.copy(), []
        wanted = 0 if rng.random() < s.empty else int(rng.integers(s.events[0], s.events[1] + 1))
        for _ in range(wanted):
            event = self._add(mix, background, events, rng)
            events += [event] if event else []
        peak = float(np.abs(mix).max())
        gain = np.float32(min(1.0, FULL / peak))
        return Scene(
            mix * gain,
            background * gain,
            tuple(sorted(events, key=lambda event: event.sound.onset)),
            level + 20 * float(np.log10(gain)),
            bed,
        )

    def _add(self, mix: Float32, background: Float32, events: Sequence[Event], rng: Rng) -> Event | None:
        """Add one sound to the mix, in place; None where no room is found."""
        label = int(rng.choice(self._present))
        item = self._sources[label][int(rng.integers(len(self._sources[label])))]
        whole = item.samples(self.settings.rate)
        start, stop = self._stretch(item, whole, label, rng)
        sound = whole[start:stop]
        snr = rng.uniform(*self.settings.snr)
        first = self._place(label, len(sound), events, rng)
        if first is None:
            return None
        if stop - start == self._longest():
            sound = fade(sound, 0, self.settings.rate // 50)
        under = slice(first, first + len(sound))
        mix[under] += sound * np.float32(10 ** (snr / 20) * _rms(background[under], _rms(background)) / _rms(sound))
        rate = self.settings.rate
        return Event(Sound(label, first / rate, (first + len(sound)) / rate), snr, item.name, start, stop)

    def _stretch(self, item: Item, whole: Float32, label: int, rng: Rng) -> tuple[int, int]:
        """First and last sample of a sound of the source, cut to the longest that may be."""
        rate, s = self.settings.rate, self.settings
        name = self.labels[label]
        if item.strong is not None:
            spans = [(round(x.onset * rate), round(x.offset * rate)) for x in _alone(item, label)]
            found = [span for span in spans if span[0] < len(whole)]
        else:
            pause, (high, low) = s.pauses.get(name, PAUSE), s.bursts.get(name, STEADY)
            found = sounding(whole, rate, high=high, low=low, pause=pause)
        if not found:
            raise ValueError(f"expected sound in {item.path}, got silence; leave it out of the set")
        long = [span for span in found if span[1] - span[0] >= s.length[0] * rate]
        start, stop = long[int(rng.integers(len(long)))] if long else max(found, key=lambda span: span[1] - span[0])
        return start, min(stop, start + self._longest(), len(whole))

    def _longest(self) -> int:
        return min(round(self.settings.length[1] * self.settings.rate), self.length)

    def _place(self, label: int, length: int, events: Sequence[Event], rng: Rng) -> int | None:
        """First sample at which a sound may stand: not too many at once, none of its own class near."""
        rate = self.settings.rate
        for _ in range(TRIES):
            first = int(rng.integers(self.length - length + 1))
            new = Sound(label, first / rate, (first + length) / rate)
            there = [event.sound for event in events]
            crowded = any(sound.label == label and _near(new, sound, APART) for sound in there)
            if not crowded and most_at_once([new, *there]) <= self.settings.overlap:
                return first
        return None

    def _background(self, rng: Rng) -> tuple[str, Float32]:
        """Name and samples of a background as long as a scene."""
        items = self._beds[int(rng.integers(len(self._beds)))]
        item = items[int(rng.integers(len(items)))]
        samples = item.samples(self.settings.rate)
        found = sounding(samples, self.settings.rate, high=60.0, low=70.0, pause=1.0)
        if not found:
            raise ValueError(f"expected sound in {item.path}, got silence; leave it out of the backgrounds")
        bed = repeat(samples[found[0][0] : found[-1][1]], self.length, round(CROSSFADE * self.settings.rate))
        start = int(rng.integers(len(bed) - self.length + 1))
        return item.name, bed[start : start + self.length]


def sounding(samples: Float32, rate: int, *, high: float, low: float, pause: float) -> list[tuple[int, int]]:
    """Return first sample and end of each sounding stretch, exact to the sample.

    Energy over 10 ms finds the stretches (`training.data.activity`); the first and the last sample of each that
    is no more than `low` decibels below its own peak are its ends.
    """
    hop = max(1, rate // 100)
    padded = np.pad(samples, (0, -len(samples) % hop))
    active = activity(padded, hop, high=high, low=low, close=round(pause * 100), border=0) == 1
    return [_trim(samples, start * hop, min(stop * hop, len(samples)), low) for start, stop in runs(active)]


def repeat(samples: Float32, length: int, overlap: int) -> Float32:
    """Return at least `length` samples: the recording again and again, with crossfades of equal power."""
    overlap = min(overlap, len(samples) // 2)
    out = samples
    ramp = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32))
    while len(out) < length:
        joint = out[len(out) - overlap :] * ramp[::-1] + samples[:overlap] * ramp
        out = np.concatenate((out[: len(out) - overlap], joint, samples[overlap:]))
    return out


def most_at_once(sounds: Sequence[Sound]) -> int:
    """Return how many of the sounds overlap at most: at some beginning, as many as ever do."""
    return max((sum(x.onset <= one.onset < x.offset for x in sounds) for one in sounds), default=0)


def _near(first: Sound, second: Sound, apart: float) -> bool:
    """Whether two sounds overlap, or stand nearer than `apart` seconds."""
    return first.onset < second.offset + apart and second.onset < first.offset + apart


def _trim(samples: Float32, start: int, stop: int, low: float) -> tuple[int, int]:
    loud = np.abs(samples[start:stop])
    above = np.flatnonzero(loud >= loud.max() * 10 ** (-low / 20))
    return start + int(above[0]), start + int(above[-1]) + 1


def _rms(samples: Float32, silent: float = 1.0) -> float:
    """RMS; `silent` where there is only silence."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return rms if rms > 1e-7 else silent


def _alone(item: Item, label: int) -> list[Sound]:
    """Stretches of a recording with times in which a class sounds and no other does."""
    strong = item.strong or ()
    others = [sound for sound in strong if sound.label != label]
    return [x for x in strong if x.label == label and not any(_near(x, other, 0.0) for other in others)]


def _can_give(item: Item, label: int) -> bool:
    """Whether it is known where a class sounds alone."""
    return bool(_alone(item, label)) if item.strong is not None else item.weak == (label,)


def describe(scene: Scene, labels: Sequence[str]) -> dict[str, Any]:
    """Return what was done, for a file."""
    return {
        "background": scene.bed,
        "background_dbfs": round(scene.level, 3),
        "events": [
            {
                "label": labels[event.sound.label],
                "onset": event.sound.onset,
                "offset": event.sound.offset,
                "snr_db": round(event.snr, 3),
                "source": event.source,
                "source_start": event.start,
                "source_stop": event.stop,
            }
            for event in scene.events
        ],
    }
