"""Presets are frozen: their hashes stand in model cards, their numbers are what those models were trained on."""

import numpy as np
import pytest

from edge.errors import SpecError
from edge.frontend.presets import PRESETS, preset
from edge.frontend.stream import FrontEnd

# Hash; frames of two seconds; first, middle and last feature of the middle frame; mean. Computed by this project
# when the presets were made, after it had been held against librosa, kaldi-native-fbank and the definitions.
GOLDEN = {
    "librosa": (
        "4979e7acd3867a6d16b617a0528a45ab9cadaf49474ed6a2a225cd96a0936d43",
        87,
        (-2.225, 3.911, 8.871),
        6.6733,
    ),
    "kaldi": (
        "3e9116c0adaece4832ef2839a20eda504a8c50b673fac350f49aa7d54fc59b0f",
        198,
        (16.963, 24.561, 26.338),
        22.7196,
    ),
    "kaldi-mfcc": (
        "bddfc0dacff051a213bc858d49574b58c1ce0d4de14424cc7a0c053c9a0dbcb5",
        198,
        (115.510, 1.083, -0.630),
        0.7570,
    ),
    "vggish": (
        "287f496d8391a98ba3acdaa4cbee9cb5b69b0814df209fa2957a94c525ed9473",
        198,
        (1.161, 2.744, 3.080),
        2.1335,
    ),
    "yamnet": (
        "46ace745c322d7ec9f4c8a15a54c65a5c2b4fcf534a55624af8bc92df7864cb2",
        198,
        (1.159, 2.744, 3.079),
        2.1319,
    ),
    "birdnet-stm32": (
        "b575ac589a20311e179f8c9e42f712e52874ee625a50d9870647682bb5add435",
        171,
        (0.441, 1.287, 1.861),
        3.5018,
    ),
    "resnet-attention": (
        "287f496d8391a98ba3acdaa4cbee9cb5b69b0814df209fa2957a94c525ed9473",
        198,
        (1.161, 2.744, 3.080),
        2.1335,
    ),
    "bottleneck-gap": (
        "8c97de8957c4eb6e8372654dfa30c55f4a769858ca8af19a888a570106d767f4",
        198,
        (0.325, -0.363, 0.700),
        0.2429,
    ),
    "mmnet": (
        "3c623977b114bbdd1ce30b3860dd0218fb259069df83aa25c59c5afdf76e4a89",
        176,
        (8.413, 10.260, 10.536),
        10.0144,
    ),
}


def sound(rate):
    """Two seconds that every machine computes alike: quadratic residues, flat in spectrum, within ±0.5."""
    i = np.arange(2 * rate)
    return ((i * i * 7919 % 65537 - 32768) / 65536).astype(np.float32)


def test_every_preset_is_here():
    assert list(GOLDEN) == list(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_hash_and_numbers_of_a_preset_never_change(name):
    digest, count, values, mean = GOLDEN[name]
    spec = preset(name)
    assert spec.hash == "fe1:" + digest
    frames = FrontEnd(spec).transform(sound(spec.rate))
    assert len(frames) == count
    np.testing.assert_allclose(frames[count // 2, [0, spec.count // 2, -1]], values, atol=2e-3)
    np.testing.assert_allclose(frames.mean(), mean, atol=2e-3)


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(SpecError, match=r"expected a preset of librosa, kaldi, .*, got 'whisper'"):
        preset("whisper")
