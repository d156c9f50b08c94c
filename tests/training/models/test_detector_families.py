"""Families that learn when from whether: sizes as the cards derive them, shapes, streaming, what is special in each."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.layers.boundaries import BoundaryHead
from training.layers.network import Network, stream
from training.layers.pooling import Decimate
from training.layers.rates import Pieces, Repeat
from training.layers.recurrent import GRU
from training.layers.sru import SRU
from training.layers.weighted_gru import WeightedGRU
from training.models import MODELS, Shape


def build(kind, classes=10, bands=64, rate=24.1, **settings):
    torch.manual_seed(0)
    return MODELS.build(MODELS.parse({"kind": kind, **settings}), Shape(bands, classes, rate))


def sizes(kind, *args, **settings):
    """Numbers that are learnt in each layer that has any, in order."""
    with torch.device("meta"):
        network = build(kind, *args, **settings)
    leaves = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.GRU | nn.Linear | SRU)]
    inner = {id(p) for m in network.modules() if isinstance(m, SRU) for p in m.modules() if p is not m}
    return [sum(p.numel() for p in m.parameters()) for m in leaves if id(m) not in inner]


GLU15 = {"maps": 128, "norm": False, "hidden": 128, "pooling": "mean"}
LAYERS = [
    # card 03: 3 × (conv, norm), a GRU of two biases, dense
    ("crnn", {}, [640, 128, 36_928, 128, 36_928, 128, 49_920, 1_290], 126_090),
    ("weighted-gru", {}, [640, 128, 36_928, 128, 36_928, 128, 49_920, 1_290], 126_090),
    ("gated-crnn", {}, [1_152, 256, *[73_728, 256] * 5, 49_920, 1_290, 1_290], 423_828),
    ("gated-crnn", GLU15, [2_560, *[295_168] * 5, 198_144, 2_570], 1_679_114),
    ("gated-crnn", GLU15 | {"pooling": "boundaries"}, [2_560, *[295_168] * 5, 198_144, 5_397], 1_681_941),
    ("gated-crnn", GLU15 | {"gate": False}, [1_280, *[147_584] * 5, 198_144, 2_570], 939_914),
    ("two-rate", {}, [*[1_280, *[73_856] * 7, 73_856, 74_496] * 2, 2_570], 1_335_818),
    ("rcnn", {"depth": "deep"}, [256, 128, *[16_384, 128] * 7, 16_640, 197_120, 2_570], 332_298),
    ("rcnn", {}, [576, 128, *[36_864, 128] * 2, 66_048, 2_570], 143_306),
    ("cross-task", {"layers": 4}, [1_600, 128, 204_800, 256, 819_200, 512, 3_276_800, 1_024, 5_130], 4_309_450),
]


@pytest.mark.parametrize(("kind", "settings", "layers", "total"), LAYERS)
def test_every_layer_is_as_large_as_its_card_says(kind, settings, layers, total):
    found = sizes(kind, **settings)
    assert found == layers
    assert sum(found) == total


@pytest.mark.parametrize(
    ("kind", "classes", "bands", "settings", "total"),
    [
        ("when", 1, 40, {}, 178_945),
        ("inception-crnn", 10, 64, {}, 222_410),
        ("inception-crnn", 10, 64, {"branch": 16}, 122_890),
        ("gated-crnn", 10, 64, GLU15 | {"gate": False, "pooling": "boundaries"}, 942_741),
        ("cross-task", 10, 64, {"layers": 8}, 4_691_274),
        ("cross-task", 41, 64, {"layers": 4, "events": False}, 4_325_353),
        ("cross-task", 1, 64, {"layers": 8, "events": False}, 4_686_657),
        ("cross-task", 527, 64, {"layers": 8}, 4_956_495),
    ],
)
def test_sizes_that_cards_print(kind, classes, bands, settings, total):
    assert sum(sizes(kind, classes, bands, **settings)) == total


NARROW = [
    ("crnn", {"maps": [4, 4, 4], "hidden": 3}, 64, 1),
    ("weighted-gru", {"maps": [4, 4], "pools": [[2, 4], [1, 4]], "hidden": 3, "steady": [1]}, 64, 2),
    ("when", {"maps": [4, 4, 4], "hidden": 3}, 40, 1),
    ("inception-crnn", {"stem": 4, "branch": 2, "reduced": 2, "hidden": 3}, 64, 1),
    ("gated-crnn", {"maps": 3, "hidden": 3}, 64, 1),
    ("gated-crnn", {"maps": 3, "hidden": 3, "pooling": "boundaries", "norm": False}, 64, 1),
    ("gated-crnn", {"maps": 3, "hidden": 3, "gated_recurrence": True, "top": 4, "pools": [2, 2]}, 64, 1),
    ("two-rate", {"maps": 3, "hidden": 3, "top": 4}, 64, 1),
    ("rcnn", {"depth": "deep", "maps": 3, "hidden": 3, "top": 4}, 64, 1),
    ("rcnn", {"maps": 3, "hidden": 3}, 64, 1),
    ("cross-task", {"layers": 4, "maps": [2, 3, 4, 5]}, 64, 1),
    ("cross-task", {"layers": 8, "maps": [2, 3, 4, 5], "events": False}, 64, 16),
]


@pytest.mark.parametrize(("kind", "settings", "bands", "slower"), NARROW)
def test_clips_give_frames_at_their_rate_and_every_weight_learns(kind, settings, bands, slower):
    network = build(kind, 3, bands, window=2.0, **settings).train()
    features = torch.randn(2, 80, bands, generator=torch.Generator().manual_seed(1))
    scores = network(features)
    assert scores.frame.shape == (2, 80 // slower, 3)
    assert all(((part >= 0) & (part <= 1)).all() for part in scores if part is not None)
    (scores.frame.square().sum() + scores.clip.square().sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(("kind", "settings", "bands", "slower"), [n for n in NARROW if n[0] != "cross-task"])
def test_both_ways_need_windows_and_forward_streams(kind, settings, bands, slower):
    with pytest.raises(ValueError, match=r"which a stream never has; export in window mode"):
        build(kind, 3, bands, **settings).bind()
    network = build(kind, 3, bands, window=1.0, direction="forward", **settings).eval()
    network.bind()
    features = torch.randn(1, 60, bands, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, (parts, _) = network(features), stream(network, features, 2 * network.chunk)
    torch.testing.assert_close(parts.frame, whole.frame, atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.clip, whole.clip, atol=1e-5, rtol=0)


def test_a_weight_of_one_is_the_stock_unit_to_the_bit_and_zero_hears_nothing_before():
    x = torch.randn(1, 64, 30, 1, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    layer = WeightedGRU(64, 4, 1.0, bidirectional=True).eval()
    plain, weighted = layer(x).chunk(2, 1)
    stock = GRU(64, 4, bidirectional=True)
    stock.load_state_dict(layer.state_dict())
    assert torch.equal(plain, weighted)
    assert torch.equal(plain, stock(x))

    layer = WeightedGRU(64, 4, 0.0).eval()
    frame = torch.randn(1, 12, generator=torch.Generator().manual_seed(1))
    states = [torch.cat([torch.full((1, 4), h)] * 2) for h in (0.0, 1.0)]
    left = [layer.advance(frame.repeat(2, 1), [state, state])[1][0] for state in states]
    update = torch.sigmoid(frame[0, 4:8] + layer.core.bias_hh_l0[4:8])
    torch.testing.assert_close(left[1] - left[0], update)  # what leaks through is all that the past does


def test_a_weighted_memory_lets_go_of_a_burst_sooner():
    """What a burst leaves in the states decays faster, the smaller ω is."""
    torch.manual_seed(0)
    quiet = torch.zeros(1, 8, 40, 1)
    burst = quiet.clone()
    burst[:, :, :5] = 3.0
    left = []
    for weight in (1.0, 0.5, 0.2):
        layer = WeightedGRU(8, 16, weight).eval()
        torch.nn.init.normal_(layer.core.weight_hh_l0, 0, 0.6, generator=torch.Generator().manual_seed(2))
        half = [layer(x).chunk(2, 1)[1] for x in (burst, quiet)]
        left.append(float((half[0] - half[1])[:, :, 15].detach().abs().mean()))
    assert left[0] > left[1] > left[2]


def test_a_class_that_is_no_index_is_refused():
    with pytest.raises(ValueError, match="expected `steady` to hold indices of 3 classes, got 3"):
        build("weighted-gru", 3, steady=[0, 3])


def test_a_fine_frame_meets_the_coarse_one_of_its_five():
    """t = 0, 4, 5, 1199 meet 0, 0, 1, 239 (card 19)."""
    x = torch.arange(1200.0).reshape(1, 1, 1200, 1)
    coarse = Repeat(5)(Decimate((5, 1))(x) / 5).flatten()
    assert [coarse[t].item() for t in (0, 4, 5, 1199)] == [0, 0, 1, 239]


def test_pieces_are_heard_as_if_each_were_alone():
    torch.manual_seed(0)
    body = GRU(3, 4, bidirectional=True)
    x = torch.randn(2, 3, 50, 1)
    alone = torch.cat([body(x[:, :, k : k + 10]) for k in range(0, 50, 10)], 2)
    torch.testing.assert_close(Pieces(5, body)(x), alone)


def test_what_is_on_after_a_start_is_off_after_its_end():
    head = BoundaryHead(nn.Linear(5, 5), 4).eval()  # two classes; the embedding is the symbols' logits
    with torch.no_grad():
        head.classify.weight.copy_(torch.eye(5) * 40)
        head.classify.bias.zero_()
        path = [4, 0, 4, 4, 2, 4, 1, 4, 3, 4]
        scores = head(nn.functional.one_hot(torch.tensor(path), 5).float().T[None, :, :, None])
    assert scores.frame[0, :, 0].round().tolist() == [0, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert scores.frame[0, :, 1].round().tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]
    assert scores.clip[0, :, 0].round().tolist() == [0, 1, 1, 1, 1, 0, 1, 1, 1, 1]
    assert scores.symbols.sum(2).allclose(torch.ones(1))


def test_one_vector_over_time_gives_a_clip_what_it_gives_its_frames():
    """Card 43: the dense layer of a clip's mean is that of its frames."""
    network = build("cross-task", 3, layers=4, maps=[2, 3, 4, 5]).eval()
    still = torch.ones(1, 1, 64).expand(1, 400, 64)
    with torch.no_grad():
        frames = network(still).frame[0]
        middle = network.head(network.body(still.unsqueeze(1))[:, :, 100:300])
    torch.testing.assert_close(middle.frame[0, 0], middle.clip[0, -1], atol=1e-5, rtol=0)
    assert frames.shape == (400, 3)


