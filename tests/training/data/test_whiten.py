"""PCA and whitening by hand, and into a layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.whiten import LEAST, Whitening
from training.embed import whiten
from training.layers.conv import Conv


def test_two_numbers_by_hand():
    """Points at ±2 on the diagonal and ±1 across it: deviations 2 √(2/3) and √(2/3) along the axes (N - 1 = 3)."""
    a, b = np.array([1, 1]) / np.sqrt(2), np.array([1, -1]) / np.sqrt(2)
    rows = np.array([2 * a, -2 * a, b, -b], np.float32) + np.array([5, 3], np.float32)
    found = Whitening.fit(rows)
    assert found.mean == pytest.approx([5, 3])
    assert np.abs(found(rows)) == pytest.approx(np.sqrt(1.5) * np.array([[1, 0], [1, 0], [0, 1], [0, 1]]), abs=1e-6)


def test_whitened_numbers_have_variance_one_and_tell_nothing_of_each_other():
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((500, 6)) @ (np.eye(6) + 0.2 * rng.standard_normal((6, 6)))).astype(np.float32) + 7
    assert np.cov(Whitening.fit(rows)(rows).T) == pytest.approx(np.eye(6), abs=1e-3)


def test_an_axis_without_variance_is_not_blown_up():
    rows = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    rows[:, 2] = 4.0
    found = Whitening.fit(rows)
    assert np.abs(found.matrix).max() <= 1.001 / np.sqrt(LEAST * np.cov(rows.T).max())
    assert np.abs(found(rows)[:, 2]).max() < 1e-3


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="expected two different embeddings or more, got 3"):
        Whitening.fit(np.ones((3, 2), np.float32))


@pytest.mark.parametrize("norm", [True, False])
@torch.no_grad()
def test_a_layer_with_a_whitening_in_it_gives_what_is_whitened(norm):
    torch.manual_seed(0)
    layer = Conv((5, 4), (2, 1), norm=norm, activation="none").eval()
    if norm:
        layer.norm.running_mean.normal_()
        layer.norm.running_var.uniform_(0.5, 2)
        layer.norm.weight.normal_()
        layer.norm.bias.normal_()
    x = torch.randn(1, 5, 30, 1)
    before = layer(x)[0, :, :, 0].T.numpy()
    whitening = Whitening.fit(before)
    whiten(layer, whitening)
    assert layer(x)[0, :, :, 0].T.numpy() == pytest.approx(whitening(before), abs=1e-4)
