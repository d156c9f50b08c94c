"""Noise under a sound: at its ratio, of its colour."""

import numpy as np
import pytest

from training.augment import parse
from training.augment.chain import Chain

RATE = 16_000


def added(**settings):
    tone = np.sin(2 * np.pi * 1000 * np.arange(4 * RATE) / RATE).astype(np.float32)
    chain = Chain(parse([{"kind": "noise", **settings}]))
    return chain.waveform(tone, RATE, np.random.default_rng(0)) - tone


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_it_stands_at_its_ratio(snr):
    assert 10 * np.log10(0.5 / np.mean(added(snr=[snr, snr]) ** 2)) == pytest.approx(snr, abs=0.1)


@pytest.mark.parametrize("slope", [0.0, -6.0])
def test_its_power_falls_by_the_slope(slope):
    power = np.abs(np.fft.rfft(added(slope=[slope, slope]))) ** 2
    frequency = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    low, high = (power[(frequency > f) & (frequency < 1.1 * f)].mean() for f in (500, 4000))
    assert 10 * np.log10(high / low) == pytest.approx(3 * slope, abs=1.0)