def test_a_tags_network_hears_the_same_at_another_time():
    """Card 43: a pattern that moves by 16 frames, far from the borders, is pooled to the same maximum."""
    network = build("cross-task", 3, layers=8, maps=[2, 3, 4, 5], events=False).eval()
    clips = torch.zeros(2, 320, 64)
    pattern = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    for clip, first in zip(clips, (128, 144), strict=True):
        clip[first : first + 32] = pattern
    with torch.no_grad():
        early, late = network(clips).clip[:, -1]
    torch.testing.assert_close(early, late, atol=1e-6, rtol=0)


def test_a_gate_that_is_closed_lets_nothing_through():
    network = build("gated-crnn", 3, maps=4, hidden=3, norm=False)
    first = network.body.layers[0].conv
    nn.init.constant_(first.bias[4:], -1e4)
    glu = network.body.layers[1]
    x = torch.randn(1, 1, 20, 64)
    assert glu(network.body.layers[0](x)).abs().max() == 0
    nn.init.constant_(first.bias[4:], 1e4)
    torch.testing.assert_close(glu(network.body.layers[0](x)), network.body.layers[0](x)[:, :4])


def test_every_family_is_a_network():
    assert all(isinstance(build(kind, 2, bands, **settings), Network) for kind, settings, bands, _ in NARROW)
