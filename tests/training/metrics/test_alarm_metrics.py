"""False alarms, intervals and tests of differences."""

import math
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Item, Sound
from training.metrics import alarms, intervals

LABELS = ["dog", "cat"]
FOUND = [Sound(0, 1.0, 2.0), Sound(1, 1.5, 3.0)]


def item(**known):
    return Item("x", Path("x.wav"), **known)


def test_an_event_of_a_class_that_is_not_there_is_a_false_alarm():
    assert alarms.false_alarms(FOUND, item(weak=(0,))) == [FOUND[1]]
    assert alarms.false_alarms(FOUND, item(weak=())) == FOUND


def test_where_times_are_known_an_event_at_another_time_is_a_false_alarm():
    known = item(weak=(0, 1), strong=(Sound(0, 1.9, 5.0), Sound(1, 3.0, 4.0)))
    assert alarms.false_alarms(FOUND, known) == [FOUND[1]]  # the cat ends where the true one begins


def test_an_unlabelled_item_tells_nothing_of_false_alarms():
    with pytest.raises(ValueError, match="x: expected an item whose classes are known, got an unlabelled one"):
        alarms.false_alarms(FOUND, item())


def test_rates_per_hour():
    assert alarms.per_hour([*FOUND, FOUND[0]], 600.0, LABELS) == {"dog": 12.0, "cat": 6.0}
    assert alarms.per_hour([], 600.0, LABELS) == {}


def test_nothing_in_an_hour_leaves_three_per_hour_possible():
    # Poisson: P(0 | λ) = e^−λ = 0.05 at λ = −ln 0.05 = 2.996
    assert alarms.upper_rate(0, 3600) == pytest.approx(-math.log(0.05))
    # P(≤ 1 | λ) = (1 + λ) e^−λ = 0.05 at λ = 4.744
    assert alarms.upper_rate(1, 1800) == pytest.approx(2 * 4.744, abs=2e-3)


def test_the_interval_of_a_constant_is_a_point():
    found = intervals.of_mean(np.ones(30))
    assert (found.low, found.high) == (1.0, 1.0)


def test_the_interval_of_a_share_is_near_the_normal_one():
    # 360 hits of 400: 0.9 ± 1.96 √(0.9 · 0.1 / 400) = 0.9 ± 0.0294
    found = intervals.of_mean(np.arange(400) < 360)
    assert found.low == pytest.approx(0.9 - 0.0294, abs=5e-3)
    assert found.high == pytest.approx(0.9 + 0.0294, abs=5e-3)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(50)
    assert intervals.of_mean(values, seed=4) == intervals.of_mean(values, seed=4)
    assert intervals.of_mean(values, seed=4) != intervals.of_mean(values, seed=5)


def test_an_interval_needs_clips():
    with pytest.raises(ValueError, match="bootstrap: expected one clip or more, got none"):
        intervals.of_mean([])


def test_the_paired_t_test_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, t = 2 / (1 / √3) = 3.4641 with 2 degrees of freedom.
    # For 2 degrees p = 1 − t / √(t² + 2) = 1 − 3.4641 / √14 = 0.07418.
    assert intervals.paired_t([2, 4, 6], [1, 2, 3]) == pytest.approx(1 - math.sqrt(12 / 14))


def test_the_paired_t_test_of_equal_and_of_shifted_figures():
    assert intervals.paired_t([1, 2], [1, 2]) == 1.0
    assert intervals.paired_t([2, 3], [1, 2]) == 0.0
    with pytest.raises(ValueError, match="expected two pairs or more, got 1"):
        intervals.paired_t([1], [2])
