"""Noise estimate and enhancement: what physics says of steady noise, steps of it, tones and chirps."""

import numpy as np
import pytest

from training.augment.enhance import enhance
from training.augment.imcra import Tracker, gain

RATE, HOP = 16_000, 128
SIZE = 4 * HOP


def white(seconds, level=0.01, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def db(ratio):
    return 10 * np.log10(ratio)


def tracked(samples):
    """Noise power of every frame, averaged over bins, beside what white noise of RMS 1 has there: dB."""
    window = np.hanning(SIZE)
    frames = np.lib.stride_tricks.sliding_window_view(samples, SIZE)[::HOP] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    tracker = Tracker(power[0])
    noise = np.array([tracker.push(frame)[0] for frame in power])
    return db(noise[:, 4:-4].mean(axis=1) / np.sum(window**2))


def test_steady_noise_is_estimated_within_2_db():
    after = tracked(white(4.0))[2 * RATE // HOP :]
    np.testing.assert_allclose(after, db(0.01**2), atol=2.0)


def test_a_step_of_10_db_is_followed_within_two_windows_of_minima():
    """One window until the first minimum rises, one for the second, and what smoothing adds: 2.4 s."""
    samples = np.concatenate([white(3.0), white(3.0, 0.01 * 10**0.5, seed=1)])
    found = tracked(samples)
    assert found[round(2.9 * RATE / HOP)] == pytest.approx(-40.0, abs=2.0)
    assert found[round(3.3 * RATE / HOP)] < -35.0  # not yet: it might be a sound
    assert found[round(5.4 * RATE / HOP)] == pytest.approx(-30.0, abs=2.0)


def test_a_chirp_does_not_raise_the_estimate():
    samples = white(4.0)
    t = np.arange(RATE) / RATE
    samples[2 * RATE : 3 * RATE] += (0.3 * np.sin(2 * np.pi * (1000 * t + 1500 * t**2))).astype(np.float32)
    assert np.abs(tracked(samples) - tracked(white(4.0)))[2 * RATE // HOP :].max() < 1.5


def test_the_gain_is_one_where_there_is_no_noise_and_grows_with_the_ratio():
    prior = np.logspace(-3, 4, 60)
    gains = gain(prior, 1 + prior)
    assert (np.diff(gains) > 0).all()
    assert gains[-1] == pytest.approx(1.0, abs=1e-3)
    assert gain(np.array([1.0]), np.array([2.0]))[0] == pytest.approx(0.5 * np.exp(0.5 * 0.219384), rel=1e-5)  # E₁(1)


def test_steady_noise_goes_and_a_tone_stays():
    """A tone of half a second, 20 dB over the noise: it keeps its power within 1 dB; the noise loses 10 dB and more."""
    noise = white(4.0)
    tone = np.zeros(len(noise))
    where = slice(2 * RATE, 2 * RATE + RATE // 2)
    tone[where] = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 2000 * np.arange(RATE // 2) / RATE)
    found = enhance((noise + tone).astype(np.float32), RATE)
    assert len(found) == len(noise)
    before, after = (noise[RATE : 2 * RATE], found[RATE : 2 * RATE])
    assert db(np.mean(after**2) / np.mean(before**2)) < -10.0
    kept = np.dot(found[where], tone[where]) / np.dot(tone[where], tone[where])
    assert 20 * np.log10(kept) == pytest.approx(0.0, abs=1.0)


def test_without_a_gain_to_lower_it_by_sound_comes_back_as_it_was():
    samples = white(1.03, 0.1)
    np.testing.assert_allclose(enhance(samples, RATE, floor_db=0.0), samples, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 100, 511])
def test_short_sounds_and_silence_are_borne(count):
    assert enhance(np.ones(count, np.float32), RATE).shape == (count,)
    assert not enhance(np.zeros(count, np.float32), RATE).any()
