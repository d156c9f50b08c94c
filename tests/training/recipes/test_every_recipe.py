"""Every recipe that ships, on a tiny data set: it learns with every parameter, is trained, exported, proved and run."""

from __future__ import annotations

import gc
import json
import math

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from edge.commands.run import run as run_command
from export.package import package
from training import recipe, run
from training.data import decode
from training.data.shelf import Shelf
from training.losses import LOSSES
from training.recipe import Recipe, parse
from training.sampling import SAMPLERS
from training.train import Options, material, measured, train

RATE, SECONDS, CLASSES = 16_000, 12.0, ("low", "high", "hiss")


def tone(label: int, t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(len(t))
    return (np.sin(2 * np.pi * 400 * t), np.sin(2 * np.pi * 3000 * t), noise)[label]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Six composed scenes of twelve seconds: one sound of three classes in each, its time and order known."""
    folder = tmp_path_factory.mktemp("recipes") / "tiny"
    folder.mkdir()
    rng, t = np.random.default_rng(0), np.arange(int(RATE * SECONDS)) / RATE
    scenes, strong, rows = [], ["filename\tonset\toffset\tevent_label"], ["file,fold,label,seconds"]
    for k in range(6):
        onset = 1.0 + k
        heard = 0.003 * rng.standard_normal(len(t)) + 0.3 * tone(k % 3, t, rng) * ((t >= onset) & (t < onset + 3))
        soundfile.write(folder / f"{k}.wav", heard.astype(np.float32), RATE)
        scenes.append({"file": f"{k}.wav", "fold": 1 + k // 3})
        strong.append(f"{k}.wav\t{onset}\t{onset + 3}\t{CLASSES[k % 3]}")
        rows.append(f"{k}.wav,{1 + k // 3},{CLASSES[k % 3]},{SECONDS}")
    (folder / "scenes.json").write_text(json.dumps({"labels": CLASSES, "scenes": scenes}))
    (folder / "strong.tsv").write_text("\n".join(strong) + "\n")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder.parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture(autouse=True)
def room_for_the_next():
    """An exported program keeps its network alive; with a hundred million parameters each, twenty fill a machine."""
    yield
    torch.compiler.reset()
    gc.collect()


WINDOWED = {
    "kind": "table",
    "folder": "tiny",
    "fold": "fold",
    "events": "strong.tsv",
    "seconds": "seconds",
    "window": 1.0,
}
LABELLED = ("pauses", "bursts", "ambiguous")  # settings that name labels of the recipe's own data


def cut_down(recipe: Recipe) -> Recipe:
    """The recipe on the tiny set: two steps of two examples, everything else as it is."""
    table = recipe.table()
    table.pop("background", None)
    table["data"] = {"kind": "composed", "folder": "tiny"}
    table["sampling"] = {key: value for key, value in table["sampling"].items() if key not in LABELLED}
    if table["sampling"]["kind"] == "sequences":  # of embeddings, which no sound of the tiny set has
        table["sampling"] = {"kind": "clips", "seconds": 2.0}
    if table["sampling"]["kind"] == "windows":
        table["data"] = {**WINDOWED, "labels": list(CLASSES)}
    if table["sampling"].get("balance") in ("halves", "places"):  # each tiny scene has a class
        table["sampling"]["balance"] = "labels"
    table["sampling"] |= {key: 2 for key in ("speeds", "negatives") if key in table["sampling"]}
    table["decode"] = {key: value for key, value in table["decode"].items() if key not in ("labels", "ignore")}
    table["augment"] = [part for part in table["augment"] if part["kind"] != "background"]
    table["inner"] = 0.5 if "rival" in table["procedure"] else 0.0
    short = {"steps": 2, "teacher_steps": 2, "first_steps": 2, "batch": 2, "first_batch": 2, "warmup": 1}
    short |= {"validate_every": 0, "patience": 0}
    table["procedure"] |= {key: value for key, value in short.items() if key in table["procedure"]}
    return parse(table)


def large(name: str) -> bool:
    """Whether a step of the network takes seconds on a small machine."""
    with torch.device("meta"):
        network = run.network(recipe.load(name), len(CLASSES))
    return sum(p.numel() for p in network.parameters()) > SMALL


SMALL, PORTABLE = 500_000, 10_000_000  # parameters: quick enough for every run of the tests; small enough for a device
NAMES = recipe.built_in()
QUICKLY = [pytest.param(name, marks=pytest.mark.long if large(name) else ()) for name in NAMES]


@pytest.mark.parametrize("name", QUICKLY)
def test_every_parameter_learns(name, tiny):
    chosen = cut_down(recipe.load(name))
    dataset, shelf = chosen.data.load(tiny), Shelf(chosen.frontend.rate)
    chosen = measured(chosen, dataset, None, shelf)
    torch.manual_seed(0)
    network = run.network(chosen, len(CLASSES)).train()
    batch = SAMPLERS.build(chosen.sampling, material(chosen, dataset, None, shelf)).batch(4, 0, 0)
    scores = network(batch.features)
    for part in (scores.frame, *([] if scores.clip is None else [scores.clip])):
        assert part.shape[2] == len(CLASSES)
        assert ((part >= 0) & (part <= 1)).all()
    loss = LOSSES.build(chosen.loss, len(CLASSES))(scores, batch)
    loss.backward()
    assert math.isfinite(loss.item())
    still = [n for n, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert still == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_trained_exported_proved_and_run(name, tiny, tmp_path):
    chosen = cut_down(recipe.load(name))
    metrics = train(chosen, tiny, tmp_path / "run", Options(fold=2))
    assert math.isfinite(metrics["loss"])
    portable = metrics["parameters"] <= PORTABLE
    card = package(
        run.read(tmp_path / "run"), tmp_path / name, tiny, ("onnx", "tflite") if portable else ("onnx",), int8=portable
    )  # refuses files that differ from the network by more than 1e-5
    assert tuple(card.labels) == CLASSES
    for file in card.files:
        engine = ["--engine", file.engine, "--precision", file.precision]
        args = ["--source", str(tiny / "tiny/0.wav"), "--model", str(tmp_path / name), "--json", *engine]
        found = CliRunner().invoke(run_command, args, catch_exceptions=False)
        assert found.exit_code == 0, found.output
        assert all(json.loads(line)["label"] in CLASSES for line in found.stdout.splitlines())
