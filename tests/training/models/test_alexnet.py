"""Card B's AlexNet: the sizes of its two tables, layer by layer, and what each reduction takes away."""

from __future__ import annotations

import copy

import pytest
import torch

from export.step import fold
from training.layers.heads import MeanHead
from training.models import MODELS, Shape

AUDIOSET = Shape(64, 527, 100.0)
SIZES = {  # card B, "Reduced variants"
    ("none", 0): 56_111_673,
    ("final", 64): 54_301_927,
    ("final", 256): 55_168_231,
    ("final", 1024): 58_633_447,
    ("mid", 64): 40_765_237,
    ("mid", 256): 42_294_901,
    ("mid", 1024): 48_413_557,
    ("fc", 64): 3_065_871,
    ("fc", 256): 4_949_967,
    ("fc", 1024): 13_223_631,
    ("gap", 0): 2_589_135,
}
CONVOLUTIONS = [4_992, 307_392, 663_936, 884_992, 590_080]
SMALL = {"channels": [4, 6, 8, 6, 5], "dense": 12, "size": 3, "window": 3.0, "segment": 0.5}


def network(shape=AUDIOSET, **settings):
    return MODELS.build(MODELS.parse({"kind": "alexnet", **settings}), shape)


def small(reduction, **settings):
    torch.manual_seed(1)
    return network(Shape(24, 3, 100.0), **{**SMALL, "reduction": reduction, **settings})


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("reduction", "size"), SIZES)
def test_the_eleven_sizes(reduction, size):
    with torch.device("meta"):
        built = network(reduction=reduction, **({"size": size} if size else {}))
    assert count(built) == SIZES[reduction, size]
    assert built.head.published == {"none": 3982, "gap": 256}.get(reduction, size)


def test_layer_by_layer():
    with torch.device("meta"):
        built = network()
    layers = [m for m in built.body.body.layers if count(m)]
    assert [count(m.conv) for m in layers] == [*CONVOLUTIONS, 35_682_702, 15_860_306]
    assert [count(m.norm) for m in layers] == [128, 384, 768, 512, 512, 7_964, 7_964]
    assert count(built.head) == 2_099_041


def test_without_batch_norm():
    with torch.device("meta"):
        assert count(network(norm=False)) == 56_093_441
        assert count(network(norm=False, reduction="gap")) == 2_586_831


@pytest.mark.parametrize("n", [7, 64, 300])
def test_what_a_bottleneck_adds_and_takes_away(n):
    """A layer of n between two of sizes a and b costs n(a + b) + 3n, weights, bias and norm, and saves a · b."""
    with torch.device("meta"):
        none, final, mid = (count(network(reduction=r, size=n)) for r in ("none", "final", "mid"))
    assert final - none == n * (3982 + 527) + 3 * n - 3982 * 527
    assert mid - none == n * (3982 + 3982) + 3 * n - 3982 * 3982


def test_the_last_map_is_5_by_7_and_a_second_costs_597_million_multiplications():
    with torch.device("meta"):
        built = network(reduction="gap")
        x = torch.zeros(1, 1, 100, 64)
        for layer in built.body.body.layers[:-1]:
            x = layer(x)
    assert x.shape == (1, 256, 5, 7)
    assert round(built.body.multiplications() / 1e6) == 597


def test_too_small_a_segment_is_refused():
    with pytest.raises(ValueError, match="segments of at least"):
        network(Shape(64, 3, 20.0))


def test_the_global_mean_does_not_know_where_a_map_is_large():
    built = small("gap").eval()
    x = torch.randn(1, 5, 4, 3, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(built.body.body.layers[-1](x), built.body.body.layers[-1](x.roll((1, 2), (2, 3))))


@pytest.mark.parametrize("reduction", ["none", "final", "mid", "fc", "gap"])
def test_every_parameter_learns(reduction):
    built = small(reduction)
    scores = built(torch.randn(4, 50, 24, generator=torch.Generator().manual_seed(3)))
    (scores.clip[:, -1].log().sum() + scores.frame.square().sum()).backward()
    still = [name for name, p in built.named_parameters() if not p.grad.abs().sum() > 0]
    assert [name for name in still if not name.endswith("conv.bias")] == []  # a norm takes these away again


@pytest.mark.parametrize("reduction", ["mid", "gap"])
def test_folding_the_norms_changes_nothing(reduction):
    built = small(reduction)
    with torch.no_grad():
        for _ in range(3):
            built(torch.randn(8, 50, 24))
        built.eval()
        folded = copy.deepcopy(built)
        fold(folded)
        x = torch.randn(2, 150, 24)
        assert (folded(x).clip - built(x).clip).abs().max() < 1e-5


def test_a_clips_score_is_the_mean_of_its_segments_and_goes_on_over_the_last_ones():
    built = small("gap").eval()
    assert type(built.head) is MeanHead
    assert built.head.window == 6
    with torch.no_grad():
        scores = built(torch.randn(1, 8 * 50, 24))
    for k in range(8):
        expected = scores.frame[0, max(0, k - 5) : k + 1].mean(0)
        torch.testing.assert_close(scores.clip[0, k], expected, atol=1e-6, rtol=0)


def test_a_segment_is_scored_as_if_it_were_alone():
    built = small("gap").eval()
    x = torch.randn(1, 3 * 50, 24)
    with torch.no_grad():
        whole, alone = built(x).frame[:, 1], built(x[:, 50:100]).frame[:, 0]
    torch.testing.assert_close(whole, alone)


def test_the_embedding_of_a_bottleneck_in_the_middle_is_the_bottleneck():
    built = small("mid").eval()
    with torch.no_grad():
        assert built.embed(torch.randn(2, 100, 24)).shape == (2, 2, 3)
    at = built.head.after
    assert at.past + at.rate + at.ahead == 6 * 50
