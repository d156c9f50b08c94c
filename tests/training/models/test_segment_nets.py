"""What card B compares AlexNet with: sizes of its first table, and that all of it learns."""

from __future__ import annotations

import pytest
import torch

from training.layers.network import stream
from training.models import MODELS, Shape

SIZES = {  # card B, "Other models"; the printed size of the perceptron is not reproducible, T = 100 gives this one
    "segment-mlp": 8_936_527,
    "segment-lstm": 85_539_343,
    "segment-gru-attention": 107_854_351,
    "segment-resnet": 24_581_583,
}
SMALL = {
    "segment-mlp": {"hidden": [7, 5]},
    "segment-lstm": {"hidden": 5, "layers": 2},
    "segment-gru-attention": {"hidden": 5, "context": 3},
    "segment-resnet": {"stem": 4, "blocks": [1, 2]},
}


AUDIOSET = Shape(64, 527, 100.0)


def network(kind, shape=AUDIOSET, **settings):
    return MODELS.build(MODELS.parse({"kind": kind, **settings}), shape)


def count(module):
    return sum(p.numel() for p in module.parameters())


def small(kind):
    torch.manual_seed(0)
    return network(kind, Shape(16, 3, 100.0), segment=0.2, window=0.6, **SMALL[kind])


@pytest.mark.parametrize("kind", SIZES)
def test_the_sizes(kind):
    with torch.device("meta"):
        assert count(network(kind)) == SIZES[kind]


def test_the_parts_of_the_gru_with_attention():
    with torch.device("meta"):
        built = network("segment-gru-attention")
    grus, attention = built.body.body.layers[1:3], built.body.body.layers[3]
    assert sum(map(count, grus)) == 101_498_880
    assert count(attention) == 4096 * 1024 + 1024 + 1024


def test_the_residual_networks_last_map_is_7_by_4():
    with torch.device("meta"):
        layers = network("segment-resnet").body.body[:-1]
        for frames in (98, 100, 101):
            assert layers(torch.zeros(2, 1, frames, 64)).shape == (2, 2048, 7, 4)


@pytest.mark.parametrize("kind", SMALL)
def test_every_parameter_learns(kind):
    built = small(kind)
    scores = built(torch.randn(6, 20, 16, generator=torch.Generator().manual_seed(1)))
    scores.clip[:, -1].log().square().sum().backward()
    still = [name for name, p in built.named_parameters() if not p.grad.abs().sum() > 0]
    assert [name for name in still if not name.endswith("conv.bias")] == []  # a norm takes these away again


@pytest.mark.parametrize("kind", SMALL)
def test_steps_give_the_whole_clips_scores(kind):
    built = small(kind).eval()
    x = torch.randn(2, 90, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole, (parts, _) = built(x), stream(built, x, built.chunk)
    torch.testing.assert_close(parts.frame, whole.frame, atol=1e-6, rtol=0)
    torch.testing.assert_close(parts.clip, whole.clip, atol=1e-6, rtol=0)
    assert whole.frame.shape == (2, 4, 3)
