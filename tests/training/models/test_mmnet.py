"""Card D's M&mnet: the sizes of the released network, layer by layer, and what each scheme teaches."""

from __future__ import annotations

import pytest
import torch

from training.batch import Batch
from training.layers.micro import SCHEMES
from training.layers.network import stream
from training.losses import LOSSES
from training.models import MODELS, Shape

RATE = 44_100 / 492  # frames per second
DCASE, AUDIOSET = Shape(128, 17, RATE), Shape(128, 527, RATE)
SMALL = {"stem": 6, "blocks": [8, 10, 10], "dense": [7], "window": 0.9}


def network(shape=DCASE, **settings):
    return MODELS.build(MODELS.parse({"kind": "mmnet", **settings}), shape)


def small(scheme, **settings):
    torch.manual_seed(0)
    return network(Shape(16, 3, RATE), scheme=scheme, **SMALL, **settings)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        ("mean", 3_719_825),
        ("wlat", 3_719_825),
        ("slat", 3_719_825),
        ("plat", 3_719_825 + 19_601),
        ("att", 4_162_577),
        ("mm", 4_182_178),
    ],
)
def test_the_sizes_of_the_schemes(scheme, size):
    with torch.device("meta"):
        assert count(network(scheme=scheme)) == size


@pytest.mark.parametrize(("kernels", "size"), [((3, 3), 10.23), ((3, 1), 8.34), ((1, 3), 8.92), ((1, 1), 7.03)])
def test_the_sizes_of_the_multi_scale_forms_at_527_classes(kernels, size):
    with torch.device("meta"):
        assert round(count(network(AUDIOSET, scheme="ms", kernels=list(kernels))) / 1e6, 2) == size


def test_layer_by_layer():
    with torch.device("meta"):
        built = network()
    _, norm, stem, block1, _, block2, _, block3, last, _, top = built.body.layers
    assert [count(x) for x in (norm, stem, last)] == [256, 49_280, 768]
    expected = {
        block1: [256, 98_560 + 512, 196_864 + 512, 33_024],
        block2: [512, 295_296 + 768, 442_752 + 768, 98_688],
        block3: [768, 442_752 + 768, 442_752 + 768, 147_840],
    }
    for block, sizes in expected.items():
        body, shortcut = block.bodies
        assert [*map(count, body.layers), count(shortcut)] == sizes
    assert [count(body) for body in top.bodies] == [0, 442_752, 19_601]
    assert count(built.head) == 394_240 + 1_049_600 + 4_096 + 17_425


def test_ten_seconds_are_56_segments_of_0_18_s_that_hear_134_frames():
    with torch.device("meta"):
        built = network()
        assert built.eval()(torch.zeros(1, 896, 128)).frame.shape == (1, 56, 17)
    assert built.head.window == 56
    at = built.head.timeline
    assert at.rate / RATE == pytest.approx(0.1785, abs=1e-4)
    assert at.past + at.rate + at.ahead == 134
    assert at.ahead / RATE == pytest.approx(0.66, abs=0.01)


def test_hearing_the_past_only_takes_the_wait_away():
    assert small("mm", causal=True).head.timeline.delay == 0
    assert small("mm", causal=True).head.timeline.ahead == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_teaches_every_parameter(scheme):
    built = small(scheme).train()
    loss = LOSSES.build(LOSSES.parse({"kind": "macro-micro"}), 3)
    x = torch.randn(5, 80, 16, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]])
    loss(built(x), Batch(x, None, y)).backward()
    still = [name for name, p in built.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in still if not name.endswith("conv.bias")] == []  # norms take some of these away


@pytest.mark.parametrize("scheme", SCHEMES)
def test_steps_give_the_whole_clips_scores(scheme):
    built = small(scheme).eval()
    x = torch.randn(2, 200, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole, (parts, _) = built(x), stream(built, x, 32)
    torch.testing.assert_close(parts.frame, whole.frame, atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.clip, whole.clip, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_training_calls_the_clips_score_is_what_a_model_gives_out(scheme):
    built = small(scheme)
    x = torch.randn(2, 64, 16, generator=torch.Generator().manual_seed(3))
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval().train = lambda *_, module=module: module  # the same norms both times
    with torch.no_grad():
        taught, given = built.train()(x), built.eval()(x)
    torch.testing.assert_close(taught.clip[:, -1], given.clip[:, -1], atol=1e-6, rtol=0)
    torch.testing.assert_close(taught.frame, given.frame, atol=1e-6, rtol=0)


def test_all_of_the_weight_on_the_macro_net_gives_its_prediction():
    built = small("mm", mu=1.0).train()
    with torch.no_grad():
        scores = built(torch.randn(3, 64, 16))
    torch.testing.assert_close(scores.clip[:, 0], scores.macro)


def test_poolings_that_do_not_fit_the_blocks_are_refused():
    with pytest.raises(ValueError, match="expected 2 `pools`"):
        small("mm", pools=[4])
