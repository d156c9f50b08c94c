r"""Another device in another room.

microphone   0 dB ______/¯¯¯¯¯\_/¯\___     a high-pass, a resonance, a low-pass: what small microphones and their
                   low          high       housings do to a spectrum
room         |\.,.._ _ .                   the direct sound, then noise that decays by 60 dB in the reverberation time
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from training.augment.registry import WAVEFORM, AugmentSettings, Float32, Range, Rng, Waveform, augmentation

LOWEST = 50.0  # Hz, from which on a spectrum is tilted


@dataclass(frozen=True)
class Microphone:
    """A microphone's response: corner frequencies in Hz, a resonance of `gain` dB at `resonance` Hz, and a tilt in dB
    an octave, 0 dB at 1 kHz.
    """

    low: float
    high: float
    resonance: float
    gain: float
    tilt: float = 0.0

    def db(self, frequency: np.ndarray) -> np.ndarray:
        """Magnitude response in dB: second-order slopes, 3 dB down at both corners; the resonance an octave wide."""
        f = np.maximum(frequency, 1e-3)
        slopes = -10 * np.log10(1 + (self.low / f) ** 4) - 10 * np.log10(1 + (f / self.high) ** 4)
        tilt = self.tilt * np.log2(np.maximum(f, LOWEST) / 1000)
        return slopes + self.gain * np.exp(-0.5 * (np.log2(f / self.resonance) / 0.5) ** 2) + tilt


def record(samples: Float32, rate: int, microphone: Microphone) -> Float32:
    """Filter by a microphone's response with zero phase."""
    size = _fast_size(len(samples))
    db = microphone.db(np.fft.rfftfreq(size, 1 / rate))
    return np.fft.irfft(np.fft.rfft(samples, size) * 10 ** (db / 20), size)[: len(samples)].astype(np.float32)


def room(rate: int, rt60: float, direct: float, rng: Rng) -> Float32:
    """Return an impulse response: a unit impulse, and behind it noise whose energy is `direct` dB below the impulse's.

    Parameters
    ----------
    rate
        Hz.
    rt60
        Seconds in which the noise falls by 60 dB; the response ends there.
    direct
        Direct-to-reverberant ratio, dB.
    rng
        Of the noise.
    """
    time = np.arange(1, max(2, round(rt60 * rate))) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    tail *= 10 ** (-direct / 20) / np.sqrt(np.sum(tail**2))
    return np.concatenate(([1.0], tail)).astype(np.float32)


def reverberate(samples: Float32, response: Float32) -> Float32:
    """Convolve with a room's response; the length stays, and the direct sound where it is."""
    size = _fast_size(len(samples) + len(response))
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def _fast_size(length: int) -> int:
    """A length of small primes: an odd one is five times slower."""
    return -(-length // 4096) * 4096


class MicrophoneSettings(AugmentSettings, frozen=True):
    """Corners and resonance in Hz and its gain in dB, each [low, high]."""

    low: Range = (40.0, 300.0)
    high: Range = (6000.0, 20_000.0)
    resonance: Range = (1500.0, 8000.0)
    gain: Range = (-6.0, 12.0)


Seconds = Annotated[float, Meta(gt=0, le=10)]


class RoomSettings(AugmentSettings, frozen=True):
    """Reverberation time in seconds and direct-to-reverberant ratio in dB, each [low, high]."""

    rt60: tuple[Seconds, Seconds] = (0.1, 0.8)
    direct: Range = (0.0, 20.0)


def draw(settings: MicrophoneSettings, rng: Rng) -> Microphone:
    """Draw a microphone, its frequencies evenly over octaves."""
    low, high, resonance = (
        float(np.exp(rng.uniform(*np.log(span)))) for span in (settings.low, settings.high, settings.resonance)
    )
    return Microphone(low, high, resonance, rng.uniform(*settings.gain))


@augmentation(WAVEFORM, "microphone", MicrophoneSettings)
def build_microphone(settings: MicrophoneSettings) -> Waveform:
    """Record with a drawn microphone."""
    return lambda samples, rate, rng: record(samples, rate, draw(settings, rng))


@augmentation(WAVEFORM, "room", RoomSettings)
def build_room(settings: RoomSettings) -> Waveform:
    """Play in a drawn room."""

    def apply(samples: Float32, rate: int, rng: Rng) -> Float32:
        return reverberate(samples, room(rate, rng.uniform(*settings.rt60), rng.uniform(*settings.direct), rng))

    return apply
