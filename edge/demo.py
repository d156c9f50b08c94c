"""The demo scene: sounds that are synthesised here, so that their truth is known to the sample.

Each sound is built as physics suggests: rain is broadband noise with thousands of droplets, a clock a train of damped
clicks, a helicopter blade slaps that swell as it passes. No recording is used, and no model was trained on them; where
physics leaves a choice, it fell on what the default model takes for the sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.blocks import Float32

RATE = 16_000
Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Truth:
    """A sound of the scene: its label, and where it is, in seconds."""

    label: str
    onset: float
    offset: float


def scene(seed: int = 0) -> tuple[Float32, list[Truth]]:
    """The demo scene and its truth.

    Returns
    -------
    samples
        float32 ``[N]`` at `RATE`, full scale ±1, under 60 s.
    truth
        What sounds when, in the order of onsets.
    """
    rng = np.random.default_rng(seed)
    pieces: list[Float32] = [np.zeros(2 * RATE, np.float32)]
    truth: list[Truth] = []
    now = 2.0
    for label, make, seconds, level in PROGRAMME:
        sound = make(rng, int(seconds * RATE))
        sound *= level / max(1e-9, float(np.sqrt(np.mean(sound**2))))
        truth.append(Truth(label, now, now + seconds))
        pieces += [_faded(sound), np.zeros(2 * RATE, np.float32)]
        now += seconds + 2.0
    samples = np.concatenate(pieces) + 3e-4 * _coloured(rng, int(now * RATE), -1.0)
    return np.clip(samples, -1.0, 1.0).astype(np.float32), truth


def _coloured(rng: Generator, n: int, slope: float, low: float = 30.0, high: float = 8000.0) -> Float32:
    """Noise of unit RMS whose power falls as f^slope between `low` and `high` Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / RATE)
    gain = np.maximum(f, low) ** (slope / 2) / (1 + (low / np.maximum(f, 1e-3)) ** 4) / (1 + (f / high) ** 8)
    x = np.fft.irfft(spectrum * gain, n)
    unit: Float32 = (x / np.sqrt(np.mean(x**2))).astype(np.float32)
    return unit


def _clicks(x: Float32, at: Float32, pitch: Float32, decay: Float32, level: Float32) -> None:
    """Add damped sinusoids: at sample `at`, of `pitch` Hz, decaying with `decay` seconds."""
    for start, f, tau, a in zip(at.astype(int), pitch, decay, level, strict=True):
        t = np.arange(min(int(6 * tau * RATE), len(x) - start)) / RATE
        x[start : start + len(t)] += (a * np.exp(-t / tau) * np.sin(2 * np.pi * f * t)).astype(np.float32)


def _faded(x: Float32, seconds: float = 0.02) -> Float32:
    n = int(seconds * RATE)
    ramp = np.sin(np.linspace(0, np.pi / 2, n, dtype=np.float32)) ** 2
    x[:n] *= ramp
    x[-n:] *= ramp[::-1]
    return x


def _harmonics(pitch: Float32, tilt: float, formants: list[tuple[float, float]]) -> Float32:
    """A voiced sound: harmonics of a moving `pitch` in Hz, falling by k^tilt, raised near (centre, width) Hz."""
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    x = np.zeros(len(pitch))
    for k in range(1, int(7500 / pitch.max()) + 1):
        gain = k**tilt * (0.15 + sum(np.exp(-0.5 * ((k * pitch - c) / w) ** 2) for c, w in formants))
        x += gain * np.sin(k * phase)
    return x.astype(np.float32)


def rain(rng: Generator, n: int) -> Float32:
    """Broadband hiss and droplets, about 600 a second, each a damped bubble resonance."""
    x = 0.5 * _coloured(rng, n, -0.6, 200.0)
    drops = int(600 * n / RATE)
    _clicks(
        x,
        rng.integers(0, n, drops).astype(np.float32),
        rng.uniform(1500, 7000, drops).astype(np.float32),
        rng.uniform(0.0005, 0.003, drops).astype(np.float32),
        rng.exponential(0.9, drops).astype(np.float32),
    )
    return x


def clock_tick(rng: Generator, n: int) -> Float32:
    """Tick and tock in turn, twice a second: three damped modes of a small case each."""
    x = np.zeros(n, np.float32)
    for i, start in enumerate(np.arange(0.1, n / RATE - 0.1, 0.5)):
        modes = np.array([1900.0, 3300.0, 5200.0]) * (1.0 if i % 2 else 0.88)
        for delay, level in ((0.0, 1.0), (0.012, 0.4)):
            at = np.full(3, (start + delay) * RATE, np.float32)
            _clicks(x, at, modes.astype(np.float32), np.full(3, 0.004, np.float32), level * np.ones(3, np.float32))
    return x + 0.003 * _coloured(rng, n, -1.0)


