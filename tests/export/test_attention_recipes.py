"""The recipes of cards A, C, 37 and 04 at a size for tests: trained, exported, heard as a device hears."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import tomli_w

from edge.frontend.stream import FrontEnd
from edge.inference.card import Stateful
from edge.inference.model import Model
from export.package import package
from training import recipe, run
from training.data import decode
from training.data.formats.esc import LABELS
from training.evaluation.deployed import of_model
from training.evaluation.scoring import scored
from training.train import Options, train

FEW = ("procedure.steps=2", "procedure.batch=4", "procedure.warmup=1", "background=")
LISTENER = ("model.width=0.02", "model.sequence.hidden=8", "model.sequence.window=2.0", "sampling.seconds=1.95")
RESNET = ("model.width=2", "model.window=2.0")
RECIPES = {
    "a-resnet18-small": RESNET,
    "a-resnet34-attention": RESNET,
    "a-resnet50-attention": RESNET,
    "a-resnet50-global": RESNET,
    "a-resnet50-segments": RESNET,
    "c-vggish-multilevel": LISTENER,
    "c-vggish-attention": LISTENER,
    "c-vggish-lstm": LISTENER,
    "c-vggish-dnn": LISTENER,
}
COMPACT = ("model.stem=4", "model.stages=[4, 4, 4]", "model.width=8", "model.embedding=6", "model.sequence.hidden=8")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture
def data(tmp_path):
    """Two clips of 5 s of each class."""
    folder, rng = tmp_path / "data/esc10", np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows, t = ["file,fold,label"], np.arange(5 * 16_000) / 16_000
    for fold in (1, 2):
        for k, label in enumerate(LABELS):
            sound = 0.3 * np.sin(2 * np.pi * (300 + 500 * k) * t) + 0.01 * rng.standard_normal(len(t))
            soundfile.write(folder / f"{fold}{label}.wav", sound, 16_000)
            rows.append(f"{fold}{label}.wav,{fold},{label}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder.parent


def proved(name, changes, data, folder, formats):
    """Train, export, and compare what the device hears with what the network says of the whole clip."""
    train(recipe.load(name, (*FEW, *changes)), data, folder / "run", Options())
    trained = run.read(folder / "run")
    card = package(trained, folder / "model", data, formats, int8=False)
    samples = trained.samples(data)[0]
    offline = scored(trained.model, FrontEnd(trained.recipe.frontend), samples)
    for kind in formats:
        heard = of_model(Model.load(folder / "model", kind))(samples)
        assert np.abs(heard.scores - offline.frame).max() <= 1e-4
        assert np.abs(heard.clip[-1] - offline.clip).max() <= 1e-4
    return card


def test_the_compact_one_streams_on_both_engines(data, tmp_path):
    table = recipe.load("c-compact-multilevel").table()
    table["sampling"] = {"kind": "clips", "seconds": 1.0}
    (tmp_path / "compact.toml").write_text(tomli_w.dumps(table))
    card = proved(str(tmp_path / "compact.toml"), COMPACT, data, tmp_path, ("onnx", "tflite"))
    assert isinstance(card.stream, Stateful)
    assert card.output.embedding == "embedding"


@pytest.mark.long
@pytest.mark.parametrize("name", RECIPES)
def test_every_other_recipe_streams(name, data, tmp_path):
    proved(name, RECIPES[name], data, tmp_path, ("onnx", "tflite"))
