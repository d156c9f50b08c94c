"""The recipes of several stages on weak and unlabelled recordings, as DCASE's sets have them, from files to a run."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from training import recipe
from training.data import decode
from training.train import Options, train

RATE = 16_000
DATA = ("data=", "data.kind=desed", "data.folder=dcase", 'data.labels=["low", "high"]', "sampling.seconds=1.0")
SHORT = ("procedure.steps=6", "procedure.batch=4", "procedure.warmup=1", "model.hidden=4")
KNOWN = 'frontend.post=[{kind="standardise", mean=-8.0, std=3.0}]'  # measuring takes longer than all stages
RECIPES = {
    "03-crnn": ("model.maps=[4, 4, 4]", "procedure.first_steps=4", "inner=0.4"),
    "14-inception-crnn": ("model.stem=4", "model.branch=2", "model.reduced=2", "procedure.first_steps=4"),
    "16-gcrnn": ("model.maps=4",),
    "34-rcnn-shallow": (
        "model.maps=4", 'procedure.teacher={kind="rcnn", maps=4, hidden=4}', "procedure.teacher_steps=4",
        'procedure.rival={kind="rcnn", maps=3, hidden=3}', "inner=0.4",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture
def data(tmp_path):
    """Eight labelled tones and four of which nothing is known."""
    folder, rng = tmp_path / "data/dcase", np.random.default_rng(0)
    rows = {"weak": ["filename\tevent_labels"], "unlabel_in_domain": ["filename"]}
    for k in range(12):
        part = "weak" if k < 8 else "unlabel_in_domain"
        (folder / "audio/train" / part).mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * (300, 2500)[k % 2] * np.arange(RATE) / RATE) * (rng.random(RATE) > 0.2)
        soundfile.write(folder / "audio/train" / part / f"{k}.wav", tone, RATE)
        rows[part].append(f"{k}.wav\t{('low', 'high')[k % 2]}" if part == "weak" else f"{k}.wav")
    (folder / "metadata/train").mkdir(parents=True)
    for part, lines in rows.items():
        (folder / "metadata/train" / f"{part}.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_training_ends_in_the_same_weights(name, data, tmp_path):
    chosen = recipe.load(name, (*DATA, *SHORT, KNOWN, *RECIPES[name]))
    metrics = train(chosen, data, tmp_path / "whole")
    for until in (2, 5):
        train(chosen, data, tmp_path / "cut", Options(until=until))
    train(chosen, data, tmp_path / "cut")
    whole, cut = (load_file(tmp_path / run / "weights.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(cut[key], value) for key, value in whole.items())
    assert metrics["steps"] == 6
    assert metrics.get("tagged", 4) in (3, 4)  # one may be held back
    assert not list((tmp_path / "cut").glob("checkpoint*"))
