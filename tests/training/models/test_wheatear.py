"""The flagship: its size, what it hears, and that it streams."""

from __future__ import annotations

import pytest
import torch

from training.layers.network import stream
from training.models import MODELS, Shape


def build(**settings):
    torch.manual_seed(0)
    return MODELS.build(MODELS.parse({"kind": "wheatear", **settings}), Shape(64, 10, 50.0)).eval()


def test_the_small_one_keeps_its_promise():
    assert sum(p.numel() for p in build().parameters()) <= 131_000


def test_a_clip_score_at_the_end_of_five_seconds_hears_all_of_them():
    network = build()
    quiet = torch.zeros(1, 249, 64)
    loud = quiet.clone()
    loud[:, 4:8] = 5.0
    assert not torch.equal(network(quiet).clip[:, -1], network(loud).clip[:, -1])


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_streamed_scores_are_those_of_the_whole_clip(frames):
    network = build()
    features = torch.randn(2, 120, 64, generator=torch.Generator().manual_seed(1))
    whole, (parts, _) = network(features), stream(network, features, network.chunk * frames)
    torch.testing.assert_close(parts.frame, whole.frame, atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.clip, whole.clip, atol=1e-5, rtol=0)


def test_nothing_is_heard_before_it_sounds():
    network = build()
    features = torch.zeros(1, 80, 64)
    later = features.clone()
    later[:, 40:] = 3.0
    first = 40 // network.head.timeline.rate
    assert torch.equal(network(features).frame[:, :first], network(later).frame[:, :first])
