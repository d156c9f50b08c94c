"""Generated hives: a hum with the hive's own timbre, sounds from outside, and the piping of queens.

hum        a comb of harmonics of 100 … 300 Hz, each as strong as the hive has it and slowly wandering, and noise below
           2 kHz that swells and fades
external   chirps (birds), broadband bursts (rain, knocks), low rumbles (traffic), of 0.5 … 20 s
piping     toots: a long tone and short ones of about 400 Hz; quacks: a series of short pulses, a little lower

None of this is a recording. It serves tests and comparisons of methods, whose orderings it can show; how well a model
hears a real hive it cannot tell. The ranges are those of cards 26 and 30's domain notes; the rest is plausible, not
measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.data.dataset import Sound

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
External = Literal["chirps", "burst", "rumble"]
State = Literal["calm", "piping"]
STATES: tuple[State, ...] = ("calm", "piping")
EXTERNALS: tuple[External, ...] = ("chirps", "burst", "rumble")

HARMONICS = 12
EDGE_S = 0.05  # of fades at the ends of sounds


@dataclass(frozen=True)
class Hive:
    """A colony in its box, heard by its microphone.

    Attributes
    ----------
    fundamental
        Of the hum, Hz.
    timbre
        Amplitude of each harmonic.
    noise
        RMS of the noise beside a hum of RMS 1.
    tilt
        How the box and the microphone colour everything: dB per octave from 500 Hz.
    """

    fundamental: float
    timbre: Floats = field(repr=False)
    noise: float
    tilt: float

    @classmethod
    def draw(cls, seed: int) -> Hive:
        """Return a hive; the same seed gives the same one."""
        rng = np.random.default_rng([seed, 0x41])
        timbre = np.exp(rng.normal(0, 0.7, HARMONICS)) / np.arange(1, HARMONICS + 1)
        return cls(
            float(rng.uniform(100, 300)),
            timbre / np.sqrt(np.sum(timbre**2) / 2),
            float(rng.uniform(0.2, 0.8)),
            float(rng.uniform(-3, 3)),
        )

    def hum(self, seconds: float, rate: int, rng: np.random.Generator) -> Floats:
        """The colony alone, RMS about 1, float64 ``[N]``."""
        count = round(seconds * rate)
        wander = 1 + 0.01 * _slow(count, rate, 0.5, rng)
        phase = 2 * np.pi * np.cumsum(self.fundamental * wander) / rate
        out = np.zeros(count)
        for k, amplitude in enumerate(self.timbre, start=1):
            if k * self.fundamental < 0.45 * rate:
                out += amplitude * (1 + 0.2 * _slow(count, rate, 1.0, rng)) * np.sin(k * phase + rng.uniform(0, 6.3))
        noise = _band(count, rate, 100, 2000, rng) * (1 + 0.3 * _slow(count, rate, 2.0, rng))
        return coloured(out + self.noise * noise, rate, self.tilt)


@dataclass(frozen=True)
class Recording:
    """Samples, float32 ``[N]``, and what sounds when: class 0 is bee, 1 nobee."""

    samples: Float32
    sounds: tuple[Sound, ...]


def recording(
    hive: Hive,
    seconds: float,
    rate: int,
    seed: int,
    share: float = 0.25,
    lengths: tuple[float, float] = (0.5, 20.0),
    level_db: float = 0.0,
) -> Recording:
    """Return a recording of a hive with sounds from outside.

    Parameters
    ----------
    share
        Of the time with external sounds, about; a quarter as in the card's set.
    lengths
        Shortest and longest external sound, seconds, drawn evenly in their logarithm.
    level_db
        Of external sounds beside the hum, dB.
    """
    rng = np.random.default_rng([seed, 0x42])
    samples = hive.hum(seconds, rate, rng)
    spans = _spans(seconds, share, lengths, rng)
    for onset, offset in spans:
        kind = EXTERNALS[rng.integers(len(EXTERNALS))]
        sound = external(kind, offset - onset, rate, rng) * 10 ** (level_db / 20)
        at = round(onset * rate)
        samples[at : at + len(sound)] += coloured(sound, rate, hive.tilt)[: len(samples) - at]
    return Recording((0.05 * samples).astype(np.float32), tuple(_annotated(spans, seconds)))


def _spans(
    seconds: float, share: float, lengths: tuple[float, float], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Stretches of external sound with pauses between them that make up the rest."""
    spans: list[tuple[float, float]] = []
    now = 0.0
    while share > 0:
        length = float(np.exp(rng.uniform(*np.log(lengths))))
        now += float(rng.exponential(length * (1 - share) / share))
        if now + length > seconds:
            return spans
        spans.append((now, now + length))
        now += length + 0.01
    return spans


def _annotated(spans: list[tuple[float, float]], seconds: float) -> list[Sound]:
    """Bee and nobee, one behind the other, over the whole recording."""
    sounds, now = [], 0.0
    for onset, offset in spans:
        sounds += [Sound(0, now, onset), Sound(1, onset, offset)]
        now = offset
    return [*sounds, Sound(0, now, seconds)]


def external(kind: External, seconds: float, rate: int, rng: np.random.Generator) -> Floats:
    """A sound from outside, RMS about 1, float64 ``[N]``."""
    count = round(seconds * rate)
    if kind == "chirps":
        out = _chirps(count, rate, rng)
    elif kind == "burst":
        out = _band(count, rate, 200, 0.45 * rate, rng) * (1 + 0.5 * _slow(count, rate, 4.0, rng))
    else:
        out = _band(count, rate, 30, 250, rng) * (1 + 0.3 * _slow(count, rate, 0.5, rng))
    out /= max(1e-9, float(np.sqrt(np.mean(out**2))))
    return _faded(out, rate)


