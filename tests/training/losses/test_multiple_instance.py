"""The multiple-instance loss against the numbers of cards 12 and 24, and against what it is there for."""

from __future__ import annotations

import math

import pytest
import torch

from training.batch import Batch
from training.layers.heads import Scores
from training.losses import LOSSES


def loss(frames, label, **settings):
    frames = torch.tensor(frames).reshape(1, -1, 1) if not torch.is_tensor(frames) else frames
    function = LOSSES.build(LOSSES.parse({"kind": "multiple-instance", **settings}), frames.shape[2])
    return function(Scores(frames), Batch(frames, None, torch.full((1, frames.shape[2]), float(label))))


@pytest.mark.parametrize(
    ("frames", "label", "expected"),
    [((0.9, 0.6, 0.1), 1, 0.30203), ((0.9, 0.6, 0.1), 0, 1.05670), ((0.99999, 0.5, 0.00001), 1, 0.23105)],
)
def test_the_mean_of_three_terms_of_card_24(frames, label, expected):
    assert loss(frames, label).item() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("frames", "label", "expected"),
    [
        ((0.9, 0.5, 0.1), 1, 0.903868),
        ((0.9, 0.5, 0.1), 0, 3.101093),
        ((0.99, 0.02, 0.01, 0.98), 1, 0.713248),
        ((0.99,) * 4, 1, 6.92283),
    ],
)
def test_the_sum_of_three_terms_of_card_12(frames, label, expected):
    assert 3 * loss(frames, label).item() == pytest.approx(expected, abs=2e-4)


def test_silence_in_a_clip_without_the_class_costs_nothing():
    assert loss((1e-6,) * 5, 0).item() == pytest.approx(0.0, abs=1e-5)


def test_on_the_maximum_one_frame_learns_and_with_the_mean_all_do():
    def learning(terms):
        frames = torch.tensor([0.2, 0.4, 0.1, 0.3]).reshape(1, 4, 1).requires_grad_()
        loss(frames, 1, terms=terms).backward()
        return int((frames.grad != 0).sum())

    assert [learning(terms) for terms in (["max"], ["max", "mean", "min"])] == [1, 4]


def test_the_mean_term_rests_when_half_of_the_clip_sounds():
    frames = torch.tensor([0.9, 0.1, 0.5]).reshape(1, 3, 1).requires_grad_()
    loss(frames, 1, terms=["mean"]).backward()
    assert frames.grad.abs().max() < 1e-6


def test_a_fraction_moves_the_floor():
    """With a quarter: the entropy of 1/4."""
    floor = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert loss((0.25, 0.25), 1, terms=["mean"], fraction=0.25).item() == pytest.approx(floor, abs=1e-6)


PADDED = (0.9, 0.6, 0.1, 0.99, 0.001)  # the card's three frames, and two of the silence behind them


@pytest.mark.parametrize(("label", "expected"), [(1, 0.30203), (0, 1.05670)])
def test_the_silence_behind_a_short_recording_counts_in_no_term(label, expected):
    function = LOSSES.build(LOSSES.parse({"kind": "multiple-instance"}), 1)
    frames = torch.tensor(PADDED).reshape(1, 5, 1).requires_grad_()
    batch = Batch(frames, None, torch.tensor([[float(label)]]), heard=torch.tensor([3]))
    value = function(Scores(frames), batch)
    value.backward()
    assert value.item() == pytest.approx(expected, abs=2e-5)
    assert (frames.grad[0, :, 0] != 0).tolist() == [True, True, True, False, False]
    assert function(Scores(frames), batch._replace(heard=None)).item() != pytest.approx(expected, abs=0.01)


def test_scores_that_come_every_second_frame_count_if_both_are_heard():
    """Seven of ten frames: three scores; one frame at most makes one score."""
    function = LOSSES.build(LOSSES.parse({"kind": "multiple-instance"}), 1)
    scores = Scores(torch.tensor(PADDED).reshape(1, 5, 1))
    batch = Batch(torch.zeros(1, 10, 4), None, torch.ones(1, 1), heard=torch.tensor([7]))
    assert function(scores, batch).item() == pytest.approx(0.30203, abs=2e-5)
    alone = function(Scores(scores.frame[:, :1]), batch._replace(features=torch.zeros(1, 2, 4), heard=None))
    assert function(scores, batch._replace(heard=torch.tensor([1]))).item() == pytest.approx(alone.item())


def test_unlabelled_clips_and_classes_cost_nothing():
    frames = torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(0))
    function = LOSSES.build(LOSSES.parse({"kind": "multiple-instance"}), 2)
    known = torch.tensor([[1.0, -1.0], [-1.0, -1.0]])
    alone = function(Scores(frames[:1, :, :1]), Batch(frames[:1], None, known[:1, :1]))
    assert function(Scores(frames), Batch(frames, None, known)).item() == pytest.approx(alone.item())
