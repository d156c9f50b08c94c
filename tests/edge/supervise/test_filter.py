"""Gain and high-pass, beside scipy's own design and filter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from edge.supervise.filter import Conditioner

NOISE = np.random.default_rng(1).standard_normal(16_000).astype(np.float32)


@pytest.mark.parametrize(("rate", "corner"), [(16_000, 100), (48_000, 20), (192_000, 15_000), (8_000, 3_000)])
def test_it_is_the_butterworth_high_pass_of_fourth_order(rate, corner):
    want = signal.sosfilt(signal.butter(4, corner, "highpass", fs=rate, output="sos"), NOISE.astype(np.float64))
    np.testing.assert_allclose(Conditioner(rate, 0, corner).push(NOISE), want, atol=2e-6)


def test_a_tone_above_the_corner_survives_and_one_below_does_not():
    t = np.arange(16_000) / 16_000
    level = {
        f: np.std(Conditioner(16_000, 0, 200).push(np.sin(2 * np.pi * f * t).astype(np.float32))[8000:])
        for f in (50, 200, 2000)
    }
    assert level[2000] == pytest.approx(np.sqrt(0.5), rel=1e-3)
    assert level[200] == pytest.approx(0.5, rel=1e-2)  # −3 dB
    assert level[50] < 0.01 * level[2000]  # 24 dB per octave, two octaves


def test_gain_is_in_decibels():
    np.testing.assert_allclose(Conditioner(16_000, 20.0).push(NOISE), 10 * NOISE, rtol=1e-6)
    assert Conditioner(16_000).push(NOISE) is NOISE


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 16_000), max_size=10))
def test_any_chunking_gives_the_same_samples(cuts):
    one = Conditioner(16_000, 3.0, 120.0)
    parts = [one.push(part) for part in np.split(NOISE, sorted(cuts))]
    assert np.concatenate(parts).tobytes() == Conditioner(16_000, 3.0, 120.0).push(NOISE).tobytes()


def test_a_corner_beyond_the_rate_stays_stable():
    assert np.isfinite(Conditioner(8_000, 0, 20_000).push(NOISE)).all()


def test_reset_forgets():
    one = Conditioner(16_000, 0, 100)
    first = one.push(NOISE)
    one.reset()
    assert one.push(NOISE).tobytes() == first.tobytes()
