"""The 3-D CNN with a bank of GRUs: sizes of its card, and parity with what PyTorch calls by these names."""

import numpy as np
import pytest
import torch
from torch import nn

from edge.frontend.stream import FrontEnd
from training import recipe
from training.layers.conv import Conv
from training.layers.gru_bank import GRUBank
from training.layers.slices import Neighbours, SliceMaxPool, Slices
from training.models.cnn_gru_3d import CNNGRU3DSettings, cnn_gru_3d
from training.models.registry import Shape


def test_its_parameters_are_those_of_the_card():
    network = cnn_gru_3d(CNNGRU3DSettings(), Shape(80, 2, 100.0))
    counts = [sum(p.numel() for p in m.parameters()) for m in network.modules() if isinstance(m, Conv | GRUBank)]
    assert counts[:4] == [216 + 16, 6912 + 64, 13824 + 32, 16 * 4224]
    assert sum(p.numel() for p in network.parameters()) == 89_674


def test_shapes_are_those_of_the_cards_table():
    network = cnn_gru_3d(CNNGRU3DSettings(), Shape(80, 2, 100.0)).eval()
    seen, x = [], torch.zeros(2, 1, 1000, 80)
    for layer in network.body.body.layers:
        x = layer(x)
        seen.append((type(layer).__name__, tuple(x.shape)))
    pooled = [shape for name, shape in seen if name == "Dropout"]
    assert pooled == [(10, 8, 100, 40), (6, 32, 50, 20), (2, 16, 25, 10)]
    assert seen[-1][1] == (2, 512, 1, 1)


def test_neighbours_and_a_convolution_are_a_3d_convolution():
    torch.manual_seed(0)
    solid = nn.Conv3d(4, 6, 3, padding=1, bias=False)
    flat = Conv((12, 6), (3, 3), lookahead="same", norm=False, activation="none")
    with torch.no_grad():
        flat.conv.weight.copy_(solid.weight.transpose(1, 2).reshape(6, 12, 3, 3))
        flat.conv.bias.zero_()
    x = torch.randn(2, 4, 5 * 7, 9)
    stack = x.reshape(2, 4, 5, 7, 9)
    wanted = nn.functional.max_pool3d(solid(stack), (2, 1, 1), ceil_mode=True)
    got = SliceMaxPool(5, 2)(flat(Neighbours(5)(Slices(5)(x))))
    torch.testing.assert_close(got.reshape(2, 3, 6, 7, 9).transpose(1, 2), wanted, atol=1e-5, rtol=1e-5)


def test_a_bank_is_as_many_grus():
    torch.manual_seed(0)
    bank, cells = GRUBank(5, 3, 4), [nn.GRU(3, 4, batch_first=True) for _ in range(5)]
    with torch.no_grad():
        bank.heard.conv.weight.copy_(torch.cat([cell.weight_ih_l0 for cell in cells])[:, :, None, None])
        bank.heard.conv.bias.copy_(torch.cat([cell.bias_ih_l0 for cell in cells]))
        bank.weight.copy_(torch.stack([cell.weight_hh_l0.T for cell in cells]))
        bank.bias.copy_(torch.stack([cell.bias_hh_l0[None] for cell in cells]))
    x = torch.randn(2, 5, 8, 3)
    wanted = torch.cat([cell(x[:, m])[1][0] for m, cell in enumerate(cells)], 1)
    torch.testing.assert_close(bank(x).flatten(1), wanted, atol=1e-6, rtol=1e-6)


def test_a_clip_of_ten_seconds_is_scored_by_its_five_slices():
    """In training by that score alone; otherwise it is the last of five, of which the others have not heard all."""
    chosen = recipe.load("21-3d-cnn-gru")
    frames = FrontEnd(chosen.frontend).transform(np.zeros(441_000, np.float32))
    assert 1000 <= len(frames) < 1200
    torch.manual_seed(0)
    network = cnn_gru_3d(CNNGRU3DSettings(dropout=0.0), Shape(80, 1, 100.0)).eval()
    x = torch.randn(1, 1001, 80)
    whole = network(x)
    assert whole.clip.shape == (1, 5, 1)
    body = network.body.body(x[:, None, :1000])
    torch.testing.assert_close(whole.clip[0, -1], torch.sigmoid(network.head.classify(body.flatten(1)))[0])
    network.body.training = True  # the shortcut, with the norms as they are
    assert network.embed(x).shape == (1, 1, 512)
    torch.testing.assert_close(network.embed(x)[0, 0], body.flatten())


def test_pools_must_leave_one_slice():
    with pytest.raises(ValueError, match="leave one of 5 slices, got 3 left"):
        cnn_gru_3d(CNNGRU3DSettings(pools=[1, 2, 1]), Shape(80, 2, 100.0))
    with pytest.raises(ValueError, match="multiple of 3 frames, got 10"):
        Slices(3)(torch.zeros(1, 1, 10, 2))


def test_a_louder_recording_has_the_same_features():
    spec = recipe.load("21-3d-cnn-gru").frontend
    x = (0.01 * np.random.default_rng(0).standard_normal(44_100)).astype(np.float32)
    plain, loud = (FrontEnd(spec).transform(v)[3:-3] for v in (x, 10 * x))
    assert np.abs(plain - loud).max() < 1e-3
    np.testing.assert_allclose(plain.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(plain.std(axis=1), 1, atol=5e-3)
