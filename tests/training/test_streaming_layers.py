"""Steps with state compute what the whole clip computes, and nothing sees the future."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.layers.conv import Conv
from training.layers.network import Network
from training.layers.streaming import Clock
from training.models.dscnn import DSCNNSettings, dscnn
from training.models.registry import Shape


def alive(model: torch.nn.Module) -> torch.nn.Module:
    """Give the batch norms statistics that are not the identity, as training does."""
    generator = torch.Generator().manual_seed(3)
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.copy_(0.3 * torch.randn(value.shape, generator=generator))
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Network:
    torch.manual_seed(0)
    sizes = DSCNNSettings(stem=4, stages=[(6, 2), (6, 1)], width=8, dilations=[1, 3], embedding=5)
    return alive(dscnn(sizes, Shape(16, 4, 50.0)))


def steps(model: Network, x: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    state, out = model.init_state(), []
    for chunk in torch.split(x, cuts, dim=1):
        scores, _, state = model.step(chunk, state, Clock.at())
        out.append(scores.frame)
    return torch.cat(out, 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_any_chunking_gives_the_whole_clips_scores(model, cuts):
    x = torch.randn(1, sum(cuts), 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(steps(model, x, cuts), model(x).frame, atol=2e-6)


def test_a_change_at_frame_t_moves_nothing_before_t_and_something_at_t(model):
    x = torch.randn(1, 40, 16)
    changed = x.clone()
    changed[:, 17] += 1.0
    with torch.no_grad():
        difference = (model(x).frame - model(changed).frame).abs().amax((0, 2))
    assert difference[:17].max() == 0
    assert difference[17] > 0


def test_the_receptive_field_ends_exactly_where_declared(model):
    live = copy.deepcopy(model)
    for layer in live.modules():  # a ReLU might hide the far end
        if isinstance(layer, Conv):
            layer.activation = "none"
    x = torch.randn(1, 60, 16)
    changed = x.clone()
    changed[:, 0] += 5.0
    reach = live.receptive_field
    with torch.no_grad():
        difference = (live(x).frame - live(changed).frame).abs().amax((0, 2))
    assert difference[reach:].max() == 0
    assert difference[reach - 1] > 0


def test_a_fresh_state_forgets_the_past(model):
    x = torch.randn(1, 12, 16)
    with torch.no_grad():
        steps(model, torch.randn(1, 30, 16), [30])
        assert torch.equal(steps(model, x, [4, 8]), steps(model, x, [4, 8]))


def test_states_are_named_by_module_path_and_shaped_past_bands_channels(model):
    shapes = {name: tuple(value.shape) for name, value in model.init_state().items()}
    assert shapes["layers.0"] == (1, 2, 16, 1)
    assert shapes["layers.1.layers.0"] == (1, 2, 8, 4)
    assert shapes["layers.5.body.layers.0"] == (1, 12, 1, 8)


def test_folding_the_batch_norm_changes_nothing():
    torch.manual_seed(1)
    layer = alive(Conv((3, 5), (3, 3), stride=(1, 2)))
    x = torch.randn(2, 3, 10, 8)
    with torch.no_grad():
        before = layer(x)
        layer.fold()
        assert torch.allclose(layer(x), before, atol=1e-6)
        layer.fold()
        assert torch.allclose(layer(x), before, atol=1e-6)


def test_a_causal_convolution_by_hand():
    layer = Conv((1, 1), (3, 1), dilation=(2, 1), activation="none")
    with torch.no_grad():
        layer.conv.weight.copy_(torch.tensor([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1))
    layer.eval().norm.eps = 0.0
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 1, 5, 1)
    # y[t] = 100 x[t] + 10 x[t - 2] + x[t - 4], zeros before the clip
    assert layer(x).flatten().tolist() == [100.0, 200.0, 310.0, 420.0, 531.0]


def test_the_default_network_has_at_most_150_000_parameters_and_hears_about_two_seconds():
    network = dscnn(DSCNNSettings(), Shape(64, 10, 50.0))
    assert sum(p.numel() for p in network.parameters()) <= 150_000
    assert 1.5 <= network.receptive_field * 0.02 <= 2.5


@pytest.mark.parametrize(("centred", "before", "after"), [(False, 22, 0), (True, 11, 11)])
def test_a_score_hears_only_the_past_or_as_much_of_what_follows(centred, before, after):
    torch.manual_seed(0)
    sizes = DSCNNSettings(stem=4, stages=[(6, 2), (6, 1)], width=8, dilations=[1, 3], embedding=5, causal=not centred)
    network = alive(dscnn(sizes, Shape(16, 4, 50.0)))
    # three convolutions over 3 frames, one over 5, one of 5 over 13
    assert (network.receptive_field, network.head.after.ahead) == (1 + before, after)
    x = torch.randn(1, 60, 16, requires_grad=True)
    network(x).frame[0, 30].sum().backward()
    heard = (x.grad[0].abs().sum(1).nonzero().flatten() - 30).tolist()
    assert -before <= min(heard) < -before / 2
    assert after / 2 <= max(heard) <= after


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    network = dscnn(DSCNNSettings(stem=4, stages=[(6, 2), (6, 1)], width=8, dilations=[1]), Shape(16, 3, 50.0))
    network(torch.randn(2, 30, 16)).frame.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert sum(float(p.grad.abs().sum()) > 0 for p in network.parameters()) == len(list(network.parameters()))
