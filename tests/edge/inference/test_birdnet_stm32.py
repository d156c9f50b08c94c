"""A third party's model runs by its card alone: the example card beside the model's file."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from edge.blocks import FeatureBlock
from edge.frontend.stream import FrontEnd
from edge.inference import check, store
from edge.inference.card import Label
from edge.inference.model import Model
from edge.inference.runtimes import open_engine

CARD = Path(__file__).parents[3] / "docs" / "examples" / "birdnet-stm32" / "card.toml"
DATA = Path(os.environ.get("WHEATEAR_DATA", "../shared/data"))
SOURCE = DATA.parent / "models" / "birdnet-stm32"
SOUND = DATA / "birdnet-soundscape" / "soundscape.flac"


def test_the_example_card_agrees_with_itself():
    card = store.load_card(CARD.parent)
    check.check_card(card, "card.toml")
    assert len(card.labels) == 100
    assert card.labels[18] == Label("Olive-sided Flycatcher", "Contopus cooperi")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not SOURCE.is_dir() or not SOUND.is_file():
        pytest.skip(f"needs {SOURCE} and {SOUND}")
    folder = tmp_path_factory.mktemp("models") / "birdnet"
    folder.mkdir()
    shutil.copy(CARD, folder)
    shutil.copy(SOURCE / "birdnet_stm32n6_100.tflite", folder)
    return folder


@pytest.fixture(scope="module")
def sound(folder):
    samples, rate = soundfile.read(SOUND, dtype="float32")
    return soxr.resample(samples, rate, 22050).astype(np.float32)


def test_labels_are_those_of_the_models_own_file(folder):
    lines = (SOURCE / "birdnet_stm32n6_100_labels.txt").read_text().split("\n")
    labels = store.load_card(folder).labels
    assert [f"{label.scientific}_{label.name}" for label in labels] == [line for line in lines if line]


def test_it_hears_what_a_plain_computation_hears(folder, sound):
    model = Model.load(folder)
    features = FrontEnd(model.spec).transform(sound)
    scorer = model.stream()
    blocks = [scorer.push(FeatureBlock("e", a, 258, 22050, features[a : a + 97])) for a in range(0, len(features), 97)]
    scores = np.concatenate([*(block.scores for block in blocks), scorer.flush().scores])

    engine = open_engine("tflite", folder / "birdnet_stm32n6_100.tflite")
    for k in (0, 13, 77, 150):
        window = _spectrogram(sound, k * 64, 256)
        window = (window - window.min()) / (window.max() - window.min())
        expected = engine.run({"linear_spectrogram_input": window[None, :, :, None]})["output_0"][0]
        # The network is int8 inside: an input that differs by a rounding may move a score by some steps of 1 / 256.
        np.testing.assert_allclose(scores[k], expected, atol=8 / 256)
    heard = {model.labels[c] for c in np.flatnonzero(scores.max(axis=0) >= model.card.decode.on)}
    assert {"House Finch", "Blue Jay", "American Goldfinch"} <= heard


def _spectrogram(samples, first, count):
    """Magnitudes ``[257, count]`` of centred frames, one FFT at a time."""
    padded = np.concatenate([np.zeros(256), samples, np.zeros(512)])
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = [padded[(first + k) * 258 :][:512] * taper for k in range(count)]
    return np.abs(np.fft.rfft(frames)).T.astype(np.float32)
