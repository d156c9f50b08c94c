"""Synthetic sounds of no class: noises, tones, sweeps, hum, clicks, chirps and buzzing formants.

Each generator is ``f(length, rate, rng) -> float32 [length]`` with an RMS around -20 dB re full scale. `STEADY`
names the classes that a steady noise could honestly be taken for; they are not taught either way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Generator = Callable[[int, int, np.random.Generator], Float32]

LEVEL = 0.1


def noise(length: int, rate: int, rng: np.random.Generator, slope: float | None = None) -> Float32:
    """Gaussian noise whose power falls by `slope` dB per octave: 0 white, -3 pink, -6 brown; drawn if not given."""
    slope = rng.uniform(-7.0, 1.0) if slope is None else slope
    spectrum = np.fft.rfft(rng.standard_normal(length).astype(np.float32))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / rate), 20.0) / 1000.0
    return _normalise(np.fft.irfft(spectrum * frequency ** (slope / 6.02), length))


def white(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """White noise."""
    return noise(length, rate, rng, 0.0)


def narrow(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """A band of noise, a third to two octaves wide."""
    centre, octaves = rng.uniform(np.log2(100), np.log2(0.4 * rate)), rng.uniform(0.33, 2.0)
    octave = np.log2(np.maximum(np.fft.rfftfreq(length, 1 / rate), 1.0))
    spectrum = np.fft.rfft(rng.standard_normal(length)) * np.exp(-(((octave - centre) / octaves * 2) ** 2))
    return _normalise(np.fft.irfft(spectrum, length))


def tones(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """One to four steady sines, some switched on and off."""
    t = np.arange(length) / rate
    out = np.zeros(length)
    for _ in range(rng.integers(1, 5)):
        gate = 1.0 if rng.random() < 0.5 else np.sin(2 * np.pi * rng.uniform(0.3, 6.0) * t) > 0
        out += gate * np.sin(2 * np.pi * _frequency(rng, 60, 6500) * t + rng.uniform(0, 6.28))
    return _normalise(out)


def sweep(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """An exponential sweep up or down, once or again and again."""
    low, high = np.sort([_frequency(rng, 60, 7500), _frequency(rng, 60, 7500)])
    phase = (np.arange(length) / length * rng.integers(1, 9)) % 1.0
    phase = phase if rng.random() < 0.5 else 1.0 - phase
    return _normalise(np.sin(2 * np.pi * np.cumsum(low * (high / low) ** phase) / rate))


def hum(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """Mains hum: 50 or 60 Hz with harmonics."""
    base, t = rng.choice([50.0, 60.0]), np.arange(length) / rate
    parts = [
        rng.uniform(0, 1) / k * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6.28))
        for k in range(1, rng.integers(3, 20))
    ]
    return _normalise(np.sum(parts, axis=0))


def clicks(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """One to three single clicks: decaying resonances of 1 to 40 ms."""
    out = np.zeros(length)
    for start in rng.integers(0, length, rng.integers(1, 4)):
        t = np.arange(min(length - start, rate // 5)) / rate
        ring = np.sin(2 * np.pi * _frequency(rng, 150, 7000) * t) + rng.uniform(0, 1) * rng.standard_normal(len(t))
        out[start : start + len(t)] += ring * np.exp(-t / rng.uniform(0.001, 0.04))
    return (out * 3 * LEVEL).astype(np.float32)


def chirps(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """Bird-like calls: short frequency-modulated whistles in phrases."""
    out, start = np.zeros(length), int(rng.uniform(0, 0.5) * rate)
    centre, duration = _frequency(rng, 1500, 6500), rng.uniform(0.04, 0.3)
    depth, wobble = rng.uniform(-0.4, 0.4), rng.uniform(0, 60)
    while start < length:
        n = min(length - start, int(duration * rate))
        x = np.linspace(0, 1, n)
        pitch = centre * (1 + depth * (x - 0.5) + 0.05 * np.sin(2 * np.pi * wobble * x * duration))
        out[start : start + n] = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * np.sin(np.pi * x) ** 2
        start += int((duration + rng.exponential(0.3)) * rate) + 1
    return _normalise(out)


def formants(length: int, rate: int, rng: np.random.Generator) -> Float32:
    """Speech-like buzz: pulses at a gliding pitch through three resonances that jump from syllable to syllable."""
    block, out, phase = int(rng.uniform(0.12, 0.3) * rate), [], 0.0
    base = rng.uniform(80, 240)
    for _ in range(-(-length // block)):
        pitch = base * np.linspace(*rng.uniform(0.85, 1.2, 2), block)
        phases = phase + np.cumsum(pitch) / rate
        phase = phases[-1]
        pulses = np.diff(np.floor(phases), prepend=np.floor(phases[0])) + 0.02 * rng.standard_normal(block)
        loud = 0.0 if rng.random() < 0.25 else rng.uniform(0.3, 1.0)
        out.append(loud * np.hanning(block) ** 0.3 * _resonate(pulses, rate, rng))
    return _normalise(np.concatenate(out)[:length])


def silence(length: int, rate: int, rng: np.random.Generator) -> Float32:  # noqa: ARG001 - the generators' signature
    """Digital silence."""
    return np.zeros(length, np.float32)


GENERATORS: dict[str, Generator] = {
    "noise": noise,
    "white": white,
    "narrow": narrow,
    "tones": tones,
    "sweep": sweep,
    "hum": hum,
    "clicks": clicks,
    "chirps": chirps,
    "formants": formants,
    "silence": silence,
}
STEADY = ("noise", "white", "narrow")


def _frequency(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _normalise(x: npt.NDArray[np.floating]) -> Float32:
    return (x * (LEVEL / max(float(np.sqrt(np.mean(x**2))), 1e-9))).astype(np.float32)


def _resonate(x: npt.NDArray[np.floating], rate: int, rng: np.random.Generator) -> npt.NDArray[np.floating]:
    frequency = np.fft.rfftfreq(len(x), 1 / rate)
    gain = sum(
        1.0 / (1.0 + ((frequency - f) / 80.0) ** 2)
        for f in (rng.uniform(250, 900), rng.uniform(900, 2400), rng.uniform(2400, 3600))
    )
    return np.fft.irfft(np.fft.rfft(x) * gain, len(x))