def helicopter(rng: Generator, n: int) -> Float32:
    """Blade slaps at 13 Hz on low noise, swelling as it passes; the air takes its high frequencies."""
    t = np.arange(n) / RATE
    blade = 13.0 - 0.6 * np.tanh((t - t[-1] / 2) / 2)  # the Doppler shift of a slow pass
    phase = np.cumsum(blade) / RATE % 1
    slap = np.exp(-phase * 9) + 0.25
    body = _coloured(rng, n, -1.6, 60.0, 1800.0) + 0.25 * _coloured(rng, n, -1.0, 200.0, 2500.0)
    swell = np.exp(-0.5 * ((t - t[-1] / 2) / (0.45 * t[-1])) ** 2)
    passing: Float32 = (swell * slap * body).astype(np.float32)
    return passing


def sea_waves(rng: Generator, n: int) -> Float32:
    """Surf: noise that swells and brightens with each breaker, one in four seconds."""
    t = np.arange(n) / RATE
    breaker = (0.5 - 0.5 * np.cos(2 * np.pi * (t / 4.0 - 0.05))) ** 2
    deep = _coloured(rng, n, -0.8, 100.0, 4000.0)
    foam = _coloured(rng, n, -0.4, 400.0, 7000.0)
    return ((0.25 + breaker) * deep + 0.8 * breaker**1.5 * foam).astype(np.float32)


def fire_crackling(rng: Generator, n: int) -> Float32:
    """Crackles, 18 a second with heavy-tailed strength, over a low roar."""
    x = 0.1 * _coloured(rng, n, -1.3, 50.0, 2500.0)
    number = int(18 * n / RATE)
    for start, size in zip(rng.integers(0, n - 800, number), rng.pareto(1.6, number) + 0.3, strict=True):
        m = int(rng.uniform(0.002, 0.012) * RATE)
        burst = rng.standard_normal(m) * np.exp(-np.arange(m) / (m / 5))
        x[start : start + m] += (min(size, 6.0) * burst).astype(np.float32)
    return x


def chainsaw(rng: Generator, n: int) -> Float32:
    """A two-stroke engine at 8,000 to 12,000 revolutions a minute, one pulse each, and the rasp of the chain."""
    t = np.arange(n) / RATE
    pitch = 130 + 70 * np.clip(np.sin(2 * np.pi * t / 2.5) + 0.5, 0, 1) + 4 * _coloured(rng, n, -2.0, 2.0)
    engine = _harmonics(pitch.astype(np.float32), -0.7, [(300.0, 200.0), (1200.0, 600.0)])
    rasp = _coloured(rng, n, -0.3, 800.0, 6500.0)
    pulse = (1 - (np.cumsum(pitch) / RATE) % 1) ** 2
    return (engine / np.std(engine) + 0.5 * pulse * rasp).astype(np.float32)


def rooster(rng: Generator, n: int) -> Float32:
    """Crows: cock-a-doodle-doo, four notes of a harsh voice."""
    x = np.zeros(n, np.float32)
    notes = [(0.0, 0.16, 520, 640), (0.2, 0.14, 640, 700), (0.36, 0.3, 820, 900), (0.7, 0.75, 880, 640)]
    for crow in np.arange(0.1, n / RATE - 1.5, 2.2):
        for delay, seconds, low, high in notes:
            m = int(seconds * RATE)
            pitch = np.linspace(low, high, m) * (1 + 0.01 * np.sin(2 * np.pi * 25 * np.arange(m) / RATE))
            note = _harmonics(pitch.astype(np.float32), -0.4, [(1500.0, 500.0), (2900.0, 700.0)])
            note *= 1 + 0.2 * _coloured(rng, m, -1.0, 20.0)
            start = int((crow + delay) * RATE)
            x[start : start + m] += _faded(note)
    return x


PROGRAMME: list[tuple[str, Callable[[Generator, int], Float32], float, float]] = [
    ("rain", rain, 5.0, 0.08),
    ("clock_tick", clock_tick, 5.0, 0.03),
    ("helicopter", helicopter, 6.0, 0.12),
    ("sea_waves", sea_waves, 6.0, 0.1),
    ("fire_crackling", fire_crackling, 5.0, 0.06),
    ("chainsaw", chainsaw, 5.0, 0.12),
    ("rooster", rooster, 4.5, 0.1),
]
