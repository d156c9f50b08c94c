"""Mixed precision: what a half-precision probability would lose."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.layers.conv import Conv
from training.layers.heads import Head, MeanHead
from training.layers.network import Network
from training.losses.frame_clip import bce

HEADS = {"frames": lambda: Head(nn.Linear(4, 2)), "mean": lambda: MeanHead(nn.Linear(4, 2), 3)}


@pytest.mark.parametrize("head", HEADS)
def test_a_sure_wrong_answer_still_learns(head):
    """σ(9) is 1 − 1.2e-4, which bfloat16 rounds to 1: a probability without a slope."""
    torch.manual_seed(0)
    network = Network(Conv((1, 4), (1, 6), collapse=True), HEADS[head](), 6)
    nn.init.zeros_(network.head.classify.weight)
    nn.init.constant_(network.head.classify.bias, 9.0)
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(torch.randn(2, 5, 6))
    bce(scores.frame, torch.zeros_like(scores.frame)).backward()
    assert network.head.classify.bias.grad.tolist() == pytest.approx([0.5, 0.5], rel=1e-2)
