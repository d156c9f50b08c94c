"""The exclusive loss against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.batch import Batch
from training.layers.heads import Scores
from training.losses import LOSSES
from training.losses.exclusive import softmax_entropy


def sigmoid(*logits):
    return torch.sigmoid(torch.tensor([logits]))


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    assert softmax_entropy(sigmoid(0.7, 0.7, 0.7), torch.tensor([[0.0, 1.0, 0.0]])).item() == pytest.approx(math.log(3))


def test_two_classes_by_hand():
    """Logits ln 3 and 0: the softmax is (3/4, 1/4)."""
    scores = sigmoid(math.log(3), 0.0)
    assert softmax_entropy(scores, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(math.log(4 / 3), abs=1e-5)
    shares = torch.tensor([[0.25, 0.75]])
    assert softmax_entropy(scores, shares).item() == pytest.approx(
        0.25 * math.log(4 / 3) + 0.75 * math.log(4), abs=1e-5
    )


def test_the_best_answer_to_a_mixture_is_its_shares():
    shares = torch.tensor([[0.3, 0.6, 0.1]])
    right = softmax_entropy(torch.sigmoid(shares.log() + 1.0), shares)
    for other in ([0.4, 0.5, 0.1], [0.3, 0.3, 0.4]):
        assert softmax_entropy(torch.sigmoid(torch.tensor([other]).log() + 1.0), shares) > right


def test_a_recording_of_none_of_the_classes_decides_between_none():
    one = sigmoid(2.0, -1.0)
    both = torch.cat([one, sigmoid(5.0, -5.0)])
    alone = softmax_entropy(one, torch.tensor([[1.0, 0.0]]))
    assert softmax_entropy(both, torch.tensor([[1.0, 0.0], [0.0, 0.0]])).item() == pytest.approx(alone.item())


def test_frames_that_are_not_taught_cost_nothing():
    loss = LOSSES.build(LOSSES.parse({"kind": "exclusive", "frame_weight": 1.0}), 2)
    clip = torch.tensor([[1.0, 0.0]])
    frames = torch.rand(1, 4, 2, generator=torch.Generator().manual_seed(0))
    whole = torch.cat([frames[:, :3], frames[:, 3:] * 0 + 0.5], 1)
    targets = torch.tensor([[[1.0, 0.0]] * 3 + [[-1.0, -1.0]]])
    values = [loss(Scores(f, torch.full((1, 4, 2), 0.5)), Batch(f, targets, clip)) for f in (frames, whole)]
    assert values[0].item() == pytest.approx(values[1].item())
