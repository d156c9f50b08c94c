"""Virtual adversarial training: the divergence by hand, and that the change found is the worst there is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from training.losses.adversarial import adversarial, divergence, steady, worst

X = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(1))


def linear(x):
    """Probabilities of a toy model whose worst direction is known: along its weights."""
    weights = torch.linspace(-1, 1, 20)
    return torch.sigmoid(x.flatten(1) @ weights)[:, None]


def test_the_divergence_by_hand():
    assert divergence(torch.tensor([[0.8]]), torch.tensor([[0.6]])).item() == pytest.approx(0.091516, abs=1e-6)
    assert divergence(torch.tensor([[0.8, 0.8]]), torch.tensor([[0.6, 0.8]])).item() == pytest.approx(
        0.091516, abs=1e-5
    )


def test_the_change_has_its_size_and_lies_along_the_weights():
    torch.manual_seed(0)
    change = worst(linear, X, linear(X).detach(), 0.7)
    norms = change.flatten(1).norm(dim=1)
    assert norms.tolist() == pytest.approx([0.7] * 6, abs=1e-5)
    weights = torch.linspace(-1, 1, 20)
    cosines = (change.flatten(1) @ weights).abs() / (norms * weights.norm())
    assert cosines.min() > 0.999


def test_it_moves_the_answer_more_than_chance_does():
    torch.manual_seed(0)
    random = torch.randn_like(X)
    random = 0.7 * random / random.flatten(1).norm(dim=1)[:, None, None]
    found = adversarial(linear, X, 0.7).item()
    assert found > 3 * divergence(linear(X), linear(X + random)).mean().item() >= 0


def test_of_a_constant_answer_nothing_moves():
    value = adversarial(lambda x: torch.full((len(x), 2), 0.3) + 0 * x.sum(), X, 0.7)
    assert value.item() == pytest.approx(0.0, abs=1e-7)


def test_the_answer_at_hand_is_held_constant():
    """The gradient is that of the changed answer alone: with p fixed, d KL / d logit = q − p."""
    shift = torch.zeros(1, requires_grad=True)

    def posterior(x):
        return torch.sigmoid(x.flatten(1).sum(1, keepdim=True) / 20 + shift)

    torch.manual_seed(0)
    adversarial(posterior, X[:1], 1.0).backward()
    torch.manual_seed(0)
    p = posterior(X[:1]).detach()
    q = posterior(X[:1] + worst(posterior, X[:1], p, 1.0)).detach()
    assert shift.grad.item() == pytest.approx((q - p).item(), abs=1e-5)
    assert not math.isclose(shift.grad.item(), 0.0, abs_tol=1e-3)


def test_changed_features_leave_no_trace_in_the_statistics():
    norm = nn.BatchNorm1d(3).train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with steady(norm):
        norm(torch.randn(8, 3) * 5)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    norm(torch.randn(8, 3))
    assert norm.num_batches_tracked == 1
    assert norm.momentum == 0.1


def test_a_network_that_drops_answers_the_same_to_the_same_features():
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(20), nn.Dropout(0.5)).train()
    network[2].eval()  # frozen
    with steady(network):
        assert torch.equal(network(X.flatten(1)), network(X.flatten(1)))
    assert [part.training for part in network] == [True, True, False]
