"""Statistics of the last minute at every hop: as exact after a day as at the beginning."""

import numpy as np
import pytest
from scipy import signal

from training.hive.statistics import RunningStatistics, block_vector, with_deltas


def direct(frames, window):
    parts = [frames[max(0, t + 1 - window) : t + 1] for t in range(len(frames))]
    return np.array([np.concatenate([part.mean(axis=0), part.std(axis=0)]) for part in parts])


def test_they_are_those_of_the_window_at_every_frame():
    frames = np.random.default_rng(0).normal(-500, 3, (60, 4))
    np.testing.assert_allclose(RunningStatistics(4, 17).push(frames), direct(frames, 17), atol=1e-9)


def test_they_are_exact_after_a_hundred_thousand_updates():
    rng = np.random.default_rng(1)
    window, running = 2584, RunningStatistics(3, 2584)
    frames = np.empty((0, 3))
    for _ in range(40):
        frames = rng.normal([-500, 0, 1e4], [3, 1e-3, 50], (window, 3))  # a mean of 10⁷ deviations
        found = running.push(frames)
    assert 40 * window > 100_000
    np.testing.assert_allclose(found[-1], np.concatenate([frames.mean(axis=0), frames.std(axis=0)]), rtol=1e-6)


def test_how_frames_come_does_not_matter():
    frames = np.random.default_rng(2).normal(size=(50, 2))
    one = RunningStatistics(2, 8)
    parts = [one.push(part) for part in np.split(frames, [1, 7, 30])]
    assert np.array_equal(np.concatenate(parts), RunningStatistics(2, 8).push(frames))


def test_the_slope_of_a_ramp_is_one_and_the_curvature_of_a_square_two():
    n = np.arange(30.0)[:, None]
    assert with_deltas(n)[:, 1] == pytest.approx(np.ones(22))
    assert with_deltas(n)[:, 2] == pytest.approx(np.zeros(22))
    assert with_deltas(n**2)[:, 2] == pytest.approx(np.full(22, 2.0))


def test_the_kernels_are_those_of_savitzky_and_golay():
    x = np.random.default_rng(3).normal(size=(40, 1))
    found = with_deltas(x)
    for column, order in ((1, 1), (2, 2)):
        want = signal.savgol_filter(x[:, 0], 9, polyorder=order, deriv=order)[4:-4]
        np.testing.assert_allclose(found[:, column], want, atol=1e-12)


def test_a_block_has_the_cards_number_of_features():
    mfcc = np.random.default_rng(4).normal(size=(2584, 20))
    assert block_vector(mfcc).shape == (114,)
    assert block_vector(mfcc, drop_first=False).shape == (120,)
    louder = mfcc + np.eye(20)[0]  # only the first coefficient differs
    assert np.array_equal(block_vector(louder), block_vector(mfcc))
