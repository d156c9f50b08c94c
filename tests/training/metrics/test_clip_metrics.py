"""Clip-level figures against examples worked by hand."""

import sys

import numpy as np
import pytest

from edge.errors import ConfigError
from training.metrics import clips
from training.metrics.extra import need

# Three clips, three classes; the highest score is the second class twice, then the third.
SCORES = np.array([[0.2, 0.9, 0.1], [0.6, 0.7, 0.3], [0.1, 0.2, 0.8]], np.float32)


def test_accuracy_and_confusion_by_hand():
    labels = [1, 0, 2]  # right, taken for 1, right
    assert clips.accuracy(SCORES, labels) == pytest.approx(2 / 3)
    assert clips.confusion(SCORES, labels).tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert clips.correct(SCORES, labels).tolist() == [True, False, True]


def test_map_at_3_of_first_second_third_and_missed():
    # Card 13: (1 + 1/2 + 1/3 + 0) / 4 = 0.458333
    scores = np.tile(np.array([0.9, 0.8, 0.7, 0.6], np.float32), (4, 1))
    assert clips.map_at_3(scores, [0, 1, 2, 3]) == pytest.approx((1 + 1 / 2 + 1 / 3) / 4)


def test_a_network_that_says_the_same_of_all_classes_earns_nothing_of_map_at_3():
    assert clips.map_at_3(np.full((5, 10), 0.5, np.float32), [0, 1, 2, 3, 4]) == 0.0


def test_average_precision_of_the_ranking_hit_miss_hit_hit_miss_hit():
    # Card C: precisions at the hits 1, 2/3, 3/4, 4/6: mean 0.770833
    truth = np.array([[1], [0], [1], [1], [0], [1]])
    scores = np.array([[6], [5], [4], [3], [2], [1]], np.float32)
    assert clips.average_precision(scores, truth)[0] == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 6) / 4)


def test_auc_counts_pairs_and_halves_ties():
    # Positives 0.9 and 0.5, negatives 0.5 and 0.1: of four pairs three are won, one is tied: 3.5 / 4.
    truth = np.array([[1], [1], [0], [0]])
    scores = np.array([[0.9], [0.5], [0.5], [0.1]], np.float32)
    assert clips.auc(scores, truth)[0] == pytest.approx(0.875)


def test_weighted_auc_follows_prevalence():
    # Card B: 0.8 with three positives and 0.6 with one: (3 · 0.8 + 0.6) / 4 = 0.75, macro 0.7.
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    values = np.array([0.8, 0.6])
    assert clips.weighted(values, truth) == pytest.approx(0.75)
    assert clips.macro(values) == pytest.approx(0.7)


def test_a_class_without_positives_or_negatives_has_no_figure_and_the_means_leave_it_out():
    truth = np.array([[1, 0, 1], [0, 0, 1]])
    scores = np.array([[0.9, 0.5, 0.2], [0.1, 0.5, 0.3]], np.float32)
    for figure in (clips.auc, clips.average_precision):
        values = figure(scores, truth)
        assert values[0] == 1.0
        assert np.isnan(values[1:]).all()
        assert clips.macro(values) == clips.weighted(values, truth) == 1.0
    assert np.isnan(clips.macro(np.full(3, np.nan)))
    assert np.isnan(clips.weighted(np.full(3, np.nan), truth))


@pytest.mark.parametrize(("area", "distance"), [(0.970, 2.660), (0.971, 2.681), (0.966, 2.581), (0.960, 2.476)])
def test_d_prime_of_the_papers_rows(area, distance):
    # Cards A and C; by hand: Φ⁻¹(0.97) = 1.8808, times √2 = 2.660.
    assert clips.d_prime(area) == pytest.approx(distance, abs=5e-4)


def test_d_prime_at_its_ends():
    assert clips.d_prime(0.5) == pytest.approx(0.0, abs=1e-12)
    assert clips.d_prime(1.0) == np.inf
    assert clips.d_prime(0.0) == -np.inf
    assert np.isnan(clips.d_prime(float("nan")))


def test_f1_of_clips_by_hand():
    # Class 0: found in clips 0, 1, there in 0, 2: one hit of 2 + 2 claims: 2 / 4. Class 1: neither there nor found.
    found, truth = np.array([[1, 0], [1, 0], [0, 0]]), np.array([[1, 0], [0, 0], [1, 0]])
    values = clips.f1(found, truth)
    assert values[0] == 0.5
    assert np.isnan(values[1])


def test_the_table_of_several_labels():
    assert clips.table_of([(0, 2), (), (1,)], 3).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sed_eval", None)
    with pytest.raises(ConfigError, match=r"sed_eval needs the package 'sed_eval': pip install 'wheatear\[eval\]'"):
        need("sed_eval")
