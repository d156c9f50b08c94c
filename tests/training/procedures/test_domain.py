"""Adaptation to a new domain: who learns when, and that a network comes to understand what it had not."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from edge.errors import ConfigError
from training import run
from training.batch import Batch
from training.data import decode
from training.losses import LOSSES
from training.models import MODELS, Shape
from training.procedures.domain import DomainSettings, domain
from training.procedures.fit import FitSettings, fit
from training.procedures.registry import Job
from training.recipe import parse
from training.train import train

BANDS, CLASSES, FRAMES = 8, 3, 6
LOSS = LOSSES.build(LOSSES.parse({"kind": "exclusive", "frame_weight": 0.0, "smoothing": 0.0}), CLASSES)


def network():
    torch.manual_seed(0)
    table = {"kind": "dscnn", "stem": 6, "stages": [[8, 2]], "width": 12, "dilations": [], "embedding": 8}
    return MODELS.build(MODELS.parse(table | {"dropout": 0.0}), Shape(BANDS, CLASSES, 50.0))


def sounds(size, seed, colour):
    """A class is a pair of loud bands; a microphone of another domain colours all of them."""
    make = torch.Generator().manual_seed(seed)
    label = torch.randint(CLASSES, (size,), generator=make)
    features = 0.5 * torch.randn(size, FRAMES, BANDS, generator=make)
    for k in range(CLASSES):
        features[label == k, :, 2 * k : 2 * k + 2] += 2.0
    return features + colour * torch.linspace(-2.5, 2.5, BANDS), torch.eye(CLASSES)[label]


def draw(size, step):
    """Ten labelled examples of sixteen, six unlabelled ones of another microphone."""
    many = size * 10 // 16
    (old, labels), (new, _) = sounds(many, 2 * step, 0.0), sounds(size - many, 2 * step + 1, 1.0)
    return Batch(torch.cat([old, new]), None, torch.cat([labels, torch.full((size - many, CLASSES), -1.0)]))


def accuracy(model, colour):
    features, targets = sounds(400, 999, colour)
    with torch.no_grad():
        scores = model.eval()(features).frame.mean(1)
    return float((scores.argmax(1) == targets.argmax(1)).float().mean())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was trained on the old microphone alone."""
    folder, model = tmp_path_factory.mktemp("run"), network()

    def labelled(size, step):
        features, targets = sounds(size, step + 10_000, 0.0)
        return Batch(features, None, targets)

    job = Job(model, labelled, LOSS, folder / "checkpoint.safetensors")
    fitted = fit(FitSettings(steps=80, batch=16, warmup=5, rate=1e-2, averaging="last"))(job)
    save_file({k: v.clone().contiguous() for k, v in fitted.weights.items()}, folder / "weights.safetensors")
    return folder, fitted.weights


def adapted(trained, tmp_path, validate=None, **settings):
    model = network()
    wanted = {"steps": 150, "rate": 2e-3, "every": 1, "fall": 1.0} | settings
    job = Job(model, draw, LOSS, tmp_path / "checkpoint.safetensors", validate=validate)
    fitted = domain(DomainSettings(start=str(trained[0]), **wanted))(job)
    model.load_state_dict(fitted.weights)
    return model, fitted


@pytest.mark.parametrize("scheme", ["gan", "reversal", "coral"])
def test_the_new_microphone_is_understood_and_the_old_one_still(trained, tmp_path, scheme):
    before = network()
    before.load_state_dict(trained[1])
    model, _ = adapted(trained, tmp_path, scheme=scheme)
    assert accuracy(model, 0.0) >= accuracy(before, 0.0) - 0.01
    assert accuracy(model, 1.0) >= accuracy(before, 1.0) + 0.25


def test_it_is_the_domains_likeness_that_helps_and_not_the_further_training(trained, tmp_path):
    without, _ = adapted(trained, tmp_path, weight=0.0)
    assert accuracy(without, 1.0) < 0.8


def test_without_labelled_recordings_a_network_forgets(trained, tmp_path):
    model, _ = adapted(trained, tmp_path, scheme="reversal", anchor=0.0)
    assert accuracy(model, 0.0) < 0.9


def of_the_old_microphone(model):
    return {"clip_accuracy": accuracy(model, 0.0)}


def test_a_network_that_forgot_is_refused_and_the_one_of_before_kept(trained, tmp_path, caplog):
    model, fitted = adapted(trained, tmp_path, of_the_old_microphone, scheme="reversal", anchor=0.0, fall=0.01)
    assert all(torch.equal(v, trained[1][k]) for k, v in model.state_dict().items())
    assert fitted.figures["adapted"] == 0.0
    assert fitted.figures["source_after"] < 0.9 < fitted.figures["source_before"] == accuracy(model, 0.0)
    assert "kept as it was" in caplog.text
    assert "by more than the 1 points of procedure.fall" in caplog.text


