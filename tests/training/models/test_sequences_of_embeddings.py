"""Cards C, 37 and 04: VGGish, what listens to embeddings, and the compact extractor in its place."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from training.layers.examples import alive
from training.layers.network import stream
from training.layers.reshape import BandsToChannels
from training.layers.streaming import Sequential
from training.models import MODELS, Shape
from training.models.sequence import SequenceNetwork, SequenceSettings, sequence
from training.models.vggish import extractor


def size(module):
    return sum(p.numel() for p in module.parameters())


def listener(classes=527, **settings):
    """Parameters of what stands behind an embedding of 128."""
    with torch.device("meta"):
        layers, head = sequence(SequenceSettings(**settings), 128, classes, 1.0)
    return sum(map(size, layers)) + size(head)


def test_vggish_has_the_cards_layers_and_72_million_parameters():
    with torch.device("meta"):
        body = extractor()
        assert [size(layer) for layer in body.layers if size(layer)] == [
            640, 73_856, 295_168, 590_080, 1_180_160, 2_359_808, 50_335_744, 16_781_312, 524_416,
        ]  # fmt: skip
        assert size(body) == 72_141_184
        assert body(torch.zeros(3, 1, 96, 64)).shape == (3, 128, 1, 1)


@pytest.mark.parametrize(
    ("levels", "audioset", "fsdkaggle"),
    [
        ([1], 712_054, 127_882),
        ([2], 1_073_854, 489_682),
        ([3], 1_435_654, 851_482),
        ([1, 2], 2_263_293, 542_367),
        ([1, 3], 2_625_093, 904_167),
        ([2, 3], 2_625_093, 904_167),
        ([1, 2, 3], 3_536_276, 955_130),
        ([6], 2_521_054, None),
        ([9], 3_606_454, None),
        ([3, 6], 3_710_493, None),
        ([2, 4, 6], 4_621_676, None),
        ([5, 9], 4_795_893, None),
        ([3, 6, 9], 5_707_076, None),
    ],
)
def test_levels_have_the_parameters_of_cards_c_and_37(levels, audioset, fsdkaggle):
    assert listener(taps=levels) == audioset
    assert fsdkaggle is None or listener(41, taps=levels) == fsdkaggle


def test_the_head_of_card_04_with_its_running_statistics():
    with torch.device("meta"):
        _, head = sequence(SequenceSettings(taps=[1, 2, 3]), 128, 41, 1.0)
    running = sum(b.numel() for name, b in head.named_buffers() if "running" in name)
    assert size(head) + running == 958_730


def test_baselines_have_the_parameters_of_card_c():
    assert listener(kind="dnn") == 1_118_927
    assert listener(kind="lstm") == 2_068_727


def test_a_patch_is_computed_as_plain_torch_computes_it():
    """The dense layers are convolutions here; flattened in time, bands and channels they are dense layers."""
    torch.manual_seed(0)
    body = extractor(width=1 / 64).eval()
    convs = [layer.conv for layer in body.layers if size(layer)]
    x = y = torch.randn(2, 1, 96, 64)
    for number, conv in enumerate(convs[:6]):
        y = functional.relu(functional.conv2d(y, conv.weight, conv.bias, padding=1))
        y = functional.max_pool2d(y, 2) if number in (0, 1, 3, 5) else y
    y = y.flatten(1)
    for conv in convs[6:]:
        y = functional.relu(functional.linear(y, conv.weight.flatten(1), conv.bias))
    torch.testing.assert_close(body(x).flatten(1), y)


def identity(**settings):
    """A network whose features are its embeddings."""
    layers, head = sequence(SequenceSettings(hidden=6, **settings), 4, 3, 1.0)
    return SequenceNetwork(Sequential(BandsToChannels()), layers, head, 4)


@pytest.mark.parametrize("kind", ["dnn", "lstm", "attention"])
@torch.no_grad()
def test_embeddings_in_place_of_features_give_the_same(kind):
    torch.manual_seed(0)
    network = alive(identity(kind=kind))
    x = torch.randn(2, 7, 4)
    for a, b in zip(network(x)[:2], network(x.transpose(1, 2)[..., None])[:2], strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@torch.no_grad()
def test_only_the_lstm_hears_an_order():
    torch.manual_seed(0)
    x, swapped = torch.randn(1, 6, 4), [3, 1, 5, 0, 2, 4]
    for kind in ("dnn", "attention"):
        network = alive(identity(kind=kind))
        torch.testing.assert_close(network(x).clip[:, -1], network(x[:, swapped]).clip[:, -1])
    network = alive(identity(kind="lstm"))
    assert (network(x).clip[:, -1] - network(x[:, swapped]).clip[:, -1]).abs().max() > 1e-3


@torch.no_grad()
def test_with_one_segment_attention_is_what_it_attends_to():
    network = alive(identity(taps=[2]))
    found = network(torch.randn(1, 1, 4))
    torch.testing.assert_close(found.clip, found.frame)


@pytest.mark.parametrize("settings", [{"kind": "dnn"}, {"kind": "lstm"}, {"taps": [1, 2, 3], "exclusive": True}])
def test_every_parameter_gets_a_gradient(settings):
    torch.manual_seed(0)
    sizes = {"hidden": 8, "dropout": 0.0, "window": 3.0, **settings}
    model = {"kind": "vggish", "width": 0.03, "sequence": sizes}
    network = MODELS.build(MODELS.parse(model), Shape(64, 3, 100.0)).train()
    network(torch.randn(3, 200, 64)).clip[:, -1].square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@torch.no_grad()
def test_a_narrow_vggish_streams_a_patch_at_a_time():
    torch.manual_seed(0)
    network = alive(MODELS.build(MODELS.parse({"kind": "vggish", "width": 0.03}), Shape(64, 3, 100.0)))
    x = torch.randn(1, 300, 64)
    assert network.chunk == 96
    parts, _ = stream(network, x, 96)
    torch.testing.assert_close(parts.frame, network(x).frame, atol=1e-5, rtol=0)
    assert parts.frame.shape == (1, 3, 3)


def test_the_compact_one_is_small_causal_and_gives_128_numbers():
    network = MODELS.build(MODELS.parse({"kind": "compact"}), Shape(64, 10, 50.0)).eval()
    assert size(network) == 439_450
    assert (network.head.timeline.channels, network.head.timeline.rate, network.head.timeline.ahead) == (128, 8, 0)
    x = torch.randn(1, 160, 64)
    with torch.no_grad():
        parts, _ = stream(network, x, network.chunk)
        torch.testing.assert_close(parts.clip, network(x).clip, atol=1e-5, rtol=0)


def test_taps_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"expected ascending layers from 1 as taps, got \[2, 1\]"):
        sequence(SequenceSettings(taps=[2, 1]), 4, 3, 1.0)
