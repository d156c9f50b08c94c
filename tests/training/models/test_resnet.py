"""Card A: sizes, time steps and poolings of the truncated ResNets, against a plain one written down again here."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from training.layers.examples import alive
from training.layers.network import Network, stream
from training.layers.streaming import Sequential, bind
from training.models import MODELS, Shape
from training.models.resnet import truncated


def build(classes=527, **settings):
    return MODELS.build(MODELS.parse({"kind": "resnet", **settings}), Shape(64, classes, 100.0))


def size(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("depth", "body", "dense"), [(34, 21_278_400, 540_702), (50, 23_501_760, 2_159_646), (101, 42_493_888, 2_159_646)]
)
def test_parameters_are_those_of_the_card(depth, body, dense):
    with torch.device("meta"):
        network = build(depth=depth)
    assert (size(network.body), size(network.head)) == (body, dense)


@pytest.mark.parametrize("pooling", ["global", "segments"])
def test_resnet_50_with_one_dense_layer_is_card_bs(pooling):
    with torch.device("meta"):
        assert size(build(depth=50, pooling=pooling)) == 24_581_583


@pytest.mark.parametrize(("stride", "depth", "field"), [(1, 50, 217), (2, 50, 427), (1, 34, 453), (1, 101, 489)])
def test_the_receptive_field_is_the_one_that_the_card_measured(stride, depth, field):
    with torch.device("meta"):
        body = bind(Sequential(*truncated(depth, 64, stride)[0]), bands=64)
    at = body.layers[-1].after
    assert at.past + at.rate + at.ahead == field


@pytest.mark.parametrize(("stride", "frames", "milliseconds"), [(1, 62, 160), (2, 31, 320)])
def test_time_steps_of_ten_seconds(stride, frames, milliseconds):
    """The card's 63 and 32 are these and a rest of half a step, which a stream never finishes."""
    with torch.device("meta"):
        network = build(depth=18, stride=stride)
        assert network(torch.zeros(1, 1000, 64)).frame.shape == (1, frames, 527)
    assert network.head.timeline.rate * 10 == milliseconds
    assert network.body.layers[-2].after.bands == 4 // stride


class Plain(nn.Module):
    """He et al.'s unit, with torch's own paddings."""

    def __init__(self, channels, width, stride, bottleneck):
        super().__init__()
        out = 4 * width if bottleneck else width
        sizes = (
            [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
            if bottleneck
            else [(channels, width, 3, stride), (width, width, 3, 1)]
        )
        self.body = nn.ModuleList(self.conv(*s) for s in sizes)
        self.shortcut = self.conv(channels, out, 1, stride) if stride > 1 or channels != out else nn.Identity()

    @staticmethod
    def conv(channels, out, kernel, stride):
        return nn.Sequential(nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for number, layer in enumerate(self.body, start=1):
            y = layer(y)
            y = functional.relu(y) if number < len(self.body) else y
        return functional.relu(y + self.shortcut(x))


def plain(depth, width, stride):
    units = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    layers = [*Plain.conv(1, width, 7, stride), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = width
    for stage, count in enumerate(units):
        for number in range(count):
            layers.append(Plain(channels, width << stage, 2 if stage and not number else 1, depth == 50))
            channels = (width << stage) * (4 if depth == 50 else 1)
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("depth", "stride"), [(18, 1), (18, 2), (50, 2)])
def test_it_computes_what_a_plain_resnet_computes(depth, stride):
    torch.manual_seed(0)
    ours = alive(Sequential(*truncated(depth, 4, stride)[0]))
    theirs = plain(depth, 4, stride).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(1, 1, 128, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_global_pooling_is_the_mean_over_time_of_channel_pooling_then_classified():
    network = build(3, depth=18, width=4, pooling="global").eval()
    x = torch.randn(1, 320, 64)
    mean = network.embed(x).mean(1)
    torch.testing.assert_close(network(x).clip[:, -1], torch.sigmoid(network.head.classify(mean)))


@torch.no_grad()
def test_segments_are_averages_over_patches_that_know_nothing_of_each_other():
    network = build(3, depth=18, width=4, pooling="segments").eval()
    x = torch.randn(1, 3 * 96 + 40, 64)
    alone = [network(x[:, k * 96 : (k + 1) * 96]).frame for k in range(3)]
    found = network(x)
    torch.testing.assert_close(found.frame, torch.cat(alone, 1))
    torch.testing.assert_close(found.clip[:, -1], torch.cat(alone, 1).mean(1))


@torch.no_grad()
def test_constant_attention_is_the_mean():
    network = build(3, depth=18, width=4).eval()
    nn.init.zeros_(network.head.attend.weight)
    found = network(torch.randn(1, 320, 64))
    torch.testing.assert_close(found.clip[:, -1], found.frame.mean(1))


@pytest.mark.parametrize("pooling", ["attention", "global", "segments"])
def test_a_narrow_one_learns_with_every_parameter_and_streams(pooling):
    torch.manual_seed(0)
    network = build(3, depth=18, width=2, stride=1, pooling=pooling, window=2.0)
    x = torch.randn(2, 200, 64)
    network.train()(x).clip[:, -1].square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    _streams(alive(network), x)


@torch.no_grad()
def _streams(network: Network, x):
    network.bind()
    parts, _ = stream(network, x, network.chunk)
    torch.testing.assert_close(parts.frame, network(x).frame, atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.clip, network(x).clip, atol=1e-5, rtol=0)
