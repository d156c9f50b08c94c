"""Mixtures: pieces of recordings, mixed between classes in bands of power; so cheap that the network sets the pace.

Every recording is resampled to a few playing speeds and put through the front end once. A batch is then drawn from
those frames alone, with what a recorder, a room or a second source would have done to the sound:

recordings   ▓▓▓▓▓▓    a random stretch of a version at some speed, tilted by a smooth random filter
             ▒▒▒▒▒▒    perhaps a second one: heard with a share r, which is the clip's target (r, 1 − r)
background   ░░░░░░    perhaps something else, so many dB below
  Σ power · gain, ln, band and time masks

Powers of independent sounds add, so this is mixing of samples but for the beats between the two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from edge.frontend.spec import FrontEndSpec, Ln, Standardise
from training.augment.between import between
from training.augment.masks import mask_bands, mask_time, tilt
from training.augment.narrow import narrow
from training.augment.speed import speed
from training.batch import Batch
from training.data.dataset import Item
from training.registry import Settings
from training.sampling.registry import SAMPLERS, Material
from training.sampling.scenes import Scenes, SceneSettings

Float32 = npt.NDArray[np.float32]
Float16 = npt.NDArray[np.float16]
Int8 = npt.NDArray[np.int8]


SCENE = 5.0  # seconds of a negative, from which examples are cut
NO_CHANGE = 1e-3  # of speed: what is nearer to 1 is the recording itself
QUIET = 1e-9  # mean power of what is too faint to be set against anything


class MixtureSettings(Settings):
    """How mixtures are drawn; probabilities 0 … 1, levels in dB, ranges as [low, high].

    Attributes
    ----------
    seconds
        Length of an example.
    speeds, fastest
        How many playing speeds each recording is kept at, from 1 / `fastest` to `fastest`.
    mix, least
        Share of examples that mix two recordings, and the smallest share that one of them has.
    heard
        Smallest share of a mixture whose frames are taught as sounding; below it they are not taught either way.
    aligned
        Share of recordings that begin where the example begins.
    gain
        Loudness against the recordings.
    negative, negatives
        Share of examples without any of the classes, and how many such there are.
    background, snr
        Share of the others that stand over one of those, and how far their active part stands above it.
    narrow, narrowest
        Share of examples without their upper bands, and the smallest share of the bands that is left.
    tilt, band_masks, widest_band, time_masks, longest_mask
        Of the feature frames: nepers of a random filter of each recording; counts and sizes of masks.
    pauses, bursts, ambiguous
        Of labels, as scenes have them.
    """

    seconds: float = 2.5
    speeds: int = 9
    fastest: float = 1.18
    mix: float = 0.6
    least: float = 0.1
    heard: float = 0.25
    aligned: float = 0.35
    gain: tuple[float, float] = (-20.0, 6.0)
    negative: float = 0.1
    negatives: int = 500
    background: float = 0.3
    snr: tuple[float, float] = (8.0, 40.0)
    narrow: float = 0.0
    narrowest: float = 0.6
    tilt: float = 0.2
    band_masks: int = 2
    widest_band: int = 8
    time_masks: int = 2
    longest_mask: int = 30
    pauses: dict[str, float] = msgspec.field(default_factory=dict)
    bursts: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    ambiguous: list[str] = msgspec.field(default_factory=list)


class Version(NamedTuple):
    """A recording at one speed: logarithms of its bands ``[T, F]`` and its activity ``[T]``."""

    frames: Float16
    marks: Int8


class Heard(NamedTuple):
    """What an example is made of: powers ``[T, F]``, frame targets ``[T, C]``, shares ``[C]``."""

    power: Float32
    frame: Float32
    clip: Float32


@SAMPLERS.register("mixtures", MixtureSettings)
class Mixtures:
    """Draws mixtures; the same generator state gives the same one.

    Parameters
    ----------
    settings
        What to draw.
    material
        Items of one class each, background recordings, and a front end whose scale is ``ln`` and whose only stage, if
        any, standardises.

    Raises
    ------
    ValueError
        The front end is another one, or the settings name a label that the data set does not have.
    """

    def __init__(self, settings: MixtureSettings, material: Material) -> None:
        self.settings = settings
        plain, self.post = bands_only(material.spec)
        self.floor = np.float32(plain.scale.floor)
        named = {k: getattr(settings, k) for k in ("pauses", "bursts", "ambiguous")}
        self.scenes = Scenes(SceneSettings(seconds=SCENE, **named), replace(material, spec=plain))
        self.front_end = self.scenes.front_end
        self.labels = material.dataset.labels
        length = int(settings.seconds * plain.rate)
        self.frames = max(1, (length - plain.frames.window) // plain.hop + 1)
        self.by_label = [[self._versions(item, k) for item in group] for k, group in enumerate(self.scenes.by_label)]
        self.present = self.scenes.present
        self.negatives = self._negatives()

    def batch(self, size: int, seed: int, step: int) -> Batch:
        """Return mixtures ``[B, T, F]``, targets of frames ``[B, T, C]`` and of clips ``[B, C]``."""
        rng = np.random.default_rng([seed, step])
        drawn = [self.draw(rng) for _ in range(size)]
        return Batch(*(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)))

    def draw(self, rng: np.random.Generator) -> Heard:
        """Return one example: standardised features ``[T, F]`` in place of the powers, and its targets."""
        s = self.settings
        heard = self.negative(rng) if rng.random() < s.negative else self.positive(rng)
        loud = heard.power * np.float32(10 ** (rng.uniform(*s.gain) / 10))
        if rng.random() < s.narrow:
            loud = narrow(loud, rng, s.narrowest, float(self.floor))
        frames = (np.log(np.maximum(loud, self.floor)) - self.post.mean) / self.post.std
        frames = mask_bands(frames, rng, min(s.widest_band, frames.shape[1]), s.band_masks)
        return heard._replace(power=mask_time(frames, rng, min(s.longest_mask, len(frames)), s.time_masks))

    def positive(self, rng: np.random.Generator) -> Heard:
        """One recording, or two, perhaps over a background."""
        s = self.settings
        heard = self._recording(rng)
        if rng.random() < s.mix:
            heard = mixed(heard, self._recording(rng), rng.uniform(s.least, 1 - s.least), s.heard)
        if rng.random() < s.background:
            behind = self.negative(rng).power
            ratio = active_power(heard) / max(float(behind.sum(1).mean()), QUIET)
            heard = heard._replace(power=heard.power + behind * np.float32(ratio * 10 ** (-rng.uniform(*s.snr) / 10)))
        return heard

    def negative(self, rng: np.random.Generator) -> Heard:
        """A piece of a sound that is none of the classes."""
        version = self.negatives[rng.integers(len(self.negatives))]
        first = int(rng.integers(max(len(version.frames) - self.frames, 0) + 1))
        power = np.exp(version.frames[first : first + self.frames].astype(np.float32))
        power = np.pad(power, ((0, self.frames - len(power)), (0, 0)), constant_values=self.floor)
        targets = np.broadcast_to(version.marks.astype(np.float32), (self.frames, len(self.labels)))
        return Heard(power, targets, np.zeros(len(self.labels), np.float32))

    def _recording(self, rng: np.random.Generator) -> Heard:
        """A stretch of a recording of a random class."""
        label = int(rng.choice(self.present))
        versions = self.by_label[label][rng.integers(len(self.by_label[label]))]
        version = versions[rng.integers(len(versions))]
        first = 0 if rng.random() < self.settings.aligned else self._shift(version.marks, rng)
        power = np.full((self.frames, version.frames.shape[1]), self.floor, np.float32)
        frame = np.zeros((self.frames, len(self.labels)), np.float32)
        into = slice(max(first, 0), max(0, min(first + len(version.frames), self.frames)))
        source = slice(into.start - first, into.stop - first)
        sound = tilt(version.frames[source].astype(np.float32), rng, self.settings.tilt)
        power[into], frame[into, label] = np.exp(sound), version.marks[source]
        return Heard(power, frame, np.eye(len(self.labels), dtype=np.float32)[label])

    def _shift(self, marks: Int8, rng: np.random.Generator) -> int:
        """Where a recording begins, so that a quarter of the example (or all that sounds) is active."""
        active = np.flatnonzero(marks == 1)
        if not len(active):
            return 0
        first, last = int(active[0]), int(active[-1])
        keep = min(self.frames // 4 + 1, last - first + 1)
        return int(rng.integers(keep - last - 1, self.frames - keep - first + 1))

    def _versions(self, item: Item, label: int) -> list[Version]:
        """The recording as it is, and at other speeds."""
        samples, rate = self.scenes.shelf(item), self.scenes.spec.rate
        others = np.geomspace(1 / self.settings.fastest, self.settings.fastest, self.settings.speeds)
        found = []
        for factor in (1.0, *(f for f in others if abs(f - 1) > NO_CHANGE)):
            sound = samples if factor == 1.0 else speed(samples, rate, factor)
            frames = self.front_end.transform(sound)
            marks = self.scenes.marks(sound, item, label, factor)[: len(frames)]
            found.append(Version(frames.astype(np.float16), np.pad(marks, (0, len(frames) - len(marks)))))
        return found

    def _negatives(self) -> list[Version]:
        """Sounds of none of the classes; of each, which classes it does not teach."""
        rng = np.random.default_rng(self.settings.negatives)
        drawn = (self.scenes.negative(rng) for _ in range(self.settings.negatives))
        return [Version(self.front_end.transform(x).astype(np.float16), targets.min(0)) for x, targets in drawn]


def mixed(first: Heard, second: Heard, share: float, heard: float) -> Heard:
    """Mix so that the first is heard with `share`; what is heard less than `heard` is not taught in its frames."""
    db = [10 * np.log10(max(active_power(x), QUIET)) for x in (first, second)]
    weights = between(share, *db)
    power = np.float32(weights[0]) * first.power + np.float32(weights[1]) * second.power
    a, b = (doubted(x.frame) if r < heard else x.frame for x, r in ((first, share), (second, 1 - share)))
    sure = np.maximum(a, b)
    frame = np.where((sure < 1) & (np.minimum(a, b) < 0), np.float32(-1), sure)
    return Heard(power, frame, share * first.clip + np.float32(1 - share) * second.clip)


def doubted(targets: Float32) -> Float32:
    """Targets where what sounds is not taught."""
    return np.where(targets != 0, np.float32(-1), targets)


def active_power(heard: Heard) -> float:
    """Mean power of the frames in which something is known to sound, or of all."""
    active, power = (heard.frame == 1).any(1), heard.power.sum(1)
    return float(power[active].mean() if active.any() else power.mean())


def bands_only(spec: FrontEndSpec) -> tuple[FrontEndSpec, Standardise]:
    """Split a front end into the logarithms of its bands, and what standardises them.

    Raises
    ------
    ValueError
        It does something else: powers cannot be mixed behind it.
    """
    post = spec.post or [Standardise(0.0, 1.0)]
    if not isinstance(spec.scale, Ln) or spec.scale.add or len(post) > 1 or not isinstance(post[0], Standardise):
        raise ValueError("sampling: mixtures need a front end with the scale `ln` and no stage but `standardise`")
    return msgspec.structs.replace(spec, post=[]), post[0]
