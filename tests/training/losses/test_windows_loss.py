"""The loss of windows beside one another, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.batch import Batch
from training.layers.heads import Scores
from training.losses import LOSSES


def loss(frames, targets, windows=2, smoothing=0.0):
    part = LOSSES.parse({"kind": "windows", "windows": windows, "smoothing": smoothing}, "loss")
    targets = None if targets is None else torch.tensor([[[t] for t in targets]], dtype=torch.float32)
    scores = Scores(torch.tensor([[[p] for p in frames]]), None)
    return float(LOSSES.build(part, 1)(scores, Batch(torch.zeros(1), targets)))


def test_two_windows_by_hand():
    """Linear softmax: (0.8² + 0.2²) / 1.0 = 0.68 of a window that has the class; 0.1 of one that has not."""
    expected = (-math.log(0.68) - math.log(0.9)) / 2
    assert loss([0.8, 0.2, 0.1, 0.1], [1, 1, 0, 0]) == pytest.approx(expected, rel=1e-5)


def test_a_window_does_not_see_its_neighbours_scores():
    assert loss([0.8, 0.2, 0.1, 0.1], [1, 1, -1, -1]) == pytest.approx(-math.log(0.68), rel=1e-5)
    assert loss([0.8, 0.2, 0.9, 0.9], [1, 1, -1, -1]) == pytest.approx(-math.log(0.68), rel=1e-5)


def test_one_window_is_the_clip():
    value = (0.8**2 + 0.2**2 + 0.1**2 + 0.1**2) / 1.2
    assert loss([0.8, 0.2, 0.1, 0.1], [1, 1, 1, 1], windows=1) == pytest.approx(-math.log(value), rel=1e-5)


def test_scores_at_half_the_rate_have_the_same_windows():
    assert loss([0.8, 0.1], [1, 1, 0, 0]) == pytest.approx((-math.log(0.8) - math.log(0.9)) / 2, rel=1e-5)


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="expected at least a frame for each of 3 windows, got 2 frames"):
        loss([0.8, 0.1], [1, 0], windows=3)
    with pytest.raises(ValueError, match="expected targets of frames, which `windows` sampling gives"):
        loss([0.8, 0.1], None)
