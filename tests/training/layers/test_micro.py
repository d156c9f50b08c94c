"""Attention of M&mnet's segment heads, against card D's numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from training.layers.micro import MicroHead, Scale, by_frame, pooled, segment_scores
from training.layers.streaming import Identity

TWO = (Scale(1, 2, 1),)  # attentions of one class


def head(scheme="mm", scales=TWO, window=4, mu=0.0):
    return MicroHead(Identity(), nn.Linear(1, 1), 1, scheme, scales, window, mu).eval()


def test_the_cards_hand_case():
    """M = 1, v = (0, ln 3): a = (1/4, 3/4); with errors of 2 and 1 the micro loss is 1.25."""
    a = segment_scores(torch.exp(torch.tensor([[[0.0], [math.log(3)]]])))
    torch.testing.assert_close(a, torch.tensor([[0.25, 0.75]]))
    assert pooled(a, torch.tensor([[[2.0], [1.0]]])).item() == pytest.approx(1.25)


def test_scores_of_segments_add_up_to_the_number_of_attentions_and_are_alike_where_all_is():
    v = torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(segment_scores(v.exp()).sum(1), torch.full((3,), 5.0))
    torch.testing.assert_close(segment_scores(torch.ones(1, 9, 5)), torch.full((1, 9), 5 / 9))


def test_the_ensemble_of_two_segments_by_hand():
    """v = (0, ln 3) in both attentions: a = (1/2, 3/2), α = softmax of it = 1 / (1 + e) and e / (1 + e)."""
    logits = torch.tensor([0.0, math.log(3)])
    x = torch.stack([torch.zeros(2), logits, logits, torch.tensor([0.0, 2.0])])[None, :, :, None]
    d = 1 / (1 + math.exp(-2.0))
    scores = head()(x)
    assert scores.frame[0, :, 0].tolist() == pytest.approx([0.5, d])
    expected = (0.5 + math.e * d) / (1 + math.e)
    assert scores.clip[0, :, 0].tolist() == pytest.approx([0.5, expected])


def test_a_pooling_attention_by_hand():
    """ATT weighs by a / M = (1/4, 3/4)."""
    built = head("att", (Scale(1, 1, 0),))
    with torch.no_grad():
        built.classify.weight.fill_(1.0)
        built.classify.bias.zero_()
    x = torch.tensor([[0.0, 1.0], [0.0, math.log(3)]])[None, :, :, None]
    p = [0.5, 1 / (1 + math.exp(-1.0))]
    assert built(x).clip[0, :, 0].tolist() == pytest.approx([0.5, p[0] / 4 + 3 * p[1] / 4])


def test_what_left_the_window_is_forgotten():
    built = head(window=2)
    x = torch.randn(1, 4, 5, 1, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(built(x).clip[:, -1], built(x[:, :, 3:]).clip[:, -1])


def test_frames_of_a_finer_map_stand_one_behind_another():
    x = torch.arange(12.0).reshape(1, 4, 3, 1)  # of 3 segments: 2 frames of 2 channels
    frames = by_frame(x, 2)
    assert frames.shape == (1, 6, 2)
    assert frames[0, :, 0].tolist() == [x[0, c, t, 0].item() for t in range(3) for c in (0, 2)]


def test_activation_maps_say_where_a_class_of_the_clip_is_pseudo_labelled():
    built = head("plat", (Scale(1, 0, 1),)).train()
    with torch.no_grad():
        built.classify.weight.fill_(1.0)
        built.classify.bias.zero_()
    x = torch.tensor([[3.0, -3.0, 0.2], [0.0, 0.0, 0.0]])[None, :, :, None]  # σ = 0.95, 0.05, 0.55: half is 0.48
    assert built(x).pseudo[0, :, 0].tolist() == [1, 0, 1]