def _chirps(count: int, rate: int, rng: np.random.Generator) -> Floats:
    """Short sweeps between 2 and 6 kHz, as far as the rate allows."""
    out = np.zeros(count)
    high = min(6000.0, 0.4 * rate)
    at = 0
    while at < count:
        length = int(rng.uniform(0.05, 0.3) * rate)
        sweep = np.linspace(*rng.uniform(high / 3, high, 2), length)
        tone = np.sin(2 * np.pi * np.cumsum(sweep) / rate) * np.hanning(length)
        out[at : at + length] += tone[: count - at]
        at += length + int(rng.uniform(0.02, 0.3) * rate)
    return out


def piping(kind: Literal["toot", "quack"], rate: int, rng: np.random.Generator) -> Floats:
    """A virgin queen's toots, or the quacks of those still in their cells; RMS about 1 while it sounds."""
    tone = float(rng.uniform(350, 500)) * (1.0 if kind == "toot" else 0.85)
    lengths = [1.0, *[0.25] * int(rng.integers(4, 9))] if kind == "toot" else [0.12] * int(rng.integers(8, 16))
    pause = np.zeros(round((0.12 if kind == "toot" else 0.08) * rate))
    parts = [part for length in lengths for part in (_pulse(tone, length, rate), pause)]
    return np.concatenate(parts)


def _pulse(tone: float, seconds: float, rate: int) -> Floats:
    """A tone with two harmonics that begins a little lower."""
    count = round(seconds * rate)
    glide = tone * (1 - 0.05 * np.exp(-np.arange(count) / (0.05 * rate)))
    phase = 2 * np.pi * np.cumsum(glide) / rate
    return _faded(np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase), rate, 0.02) * 1.23


def coloured(samples: Floats, rate: int, tilt: float) -> Floats:
    """Tilt a spectrum by so many dB per octave from 500 Hz, at most 20 dB either way."""
    frequencies = np.maximum(np.fft.rfftfreq(len(samples), 1 / rate), 1.0)
    gain = np.clip(tilt * np.log2(frequencies / 500), -20, 20)
    shaped: Floats = np.fft.irfft(np.fft.rfft(samples) * 10 ** (gain / 20), len(samples))
    return shaped


def write(
    folder: Path, hives: int, recordings: int, seconds: float, rate: int, seed: int, share: float = 0.25
) -> list[Path]:
    """Write a set as the beehive set lies on disk: sound files and ``.lab`` files, named by hive.

    Parameters
    ----------
    share
        Of the time with external sounds, about.

    Returns
    -------
    list of Path
        The sound files.
    """
    import soundfile

    from training.data.formats import lab

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for hive in range(1, hives + 1):
        for number in range(1, recordings + 1):
            made = recording(Hive.draw(seed + hive), seconds, rate, seed + 1000 * hive + number, share)
            written.append(folder / f"Hive{hive}_{number:03d}.wav")
            soundfile.write(written[-1], made.samples, rate, subtype="PCM_16")
            lab.write(written[-1].with_suffix(".lab"), made.sounds, ("bee", "nobee"))
    return written


def in_state(hive: Hive, state: State, seconds: float, rate: int, seed: int, pause: float = 6.0) -> Float32:
    """Return a hive alone, or with a queen that pipes: a toot or quacks, then a pause of `pause` seconds on average."""
    rng = np.random.default_rng([seed, 0x43])
    samples = hive.hum(seconds, rate, rng)
    at = int(rng.uniform(0, pause) * rate) if state == "piping" else len(samples)
    while at < len(samples):
        call = coloured(piping("toot" if rng.random() < 0.5 else "quack", rate, rng), rate, hive.tilt)
        samples[at : at + len(call)] += call[: len(samples) - at]
        at += len(call) + int(rng.exponential(pause) * rate)
    return (0.05 * samples).astype(np.float32)


def write_states(folder: Path, hives: Sequence[int], recordings: int, seconds: float, rate: int, seed: int) -> None:
    """Write recordings of these hives, by number, into a folder for each state: ``calm/Hive1_001.wav``."""
    import soundfile

    for state in STATES:
        (folder / state).mkdir(parents=True, exist_ok=True)
        for hive in hives:
            for number in range(1, recordings + 1):
                samples = in_state(Hive.draw(seed + hive), state, seconds, rate, seed + 1000 * hive + number)
                soundfile.write(folder / state / f"Hive{hive}_{number:03d}.wav", samples, rate, subtype="PCM_16")


def _slow(count: int, rate: int, frequency: float, rng: np.random.Generator) -> Floats:
    """Noise that moves about `frequency` times a second, between −1 and 1."""
    points = rng.uniform(-1, 1, max(2, int(count / rate * frequency) + 2))
    return np.interp(np.linspace(0, len(points) - 1, count), np.arange(len(points)), points)


def _band(count: int, rate: int, low: float, high: float, rng: np.random.Generator) -> Floats:
    """Noise between two frequencies, RMS 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / rate)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    noise: Floats = np.fft.irfft(spectrum, count)
    return noise / max(1e-9, float(np.sqrt(np.mean(noise**2))))


def _faded(samples: Floats, rate: int, seconds: float = EDGE_S) -> Floats:
    """Fade in and out."""
    size = min(round(seconds * rate), len(samples) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, size)) ** 2
    out = samples.copy()
    out[:size] *= ramp
    out[len(out) - size :] *= ramp[::-1]
    return out
