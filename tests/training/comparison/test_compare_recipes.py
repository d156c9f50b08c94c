"""Recipes on a benchmark: the same labels and minutes for all, resumable, and one table."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import tomli_w
from click.testing import CliRunner
from msgspec import structs

from edge.errors import ConfigError
from training import compose, recipe
from training.commands.compare import compare as command
from training.comparison import budget
from training.comparison import compare as comparing
from training.data import decode

RATE = 16_000
TINY = (
    "name=tiny", "procedure.batch=4", "sampling.seconds=1.0", "model.stem=4", "model.stages=[[8, 2]]",
    "model.width=8", "model.dilations=[1]", "model.embedding=8", "frontend.bands.count=16",
)  # fmt: skip


def test_lengths_of_a_procedure_keep_their_proportion_and_the_warmup_its_share():
    short = budget.resized(recipe.load("esc10-s"), 120)
    assert (short.procedure.settings.steps, short.procedure.settings.warmup) == (120, 12)
    long = budget.resized(recipe.load("esc10-s"), 5000)
    assert (long.procedure.settings.steps, long.procedure.settings.warmup) == (5000, 100)


def test_every_batch_of_a_procedure_is_made_smaller_and_none_larger():
    own = recipe.load("03-crnn").procedure.settings
    assert (own.batch, own.first_batch) == (16, 16)
    less = budget.batched(recipe.load("03-crnn"), 12).procedure.settings
    assert (less.batch, less.first_batch) == (12, 12)
    assert budget.batched(recipe.load("03-crnn"), 1000).procedure.settings == own


def test_the_steps_are_those_that_the_minutes_leave(monkeypatch, tmp_path):
    # 3 s before the first step, 0.5 s for each: 60 s hold (60 - 3) / 0.5 = 114 steps.
    monkeypatch.setattr(budget, "_seconds", lambda r, _: 3 + 0.5 * r.procedure.settings.steps)
    monkeypatch.setattr(recipe.Source, "load", lambda *_: type("Empty", (), {"items": ()}))
    assert budget.steps_within(recipe.load("esc10-s"), tmp_path, 1.0) == 114
    with pytest.raises(
        ConfigError, match=r"expected time for 12 steps of esc10-s, got 0\.1 minutes; one step takes 0\.5"
    ):
        budget.steps_within(recipe.load("esc10-s"), tmp_path, 0.1)


def test_a_recipe_is_given_the_benchmarks_weak_labels_and_nothing_else():
    own = recipe.load("esc10-s", ('augment=[{kind="gain"}, {kind="background"}]', 'decode.ignore=["rain"]'))
    given = comparing.suited(own, "domestic-esc10")
    assert given.data.table() == {"folder": "domestic-esc10", "kind": "composed", "known": "weak", "unlabelled": False}
    assert given.background is None
    assert [part.kind for part in given.augment] == ["gain"]
    assert given.decode == structs.replace(own.decode, labels={}, ignore=[])
    order = recipe.load("esc10-s-weak", ("data.known=order",))
    assert comparing.suited(order, "domestic-esc10").data.table()["known"] == "order"
    two_passes = comparing.suited(recipe.load("03-crnn"), "domestic-esc10")
    assert two_passes.data.table()["unlabelled"]  # its second pass learns from them


def test_the_table_has_means_and_deviations_best_first():
    def row(name, values):
        seeds = [{"event_f1_tuned": v, "psds1": v / 2, "rules_lookahead": 0.1} for v in values]
        about = {"known": "weak", "parameters": 1234, "cost": 5.0, "streams": True, "lookahead": 0.02, "steps": 9}
        return {"name": name, **about, "seeds": seeds}

    made = comparing.section({"benchmark": "b", "recipes": [row("poor", [0.2]), row("good", [0.5, 0.7])]})
    assert made["columns"][-2:] == ["event F1 (200 ms), tuned rules", "PSDS1"]
    assert [r[0] for r in made["rows"]] == ["good", "poor"]
    assert made["rows"][0][2:] == ["1,234", "5.0", "yes", "0.12 s", 9, 2, "0.600 ± 0.141", "0.300 ± 0.071"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Two classes of tones in four folds, noise, and a benchmark of four scenes of 2 s in each fold."""
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    rng, rows = np.random.default_rng(0), ["file,fold,label"]
    for folder in ("sounds", "beds"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for fold in (1, 2, 3, 4):
        for k, label in enumerate(("low", "high")):
            samples = np.zeros(2 * RATE)
            samples[4000:12_000] = 0.3 * np.cos(2 * np.pi * (700 + 1500 * k) * np.arange(8000) / RATE)
            soundfile.write(tmp_path / "data/sounds" / f"{fold}{label}.wav", samples, RATE)
            rows.append(f"{fold}{label}.wav,{fold},{label}")
        soundfile.write(tmp_path / "data/beds" / f"{fold}.wav", 0.05 * rng.standard_normal(3 * RATE), RATE)
    (tmp_path / "data/sounds/labels.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/tones.toml").write_text(
        "count = 6\nby_fold = true\nscenes = { seconds = 2.0, length = [0.1, 0.6], snr = [10, 20], empty = 0.0 }\n"
        '[[foreground]]\nkind = "table"\nfolder = "sounds"\nfold = "fold"\n'
        '[[background]]\nkind = "soundscapes"\nfolder = "beds"\n'
    )
    monkeypatch.setattr(compose, "BENCHMARKS", tmp_path / "benchmarks")
    return tmp_path


@pytest.mark.long
def test_recipes_are_trained_for_the_same_time_measured_and_not_again(world):
    (world / "tiny.toml").write_text(tomli_w.dumps(recipe.load("esc10-s-weak", TINY).table()))
    arguments = [str(world / "tiny.toml"), "--benchmark", "tones", "--data", str(world / "data"), "--out",
                 str(world / "out"), "--minutes", "0.02"]  # fmt: skip
    shown = CliRunner().invoke(command, [*arguments, "--into", str(world / "results.json")], catch_exceptions=False)
    assert "| tiny | weak |" in shown.output
    about = json.loads((world / "out/tiny/about.json").read_text())
    spent = json.loads((world / "out/tiny/seed0/metrics.json").read_text())
    assert spent["steps"] == about["steps"] > 12
    assert 0.2 < spent["cpu_seconds"] / 1.2 < 5
    splits = json.loads((world / "out/tiny/seed0/splits.json").read_text())
    assert (splits["held_out"], len(splits["test"])) == (4, 6)
    found = json.loads((world / "out/compare.json").read_text())["recipes"][0]["seeds"][0]
    assert {"event_f1", "event_f1_tuned", "psds1", "segment_f1", "error_rate"} <= set(found)
    weights = (world / "out/tiny/seed0/weights.safetensors").stat().st_mtime_ns
    CliRunner().invoke(command, [*arguments, "--seeds", "2"], catch_exceptions=False)
    assert (world / "out/tiny/seed0/weights.safetensors").stat().st_mtime_ns == weights
    assert len(json.loads((world / "out/compare.json").read_text())["recipes"][0]["seeds"]) == 2
    with pytest.raises(ConfigError, match=r"expected 3 minutes, got 0\.02; choose another --out"):
        CliRunner().invoke(command, [*arguments[:-1], "3"], catch_exceptions=False)


@pytest.mark.long
def test_recipes_are_compared_on_the_folds_of_one_of_them(world):
    tones = ('data={kind="table", folder="sounds", fold="fold"}', *TINY)
    (world / "first.toml").write_text(tomli_w.dumps(recipe.load("esc10-s-weak", tones).table()))
    (world / "second.toml").write_text(tomli_w.dumps(recipe.load("esc10-s-weak", (*TINY, "name=other")).table()))
    files = [str(world / name) for name in ("first.toml", "second.toml")]
    arguments = [*files, "--on", files[0], "--data", str(world / "data"), "--out", str(world / "out"), "--batch", "4"]
    results = world / "results.json"
    shown = CliRunner().invoke(
        command, [*arguments, "--minutes", "0.02", "--into", str(results)], catch_exceptions=False
    )
    assert "| tiny |" in shown.output
    assert "| other |" in shown.output
    assert "AUC, fold 4 held out" in shown.output
    for name in ("tiny", "other"):
        splits = json.loads((world / "out" / name / "fold2/splits.json").read_text())
        assert splits["held_out"] == 2
        assert sorted(splits["test"]) == ["2high.wav", "2low.wav"]
    assert "recipes-on-first" in json.loads(results.read_text())["sections"]
    with pytest.raises(ConfigError, match="expected one seed with --on"):
        CliRunner().invoke(command, [*arguments, "--minutes", "1", "--seeds", "2"], catch_exceptions=False)
