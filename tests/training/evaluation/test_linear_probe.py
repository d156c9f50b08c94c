"""The linear probe on sounds that only their time course tells apart: what the features lose the embedding keeps."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from edge.errors import ConfigError
from edge.frontend.spec import parse
from training.data import decode
from training.data.dataset import Dataset, Item
from training.evaluation.linear_probe import probe, statistics

RATE, HOP = 8000, 80
SPEC = {
    "rate": RATE,
    "frames": {"window": 160, "hop": HOP},
    "bands": {"kind": "mel", "count": 4},
    "scale": {"kind": "ln"},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


class Order(torch.nn.Module):
    """Embeds what is louder, the first half or the second: no mean or deviation of the features tells it."""

    def embed(self, frames):
        level = frames.mean(2)
        half = level.shape[1] // 2
        return torch.stack([level[:, :half].mean(1) - level[:, half:].mean(1)], 1)[:, None]


@pytest.fixture
def sounds(tmp_path):
    rng, items = np.random.default_rng(0), []
    for fold in (1, 2):
        for n in range(16):
            rising = n % 2
            level = np.repeat([0.01, 0.1] if rising else [0.1, 0.01], RATE // 4)
            name = f"{fold}-{n}.wav"
            soundfile.write(tmp_path / name, level * rng.standard_normal(len(level)).clip(-3, 3) / 3, RATE)
            items.append(Item(name, tmp_path / name, (rising,), fold=fold, group=str(n // 2)))
    return Dataset("slopes", ("falling", "rising"), tuple(items), exclusive=True)


def run(folder="else", held_out=None, train=()):
    recipe = SimpleNamespace(name="order", frontend=parse(SPEC), data=SimpleNamespace(folder=folder))
    return SimpleNamespace(
        recipe=recipe, model=Order(), splits={"train": list(train), "inner": [], "held_out": held_out}
    )


def test_an_embedding_that_knows_the_order_is_worth_what_the_features_lose(sounds):
    found = probe(run(), sounds, "slopes")
    assert [row[0] for row in found["rows"]] == [1, 2, "mean"]
    assert [row[3] for row in found["rows"]] == ["100.0%"] * 3
    assert found["difference"] > 0.2
    assert "trained on 0 recordings of `else` (all of it)" in found["text"]


def test_a_fold_that_the_network_has_learnt_from_is_not_tested(sounds):
    learnt = [item.name for item in sounds.items if item.fold == 1]
    found = probe(run("slopes", 2, learnt), sounds, "slopes")
    assert [row[0] for row in found["rows"]] == [2, "mean"]
    with pytest.raises(ConfigError, match="expected a fold of slopes that the run never saw, got none"):
        probe(run("slopes", None, [item.name for item in sounds.items]), sounds, "slopes")


def test_recordings_of_several_classes_are_refused(sounds):
    with pytest.raises(ConfigError, match="expected recordings of one class each, in two folds or more, got slopes"):
        probe(run(), replace(sounds, exclusive=False), "slopes")


def test_statistics_by_hand():
    assert statistics(np.array([[1.0, 0.0], [3.0, 0.0]], np.float32)).tolist() == [2.0, 0.0, 1.0, 0.0]
