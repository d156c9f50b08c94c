"""The mosquito network: the card's parameters, and the paper's score of one picture."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from edge.frontend.stream import FrontEnd
from training import recipe, run
from training.layers.network import stream
from training.models import MODELS, Shape


def build(classes=6, bands=26, **settings):
    torch.manual_seed(0)
    return MODELS.build(MODELS.parse({"kind": "mosquito", **settings}), Shape(bands, classes, 100.0)).eval()


def test_it_has_the_parameters_of_the_card():
    assert sum(parameter.numel() for parameter in build().parameters()) == 677_174


@pytest.mark.parametrize("name", ["mosquito", "mosquito-mfcc"])
def test_both_pictures_are_of_26_numbers_and_10_frames(name):
    chosen = recipe.load(name)
    assert (chosen.frontend.count, chosen.frontend.rate / chosen.frontend.hop) == (26, 100.0)
    assert sum(parameter.numel() for parameter in run.network(chosen, 6).parameters()) == 677_174


def test_coefficients_tell_the_same_of_a_tone_as_bands():
    """The transform is orthonormal: with all 26 coefficients the bands' deviations come back."""
    tone = (0.1 * np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)).astype(np.float32)
    cepstrum = FrontEnd(recipe.load("mosquito-mfcc").frontend).transform(tone)
    bands = (FrontEnd(recipe.load("mosquito").frontend).transform(tone) + 12.0) / 5.0
    np.testing.assert_allclose(np.linalg.norm(cepstrum, axis=1), np.linalg.norm(bands, axis=1), rtol=1e-4)
    assert np.abs(cepstrum - bands).max() > 1.0


def test_a_score_is_that_of_the_picture_that_ends_there():
    network = build()
    features = torch.randn(1, 30, 26, generator=torch.Generator().manual_seed(1))
    x = features[0, 10:20][None, None]
    convs = [layer.conv for layer in network.body.layers if hasattr(layer, "conv")]
    for conv in convs[:3]:
        x = functional.relu(conv(x))
    assert x.shape[1:] == (64, 4, 20)
    weight = convs[3].weight
    x = functional.relu(functional.linear(x.reshape(1, -1), weight.reshape(len(weight), -1), convs[3].bias))
    torch.testing.assert_close(network(features).frame[:, 19], torch.sigmoid(network.head.classify(x)))
    assert network.body.after.past == 9


def test_streamed_scores_are_those_of_the_whole_clip():
    network = build(3, 12, channels=[4, 6], picture=8, hidden=8)
    features = torch.randn(2, 50, 12, generator=torch.Generator().manual_seed(2))
    whole, (parts, _) = network(features), stream(network, features, 5)
    torch.testing.assert_close(parts.frame, whole.frame, atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.clip, whole.clip, atol=1e-5, rtol=0)


def test_a_picture_too_small_is_refused():
    with pytest.raises(ValueError, match="expected more than 6 frames and bands, got 6 and 26"):
        build(picture=6)
