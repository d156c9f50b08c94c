"""The last layer fitted to a place: what it learns, what that is worth, and a model that runs with it."""

import hashlib
import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from msgspec import structs

from edge import adapt, lastlayer
from edge.blocks import ScoreBlock
from edge.commands.adapt import adapt as command
from edge.commands.run import run
from edge.demo import RATE, scene
from edge.errors import CardError, ConfigError
from edge.inference import layer, store
from edge.inference.model import Model


def block(scores, embeddings):
    column = np.asarray(scores, np.float32)[:, None]
    return ScoreBlock("e", 0, 320, 16_000, column, 320, np.asarray(embeddings, np.float32))


def test_a_layer_of_zeros_changes_nothing_and_a_bias_adds_to_the_logit():
    scores = np.random.default_rng(0).uniform(0.01, 0.99, (5, 2)).astype(np.float32)
    seen = np.ones((5, 3), np.float32)
    assert layer.corrected(scores, seen, np.zeros((2, 4), np.float32)).tobytes() == scores.tobytes()
    weights = np.array([[0, 0, 0, 0], [0.5, 0, 0, 1]], np.float32)
    out = layer.corrected(scores, seen, weights)
    assert out[:, 0].tobytes() == scores[:, 0].tobytes()
    odds = scores[:, 1] / (1 - scores[:, 1])
    np.testing.assert_allclose(out[:, 1], 1 / (1 + np.exp(-1.5) / odds), rtol=1e-5)


def test_logistic_regression_is_where_its_gradient_is_zero():
    rng = np.random.default_rng(0)
    x, y, offset, weight = rng.normal(size=(80, 6)), rng.integers(0, 2, 80), rng.normal(size=80) * 5, rng.random(80)
    w = lastlayer.logistic(x, y, offset, weight, np.zeros(6))
    p = 1 / (1 + np.exp(-(offset + x @ w)))
    np.testing.assert_allclose(x.T @ (weight * (p - y)) + lastlayer.RIDGE * w, 0, atol=1e-6)


