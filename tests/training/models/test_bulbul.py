"""Bulbul: the parameter counts of the cards, and the papers' scores of fixed excerpts."""

import pytest
import torch
from torch.nn import functional

from training.layers.network import stream
from training.models import MODELS, Shape

HIVE = {"kernels": [[3, 3], [3, 3], [3, 1], [3, 1]]}  # card 26


def build(bands=80, classes=1, **settings):
    torch.manual_seed(0)
    part = MODELS.parse({"kind": "bulbul", "norm": False, **settings})
    return MODELS.build(part, Shape(bands, classes, 70.0)).eval()


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("bands", "settings", "parameters"),
    [
        (80, {"field": 7}, 130_321),  # card 32: 700 frames at 70 a second
        (80, {"field": 19}, 326_929),  # high temporal resolution
        (160, {"field": 6}, 310_545),  # high spectral resolution
        (80, {**HIVE, "field": 11}, 373_009),  # card 26: 1000 frames
        (80, {**HIVE, "field": 23}, 766_225),  # 2000 frames
        (80, {**HIVE, "field": 11, "average": True}, 4_048 + 33_024 + 8_224 + 33),  # the compact form
    ],
)
def test_it_has_the_parameters_of_the_cards(bands, settings, parameters):
    assert size(build(bands, **settings)) == parameters


def test_batch_norm_takes_the_biases_that_it_makes_idle():
    idle = 4 * 16 + 256 + 32  # card 32: 131,025 trainable ones with them
    assert size(build(norm=True, field=7)) == 131_025 - idle


def flattened(network, excerpt):
    """The paper's network on one excerpt ``[T, bands]``: valid convolutions, pools, flatten, dense layers."""
    convs = [layer for layer in network.body.layers if hasattr(layer, "conv")]
    pools = [layer.kernel for layer in network.body.layers if hasattr(layer, "kernel")]
    x = excerpt[None, None]
    for layer, pool in zip(convs[:4], pools, strict=True):
        x = functional.max_pool2d(functional.leaky_relu(layer.conv(x)), pool)
    for layer in convs[4:]:
        weight = layer.conv.weight
        x = functional.leaky_relu(functional.linear(x.reshape(1, -1), weight.reshape(len(weight), -1), layer.conv.bias))
    return torch.sigmoid(network.head.classify(x))


def test_the_last_score_is_that_of_the_flattened_excerpt():
    network = build(field=7)
    features = torch.randn(1, 81 * 9, 80, generator=torch.Generator().manual_seed(1))
    field = ((((7 * 3 + 2) * 3 + 2) * 3 + 2) * 3) + 2  # frames that a score hears
    assert field == 647
    assert network.receptive_field + network.chunk - 1 == field  # the last score speaks of its own 81 frames
    torch.testing.assert_close(network(features).frame[:, -1], flattened(network, features[0, -field:]))


def test_streamed_scores_are_those_of_the_whole_clip():
    network = build(20, channels=4, hidden=[8, 6], kernels=[[3, 3], [3, 3], [3, 1], [3, 1]], field=3, average=True)
    features = torch.randn(2, 81 * 5, 20, generator=torch.Generator().manual_seed(2))
    whole, (parts, _) = network(features), stream(network, features, network.chunk)
    assert network.chunk == 81
    torch.testing.assert_close(parts.frame, whole.frame, atol=1e-5, rtol=0)