def test_the_guard_lets_an_adaptation_through_that_forgot_nothing(trained, tmp_path, caplog):
    model, fitted = adapted(trained, tmp_path, of_the_old_microphone, fall=0.01)
    assert fitted.figures["adapted"] == 1.0
    assert fitted.figures["source_after"] == accuracy(model, 0.0) >= fitted.figures["source_before"] - 0.01
    assert accuracy(model, 1.0) > 0.9
    assert not caplog.text


def test_the_head_stays_and_the_discriminator_learns_at_its_steps_alone(trained, tmp_path, monkeypatch):
    from training.procedures import domain as module

    made, seen = [], []
    plain = module._Domain.__init__
    monkeypatch.setattr(module._Domain, "__init__", lambda self, *a: (plain(self, *a), made.append(self))[0])
    learn = module._Domain._learn

    def watched(self, step, batch):
        was = copy.deepcopy(self.judge.state_dict())
        learn(self, step, batch)
        seen.append(any(not torch.equal(was[k], v) for k, v in self.judge.state_dict().items()))

    monkeypatch.setattr(module._Domain, "_learn", watched)
    model, _ = adapted(trained, tmp_path, steps=9, every=4)
    assert seen == [k % 4 == 0 for k in range(9)]
    start = trained[1]
    assert all(torch.equal(v, start[k]) for k, v in made[0].before.state_dict().items())
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, start[k])}
    assert changed
    assert not [k for k in changed if k.startswith("head")]


def test_a_killed_adaptation_goes_on_to_the_same_weights(trained, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, _ = adapted(trained, tmp_path / "a", steps=12)
    settings = DomainSettings(start=str(trained[0]), steps=12, rate=2e-3, every=1, fall=1.0)
    for until in (5, None):
        fitted = domain(settings)(Job(network(), draw, LOSS, tmp_path / "b/checkpoint.safetensors", until=until))
    assert all(torch.equal(fitted.weights[k], v) for k, v in whole.state_dict().items())


def test_a_recipe_leads_a_run_over_to_unlabelled_recordings(tmp_path, monkeypatch):
    """From files to a run: labelled recordings of one folder, unlabelled ones of another."""
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    rng = np.random.default_rng(0)
    for k, name in enumerate(("low", "high", "new")):
        for n in range(4):
            path = tmp_path / ("garden" if name == "new" else f"porch/{name}") / f"{n}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            tone = np.sin(2 * np.pi * 500 * (k + 1) * np.arange(8000) / 8000)
            soundfile.write(path, 0.1 * tone + 0.01 * rng.standard_normal(8000), 8000)
    member = {"folder": "porch", "fold": 1, "format": {"kind": "folders"}}
    new = {"folder": "garden", "fold": 2, "labels": "unknown", "format": {"kind": "soundscapes"}}
    table = {
        "name": "porch",
        "inner": 0.5,
        "frontend": {
            "rate": 8000,
            "frames": {"window": 256, "hop": 160},
            "bands": {"kind": "mel", "count": 8, "low": 50.0, "high": 4000.0},
            "scale": {"kind": "ln", "floor": 1e-10},
        },
        "data": {"kind": "joined", "folder": ".", "sets": [member, new]},
        "model": {"kind": "dscnn", "stem": 4, "stages": [[6, 2]], "width": 8, "dilations": [], "embedding": 6},
        "loss": {"kind": "exclusive"},
        "sampling": {"kind": "clips", "seconds": 0.2, "unlabelled": 0.5},
        "procedure": {"kind": "fit", "steps": 2, "batch": 8, "warmup": 0},
    }
    train(parse(table), tmp_path, tmp_path / "start")
    table["procedure"] = {"kind": "domain", "start": str(tmp_path / "start"), "steps": 3, "batch": 8, "fall": 0.5}
    metrics = train(parse(table), tmp_path, tmp_path / "adapted")
    assert metrics["steps"] == 3
    assert 0 <= metrics["told_apart"] <= 1
    assert metrics["adapted"] == float(metrics["source_after"] >= metrics["source_before"] - 0.5)
    assert run.read(tmp_path / "adapted").labels == ("high", "low")


def test_batches_without_the_new_domain_are_refused(trained, tmp_path):
    def old(size, step):
        features, targets = sounds(size, step, 0.0)
        return Batch(features, None, targets)

    settings = DomainSettings(start=str(trained[0]), steps=2, fall=1.0)
    with pytest.raises(ValueError, match=r"got 16 and 0; set sampling\.unlabelled"):
        domain(settings)(Job(network(), old, LOSS, tmp_path / "checkpoint.safetensors"))


def test_a_run_of_another_network_is_refused(tmp_path):
    save_file({"head.classify.bias": torch.zeros(CLASSES)}, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match=r"expected all \d+ weights of this network in .*, got 1"):
        domain(DomainSettings(start=str(tmp_path), fall=1.0))(Job(network(), draw, LOSS, tmp_path / "c.safetensors"))
