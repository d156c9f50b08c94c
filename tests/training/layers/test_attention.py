"""Class-wise attention by hand: the numbers of cards 37 and 04."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from training.layers.global_mean import GlobalMeanHead
from training.layers.heads import AttentionHead, attention
from training.layers.multilevel import MultiLevelAttentionHead


def logit(p):
    return math.log(p / (1 - p))


def head(values, weights, kind):
    """One class and two inputs: the logit of f, and that of v."""
    made = AttentionHead(nn.Linear(2, 1), len(values), kind)
    with torch.no_grad():
        made.classify.weight.copy_(torch.tensor([[1.0, 0.0]]))
        made.attend.weight.copy_(torch.tensor([[0.0, 1.0]]))
        for layer in (made.classify, made.attend):
            layer.bias.zero_()
        x = torch.tensor([[logit(f) for f in values], weights]).reshape(1, 2, -1, 1)
        return made(x).clip[0, -1].item()


def test_card_37s_example():
    assert head((0.2, 0.6), (math.log(1), math.log(3)), "time") == pytest.approx(0.5, abs=1e-6)


def test_card_04s_example():
    assert head((0.9, 0.1), (math.log(3), math.log(1)), "time") == pytest.approx(0.70, abs=1e-6)


def test_sigmoids_are_divided_by_their_sum():
    assert head((0.9, 0.1), (logit(0.6), logit(0.2)), "sigmoid") == pytest.approx(0.70, abs=1e-6)


@torch.no_grad()
def test_a_softmax_over_classes_sums_to_one_at_each_frame_and_one_over_time_does_not_ask_the_classes():
    layer = nn.Linear(3, 4)
    x = torch.randn(1, 3, 5, 1)
    torch.testing.assert_close(attention(layer, x, "classes").sum(1), torch.ones(1, 5, 1))
    torch.testing.assert_close(attention(layer, x), torch.exp(layer(x[0, :, :, 0].T)).T[None, :, :, None])


@torch.no_grad()
def test_a_pool_does_not_ask_for_the_order_and_stays_between_what_it_pools():
    torch.manual_seed(0)
    made = MultiLevelAttentionHead(4, 6, [2], 3, 8, "classes").eval()
    x = torch.randn(1, 4, 8, 1)
    clip = made(x).clip[:, -1]
    torch.testing.assert_close(made(x[:, :, torch.randperm(8)]).clip[:, -1], clip)
    frame = made(x).frame
    assert ((clip >= frame.amin(1)) & (clip <= frame.amax(1))).all()


@torch.no_grad()
def test_levels_are_joined_in_their_order():
    torch.manual_seed(0)
    made = MultiLevelAttentionHead(4, 6, [1, 2], 3, 5).eval()
    x = torch.randn(2, 4, 5, 1)
    one = torch.relu(made.norms[0](made.hidden[0](x[..., 0].transpose(1, 2)).transpose(1, 2)[..., None]))
    two = torch.relu(made.norms[1](made.hidden[1](one[..., 0].transpose(1, 2)).transpose(1, 2)[..., None]))
    levels = []
    for h, f, v in zip((one, two), made.value, made.attend, strict=True):
        rows = h[..., 0].transpose(1, 2)
        levels.append((torch.softmax(v(rows), 1) * torch.sigmoid(f(rows))).sum(1))
    joined = torch.sigmoid(made.classify(torch.cat(levels, 1)))
    torch.testing.assert_close(made(x).clip[:, -1], joined)


@torch.no_grad()
def test_probabilities_of_exclusive_classes_sum_to_one():
    made = MultiLevelAttentionHead(4, 6, [1, 2], 3, 5, exclusive=True).eval()
    torch.testing.assert_close(made(torch.randn(2, 4, 5, 1)).clip.sum(2), torch.ones(2, 5))


@torch.no_grad()
def test_a_mean_embedding_is_classified_and_not_the_mean_of_classified_ones():
    made = GlobalMeanHead(nn.Linear(1, 1), 2).eval()
    made.classify.weight.fill_(1.0)
    made.classify.bias.zero_()
    found = made(torch.tensor([0.0, 2.0]).reshape(1, 1, 2, 1))
    assert found.clip[0, :, 0].tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-1))])
