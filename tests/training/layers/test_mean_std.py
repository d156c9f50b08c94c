"""The head of means and deviations against numpy, and against what it is there for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from training.layers.mean_std import LEAST, MeanStdHead
from training.layers.network import Network, stream
from training.layers.streaming import Identity


def head(size: int = 5, classes: int = 3, window: int = 6) -> MeanStdHead:
    torch.manual_seed(0)
    return MeanStdHead(nn.Linear(size, classes), nn.Linear(2 * size, classes), window).eval()


def test_clip_scores_are_those_of_numpy_over_the_last_frames():
    layer, x = head(), torch.randn(1, 5, 10, 1, generator=torch.Generator().manual_seed(1))
    for last in (2, 9):
        heard = x[0, :, max(0, last - 5) : last + 1, 0].numpy()
        pooled = np.concatenate([heard.mean(1), np.sqrt(heard.var(1) + LEAST)])
        logits = layer.classify.weight.detach().numpy() @ pooled + layer.classify.bias.detach().numpy()
        np.testing.assert_allclose(layer(x).clip[0, last].detach(), 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_training_pools_the_last_window_alone_and_the_same():
    layer, x = head(), torch.randn(2, 5, 10, 1, generator=torch.Generator().manual_seed(1))
    trained, whole = layer.train()(x), layer.eval()(x)
    torch.testing.assert_close(trained.clip, whole.clip[:, -1:])
    torch.testing.assert_close(trained.frame, whole.frame)


def test_two_sounds_of_one_mean_are_told_apart_by_their_swell():
    layer = head(size=1, classes=1, window=8)
    nn.init.constant_(layer.classify.weight, 1.0)
    steady, swelling = torch.ones(1, 1, 8, 1), torch.tensor([0.0, 2.0] * 4).reshape(1, 1, 8, 1)
    logits = [torch.logit(layer(x).clip[0, -1, 0]) for x in (steady, swelling)]
    assert (logits[1] - logits[0]).item() == pytest.approx(1.0 - LEAST**0.5, abs=1e-3)


def test_streamed_scores_are_those_of_the_whole_clip():
    network = Network(Identity(), head(size=1), 1).eval()
    network.bind()
    x = torch.randn(2, 20, 1, generator=torch.Generator().manual_seed(2))
    whole, (parts, _) = network(x), stream(network, x, 3)
    torch.testing.assert_close(parts.frame, whole.frame)
    torch.testing.assert_close(parts.clip, whole.clip)


def test_a_dense_layer_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="expected 10 inputs, got 5"):
        MeanStdHead(nn.Linear(5, 3), nn.Linear(5, 3), 4)
