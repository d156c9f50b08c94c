"""Cross-entropy of softmax outputs by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.batch import Batch
from training.layers.heads import Scores
from training.losses import LOSSES


def loss(p, shares, **settings):
    scores = Scores(torch.zeros(len(p), 1, len(p[0])), torch.tensor(p)[:, None])
    return LOSSES.build(LOSSES.parse({"kind": "categorical", **settings}), len(p[0]))(
        scores, Batch(torch.zeros(1), None, torch.tensor(shares))
    ).item()


def test_two_clips_by_hand():
    expected = -(math.log(0.5) + math.log(0.25)) / 2
    assert loss([[0.5, 0.3, 0.2], [0.25, 0.5, 0.25]], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) == pytest.approx(expected)


def test_mixed_clips_count_by_their_shares():
    expected = -(0.7 * math.log(0.6) + 0.3 * math.log(0.4))
    assert loss([[0.6, 0.4]], [[0.7, 0.3]]) == pytest.approx(expected)


def test_what_does_not_sum_to_one_is_divided_by_its_sum():
    assert loss([[0.3, 0.1]], [[1.0, 0.0]]) == pytest.approx(-math.log(0.75))


def test_smoothing_spreads_a_share_over_all_classes():
    expected = -(0.95 * math.log(0.8) + 0.05 * math.log(0.2))
    assert loss([[0.8, 0.2]], [[1.0, 0.0]], smoothing=0.1) == pytest.approx(expected)


def test_clips_without_a_class_teach_nothing():
    assert loss([[0.5, 0.5]], [[0.0, 0.0]]) == 0.0
