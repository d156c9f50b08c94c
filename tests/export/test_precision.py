"""Rounding moves outputs as little as it can, and the choice keeps within its budget."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export import precision, rounding
from export.step import Step
from training.layers.conv import Conv
from training.layers.examples import build


@pytest.fixture(scope="module")
def step():
    return Step(build("tcn"))


@pytest.fixture(scope="module")
def recordings(step):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((80, step.bands)).astype(np.float32) for _ in range(3)]


@pytest.mark.parametrize(
    ("channels", "groups", "kernel"), [((6, 5), 1, (3, 3)), ((6, 6), 6, (5, 1)), ((6, 4), 2, (1, 1))]
)
def test_rounding_for_the_outputs_beats_rounding_of_the_weights(channels, groups, kernel):
    torch.manual_seed(1)
    conv = Conv(channels, kernel, groups=groups, norm=False, activation="none")
    mixed = torch.randn(channels[0], channels[0])
    x = torch.einsum("ij,bjtf->bitf", mixed, torch.randn(1, channels[0], 60, 8)).relu() + 3  # correlated, as ReLUs are
    core, weight = conv.conv, conv.conv.weight.detach()
    values, scale = precision.per_channel(weight.numpy())
    plain = torch.from_numpy(values * scale.reshape(-1, 1, 1, 1))
    ours = rounding.rounded(weight, rounding.moments(conv, x))
    truth, core = core(x).detach(), conv.conv.requires_grad_(False)

    def error(w):
        return float((torch.nn.functional.conv2d(x, w, core.bias, 1, core.padding, 1, groups) - truth).square().mean())

    assert error(ours) < error(plain)


def test_rounded_weights_are_what_a_quantiser_finds_again():
    torch.manual_seed(2)
    conv = Conv((8, 6), (3, 3), norm=False)
    ours = rounding.rounded(conv.conv.weight, rounding.moments(conv, torch.randn(1, 8, 40, 6).relu())).numpy()
    values, scale = precision.per_channel(ours)
    assert np.abs(values).reshape(6, -1).max(1).tolist() == [127] * 6
    np.testing.assert_allclose(values * scale.reshape(-1, 1, 1, 1), ours, atol=1e-7)


def test_the_choice_keeps_within_its_budget(step, recordings, monkeypatch):
    trial = precision._Trial(step, recordings)
    monkeypatch.setattr(precision, "BUDGET", 0.01)
    for budget in (1.0, 6e-4, 0.0):
        kinds, rounded = precision.choose(step, recordings, frame=100 * budget)
        assert list(kinds) == [path for path, m in step.named_modules() if isinstance(m, Conv)]
        computed = [path for path, kind in kinds.items() if kind == "int8"]
        assert not computed or trial.error([p for p in kinds if kinds[p] != "float32"], computed) <= budget
        assert ("weights" in kinds.values()) == (budget < 1.0)
        weights = dict(rounded.named_parameters())
        for path, kind in kinds.items():
            same = torch.equal(weights[f"{path}.conv.weight"], step.get_parameter(f"{path}.conv.weight"))
            assert same == (kind == "float32")
    assert set(kinds.values()) <= {"weights", "float32"}


def test_few_weights_stay_float_and_those_that_are_heard_most(step, recordings):
    trial = precision._Trial(step, recordings)
    weights = {path: conv.conv.weight.numel() for path, conv in trial.convolutions.items()}
    kept = set(weights) - set(precision._weights(trial, weights))
    assert sum(weights[path] for path in kept) <= precision.FLOAT_SHARE * sum(weights.values())


def test_the_graph_is_left_as_it_was(step, recordings):
    before = {name: value.clone() for name, value in step.state_dict().items()}
    precision.choose(step, recordings)
    assert all(torch.equal(before[name], value) for name, value in step.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in step.modules())


def test_scale_and_zero_point_by_hand():
    assert precision.affine(0.0, 25.5) == (pytest.approx(0.1), -128)
    assert precision.affine(-12.8, 12.7) == (pytest.approx(0.1), 0)


@pytest.mark.parametrize("groups", [1, 2])
def test_moments_of_a_batch_are_those_of_its_examples_together(groups):
    """Segments stand in the batch: one Hessian for all of them, not one each."""
    torch.manual_seed(0)
    conv = Conv((4, 6), (3, 3), groups=groups)
    x = torch.randn(5, 4, 8, 6)
    found = rounding.moments(conv, x)
    assert found.shape == (groups, 4 // groups * 9, 4 // groups * 9)
    torch.testing.assert_close(found, sum(rounding.moments(conv, one[None]) for one in x))
