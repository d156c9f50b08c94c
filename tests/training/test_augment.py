"""Augmentations do what physics says."""

from __future__ import annotations

import numpy as np
import pytest

from training.augment.equalise import draw_curve, equalise
from training.augment.gain import fade, gain
from training.augment.masks import mask_bands, mask_time, tilt
from training.augment.place import background_at, place
from training.augment.speed import speed

RATE = 16_000


def rms_db(x: np.ndarray) -> float:
    return 20 * np.log10(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def sine(hertz: float, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def peak_hertz(x: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(x * np.hanning(len(x)))))) * RATE / len(x)


@pytest.mark.parametrize("db", [-30.0, -6.0, 0.0, 6.0])
def test_gain_is_in_decibels(db):
    assert rms_db(gain(sine(440), db)) - rms_db(sine(440)) == pytest.approx(db, abs=0.01)


def test_gain_clips_at_full_scale():
    assert np.abs(gain(sine(440, level=0.9), 20.0)).max() == 1.0


def test_fade_starts_and_ends_in_silence_and_leaves_the_middle():
    x = fade(np.ones(1000, np.float32), 100, 200)
    assert (x[0], x[-1]) == (0, 0)
    assert (x[100:800] == 1).all()


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_a_background_stands_at_the_ratio_that_was_asked(snr):
    signal, noise = sine(440), np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    level = float(np.sqrt(np.mean(signal**2)))
    assert rms_db(signal) - rms_db(background_at(noise, snr, level)) == pytest.approx(snr, abs=0.01)


def test_a_silent_background_stays_silent():
    assert not background_at(np.zeros(100, np.float32), 10.0, 0.1).any()


@pytest.mark.parametrize(
    ("start", "expected"),
    [(0, [1, 2, 3, 0, 0]), (2, [0, 0, 1, 2, 3]), (4, [0, 0, 0, 0, 1]), (-2, [3, 0, 0, 0, 0]), (9, [0] * 5)],
)
def test_place_puts_and_cuts(start, expected):
    assert place(np.array([1, 2, 3]), 5, start).tolist() == expected


def test_a_flat_curve_is_a_gain():
    assert rms_db(equalise(sine(1000), RATE, np.full(5, -6, np.float32))) == pytest.approx(
        rms_db(sine(1000)) - 6, abs=0.05
    )


def test_a_curve_raises_only_its_end():
    curve = np.array([0, 0, 0, 0, 0, 0, 12], np.float32)
    assert rms_db(equalise(sine(100), RATE, curve)) == pytest.approx(rms_db(sine(100)), abs=0.3)
    assert rms_db(equalise(sine(7900), RATE, curve)) == pytest.approx(rms_db(sine(7900)) + 12, abs=0.5)


def test_drawn_curves_are_bounded_and_balanced():
    curves = [draw_curve(np.random.default_rng(k), 6.0) for k in range(200)]
    assert max(np.abs(c).max() for c in curves) <= 24
    assert max(abs(c.mean()) for c in curves) < 1e-5


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_moves_pitch_and_length_by_the_same_factor(factor):
    fast = speed(sine(1000), RATE, factor)
    assert len(fast) == pytest.approx(RATE / factor, abs=2)
    assert peak_hertz(fast) == pytest.approx(1000 * factor, rel=0.002)


def test_masks_cover_at_most_what_they_may_and_leave_the_input_alone():
    frames = np.random.default_rng(0).standard_normal((100, 32)).astype(np.float32)
    before = frames.copy()
    bands = mask_bands(frames, np.random.default_rng(1), 6, 2)
    times = mask_time(frames, np.random.default_rng(1), 20, 1)
    assert 0 < (bands != frames).any(axis=0).sum() <= 12
    assert 0 < (times != frames).any(axis=1).sum() <= 20
    assert np.array_equal(frames, before)


def test_a_tilt_is_the_same_for_all_frames():
    frames = np.random.default_rng(0).standard_normal((50, 32)).astype(np.float32)
    change = tilt(frames, np.random.default_rng(2), 0.5) - frames
    assert np.allclose(change, change[0], atol=1e-6)
    assert np.ptp(change[0]) > 0
