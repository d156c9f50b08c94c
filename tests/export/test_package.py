"""A run becomes a folder that the device accepts; what does not hold is refused."""

from __future__ import annotations

import hashlib
import json
import tomllib

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from edge.errors import ConfigError
from edge.inference.card import Decode, Rule
from edge.inference.model import Model
from export import cli, parity
from training import recipe, run
from training.data import decode
from training.data.formats.esc import LABELS
from training.evaluation.deployed import of_model
from training.evaluation.scoring import scored
from training.metrics.events import count, detect
from training.train import Options, train

SMALL = (
    "procedure.steps=3",
    "procedure.batch=4",
    "sampling.seconds=1.0",
    "model.stem=4",
    "model.stages=[[6, 2]]",
    "model.width=8",
    "model.dilations=[1]",
    "model.embedding=8",
    "frontend.bands.count=16",
)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    cache = tmp_path_factory.mktemp("cache")
    patch.setattr(decode.platformdirs, "user_cache_path", lambda *_: cache)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A clip of each class and fold, and four soundscapes."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("esc10", "soundscapes-maad"):
        (folder / name).mkdir()
    t, rows = np.arange(16_000) / 16_000, ["file,fold,label"]
    for fold in (1, 2, 3, 4):
        for k, label in enumerate(LABELS):
            soundfile.write(folder / f"esc10/{fold}{label}.wav", 0.3 * np.sin(2 * np.pi * (300 + 500 * k) * t), 16_000)
            rows.append(f"{fold}{label}.wav,{fold},{label}")
    (folder / "esc10/labels.csv").write_text("\n".join(rows) + "\n")
    names = [f"S_20190522_0{hour}0000.wav" for hour in range(4)]
    for name in names:
        soundfile.write(folder / "soundscapes-maad" / name, 0.01 * rng.standard_normal(16_000), 16_000)
    (folder / "soundscapes-maad/files.csv").write_text("file,seconds\n" + "".join(f"{n},1\n" for n in names))
    return folder


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Runs that held out folds 1 and 2."""
    folder = tmp_path_factory.mktemp("runs")
    for fold in (1, 2):
        train(recipe.load("esc10-s", SMALL), data, folder / f"{fold}", Options(fold))
    return [folder / "1", folder / "2"]


@pytest.fixture(scope="module")
def exported(runs, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "esc10-s"
    args = [str(runs[0]), "--to", str(folder), "--data", str(data), "--rules", "esc10-s"]
    done = CliRunner().invoke(cli.export, args, catch_exceptions=False)
    assert done.exit_code == 0
    assert "4 files" in done.stdout
    return folder


def test_the_card_names_every_file_with_its_hash(exported):
    card = tomllib.loads((exported / "card.toml").read_text())
    assert [(f["name"], f.get("precision", "float32")) for f in card["files"]] == [
        ("model.onnx", "float32"),
        ("model.int8.onnx", "int8"),
        ("model.tflite", "float32"),
        ("model.int8.tflite", "int8"),
    ]
    for file in card["files"]:
        assert hashlib.sha256((exported / file["name"]).read_bytes()).hexdigest() == file["sha256"]
    assert "CC BY 3.0" in card["attribution"]
    assert card["metrics"]["trained_on_folds"] == "2+3+4"


@pytest.mark.parametrize("engine", ["onnx", "tflite"])
def test_the_devices_engine_gives_the_networks_scores(exported, runs, data, engine):
    samples, _ = soundfile.read(data / "esc10/1rooster.wav", dtype="float32")
    loaded = run.read(runs[0])
    model = Model.load(exported, engine, "float32")
    from edge.frontend.stream import FrontEnd

    truth = scored(loaded.model, FrontEnd(loaded.recipe.frontend), samples).frame
    got = of_model(model)(samples).scores[: len(truth)]
    assert model.card.frontend_hash == loaded.recipe.frontend.hash
    assert got.shape == truth.shape
    assert np.abs(got - truth).max() < 1e-5


@pytest.mark.parametrize("engine", ["onnx", "tflite"])
def test_the_devices_engine_runs_the_int8_files(exported, engine):
    scores = of_model(Model.load(exported, engine, "int8"))(np.zeros(16_000, np.float32)).scores
    assert scores.shape == (49, 10)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_file_that_computes_something_else_is_refused():
    with pytest.raises(
        ValueError, match=r"model\.onnx: expected the network's scores within 1e-05, got 2.00e-02 apart"
    ):
        parity.demand(parity.Parity(0.02, 0.001, 1.0), "model.onnx")
    states = parity.Parity(0.0, 0.0, 1.0, {"scores": 9e-6, "next.head": 2e-5})
    parity.demand(states, "model.onnx", {"next.head": 3e-5})
    for allowed, bound in (({}, "1e-05"), ({"next.head": 1.5e-5}, "1.5e-05"), ({"next.other": 1.0}, "1e-05")):
        with pytest.raises(ValueError, match=rf"`next\.head` within {bound} of the network's, got 2.00e-05 apart"):
            parity.demand(states, "model.onnx", allowed)
    with pytest.raises(ValueError, match="got nan apart"):
        parity.demand(parity.Parity(float("nan"), 0.0, 1.0), "model.onnx")


def test_an_unknown_format_lists_those_that_are_written(runs, data, tmp_path):
    args = [str(runs[0]), "--to", str(tmp_path), "--data", str(data), "--formats", "onnx,coreml"]
    with pytest.raises(ConfigError, match="--formats: expected some of onnx, tflite, got coreml"):
        CliRunner().invoke(cli.export, args, catch_exceptions=False)


def test_held_out_soundscapes_are_never_among_a_runs_own(runs, data):
    found = recipe.load("esc10-s").background.load(data)
    held = {item.name for item in found.items if item.split == "test"}
    assert len(held) == 2
    assert not held & set(run.read(runs[0]).splits["background"])


def test_events_of_a_score_curve_by_the_products_decoder():
    spec = recipe.load("esc10-s").frontend
    scores = np.zeros((200, 2), np.float32)
    scores[50:100, 0] = 0.9
    scores[120:124, 1] = 0.9
    rules = Decode(on=0.5, off=0.3, min_duration=0.2, labels={"b": Rule(min_duration=0.0)})
    found = detect(scores, ["a", "b"], rules, spec)
    assert count(found) == {"a": 1, "b": 1}
    assert (found[0].onset, found[0].offset) == (50 * 320, 100 * 320)
    assert count(detect(scores, ["a", "b"], Decode(min_duration=0.2), spec)) == {"a": 1}


def test_threads_are_left_as_the_recipe_says(runs):
    assert torch.get_num_threads() == run.read(runs[0]).recipe.threads == 1


def test_the_folder_carries_its_proof(exported):
    proof = json.loads((exported / "parity.json").read_text())
    assert proof["frames"] >= 3 * proof["receptive_field"]
    for name in ("model.onnx", "model.tflite"):
        assert proof[name]["error"] <= 1e-5
        assert proof["over_a_gap"][name] <= 1e-5
        states = {t for t in proof[name]["tensors"] if t.startswith("next.")}
        card = tomllib.loads((exported / "card.toml").read_text())
        assert states == {state["output"] for state in card["stream"]["states"]}
    assert {"first", "last", "events", "decisions", "collar"} <= proof["model.int8.tflite"]["drift"].keys()
    assert proof["model.int8.tflite"]["saturated_of"] > proof["model.int8.tflite"]["saturated"] >= 0


def test_the_plan_is_printed_without_data_and_nothing_is_written(runs, tmp_path):
    done = CliRunner().invoke(cli.export, [str(runs[0]), "--plan"], catch_exceptions=False, env={"WHEATEAR_DATA": ""})
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["layer", "kind", "rate", "delay", "lookahead", "state", "M", "mult/s"]
    assert lines[1].split()[:6] == ["layers.0", "Conv", "1", "0", "0", "1x2x16x1"]
    assert any(line.startswith("together for dog_bark") for line in lines)


def test_without_a_folder_the_command_says_what_it_needs(runs, data):
    with pytest.raises(ConfigError, match="expected --to FOLDER and --data FOLDER, or --plan alone"):
        CliRunner().invoke(cli.export, [str(runs[0]), "--data", str(data)], catch_exceptions=False)


def test_a_window_model_is_written_and_runs_on_the_device(runs, data, tmp_path):
    args = [str(runs[0]), "--to", str(tmp_path / "w"), "--data", str(data), "--formats", "tflite", "--window", "0.8"]
    assert CliRunner().invoke(cli.export, args, catch_exceptions=False).exit_code == 0
    model = Model.load(tmp_path / "w", "tflite", "float32")
    assert (model.card.stream.length, model.card.stream.hop) == (40, 20)
    scores = of_model(model)(np.zeros(32_000, np.float32)).scores
    assert len(scores) >= 90
    assert ((scores >= 0) & (scores <= 1)).all()