def test_frames_are_found_in_which_a_class_sounds_though_nobody_says_when():
    """A tenth of the frames of half the recordings point another way; the network hears nothing of it."""
    rng, way = np.random.default_rng(0), np.eye(8)[3]
    there = np.arange(12) % 2 == 0
    heard, truth = [], []
    for has in there:
        frames = rng.normal(size=(100, 8))
        sounds = rng.permutation(100) < 10 if has else np.zeros(100, bool)
        frames[sounds] += 5 * way
        heard.append(block(np.full(100, 0.2), frames))
        truth.append(sounds)
    weights = lastlayer.one_class(heard, 0, there)[None]
    scores = np.concatenate([lastlayer.by_layer(one, weights).scores[:, 0] for one in heard])
    sounds = np.concatenate(truth)
    assert scores[sounds].min() > np.quantile(scores[~sounds], 0.95)
    assert np.argmax(np.abs(weights[0, :-1])) == 3


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Chirps that the built-in model calls by no name, in folders of a class that it has, and noise."""
    monkeypatch.setenv("WHEATEAR_MODELS", str(tmp_path / "models"))
    rng, t = np.random.default_rng(0), np.arange(2 * RATE) / RATE
    for k in range(5):
        call = 0.2 * np.sin(2 * np.pi * (3000 * t + 300 * np.sin(2 * np.pi * 7 * t))) * (np.abs(t - 1) < 0.4)
        for folder, sound in (("rooster", call), ("none", 0 * t)):
            (tmp_path / "garden" / folder).mkdir(parents=True, exist_ok=True)
            noise = 0.003 * (1 + k) * rng.standard_normal(t.size)
            soundfile.write(tmp_path / "garden" / folder / f"{k}.wav", sound + noise, RATE)
    return tmp_path / "garden"


def test_a_device_learns_a_call_and_runs_with_it(place):
    arguments = ["esc10-s", "--data", str(place), "--last-layer", "--name", "garden"]
    found = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert found.exit_code == 0
    name, with_it, without, before, after = found.stdout.splitlines()[1].split()
    assert (name, with_it, without) == ("rooster", "5", "5")
    assert int(before.rstrip("%")) < int(after.rstrip("%"))
    assert int(after.rstrip("%")) >= 90
    card = Model.load("garden").card
    assert (card.output.layer.of, card.output.layer.labels) == (Model.load("esc10-s").id, ["rooster"])
    assert card.output.layer.fitted_on == "10 recordings of the place (garden)"
    assert card.metrics["last_layer_right_rooster"] == pytest.approx(int(after.rstrip("%")) / 100, abs=0.01)
    for engine in (["--engine", "onnx"], ["--engine", "tflite", "--precision", "int8"]):
        lines = {}
        for model in ("esc10-s", "garden"):
            args = ["--source", str(place / "rooster" / "1.wav"), "--model", model, "--json", *engine]
            out = CliRunner().invoke(run, args, catch_exceptions=False)
            lines[model] = [json.loads(line)["label"] for line in out.stdout.splitlines()]
        assert "rooster" in lines["garden"]
        assert "rooster" not in lines["esc10-s"]


def test_what_the_call_is_not_like_keeps_its_scores_and_layers_add_up(place, tmp_path):
    model = Model.load("esc10-s")
    weights, fitted = lastlayer.fit(model, adapt.recordings(place, model.labels))
    accuracy = {one.label: one.right[1] for one in fitted}
    adapt.save_layer(store.find("esc10-s"), "once", weights, accuracy, "ten")
    adapt.save_layer(store.find("once"), "twice", weights, accuracy, "ten")
    np.testing.assert_allclose(Model.load("twice").weights, 2 * weights, rtol=1e-6)
    soundfile.write(tmp_path / "scene.wav", scene()[0][: 8 * RATE], RATE)
    plain, once = (adapt.listen(Model.load(name), tmp_path / "scene.wav") for name in ("esc10-s", "once"))
    others = [k for k, label in enumerate(model.labels) if label != "rooster"]
    assert plain.scores[:, others].tobytes() == once.scores[:, others].tobytes()
    np.testing.assert_allclose(lastlayer.by_layer(plain, weights).scores, once.scores, atol=1e-6)


def test_a_model_without_embeddings_or_with_a_gate_is_refused(place):
    model = Model.load("esc10-s")
    output = structs.replace(model.card.output, embedding="")
    model.card = structs.replace(model.card, output=output)
    with pytest.raises(ConfigError, match=r"card names an `output\.embedding`, got one without"):
        lastlayer.fit(model, adapt.recordings(place, model.labels))
    gated = Model.load("esc10-s")
    gated.card = structs.replace(gated.card, decode=structs.replace(gated.card.decode, clip_on=0.5))
    with pytest.raises(ConfigError, match="decides by its frames alone"):
        lastlayer.check(gated)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (np.zeros((10, 4), np.float64), "expected finite float32 [10, D + 1], got float64[10, 4]"),
        (np.full((10, 97), np.nan, np.float32), "expected finite float32"),
        (np.zeros((10, 4), np.float32), "`output.layer` must be 97 columns, got 4"),
        (np.array([{}], object), "expected a NumPy array, got none"),
    ],
)
def test_a_strangers_layer_is_checked(place, wrong, text):
    target = adapt.save_layer(store.find("esc10-s"), "odd", np.zeros((10, 97), np.float32), {}, "nothing")
    np.save(target / "layer.npy", wrong)
    card = (target / "card.toml").read_text()
    with pytest.raises(CardError, match="sha256"):
        Model.load("odd")
    old = store.load_card(target).output.layer.sha256
    new = hashlib.sha256((target / "layer.npy").read_bytes()).hexdigest()
    (target / "card.toml").write_text(card.replace(old, new))
    with pytest.raises(CardError) as error:
        Model.load("odd")
    assert text in str(error.value)
