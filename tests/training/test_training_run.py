"""A training on a tiny synthetic set: seeded, resumable, and its run folder loads again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from edge.errors import ConfigError
from training import recipe, run
from training.batch import Batch
from training.commands.train import train as train_command
from training.data import decode
from training.data.formats.esc import LABELS
from training.layers.heads import Scores
from training.losses.frame_clip import FrameClipSettings, at_rate, frame_clip, linear_softmax
from training.procedures import Job
from training.procedures.averaging import Averaged
from training.procedures.fit import FitSettings, drops, ends, fit, schedule
from training.train import Options, train

TINY = (
    "procedure.steps=4",
    "procedure.batch=4",
    "procedure.warmup=2",
    "sampling.seconds=1.0",
    "model.stem=2",
    "model.stages=[[4, 2]]",
    "model.width=8",
    "model.dilations=[1]",
    "model.embedding=8",
    "frontend.bands.count=16",
    "background=",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


@pytest.fixture
def data(tmp_path):
    """Two clips of each class and fold, each class a tone of its own."""
    folder = tmp_path / "data/esc10"
    folder.mkdir(parents=True)
    rows, t = ["file,fold,label"], np.arange(16_000) / 16_000
    for fold in (1, 2, 3, 4):
        for k, label in enumerate(LABELS):
            name = f"{fold}-{label}.wav"
            soundfile.write(folder / name, 0.3 * np.sin(2 * np.pi * (300 + 500 * k) * t), 16_000)
            rows.append(f"{name},{fold},{label}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "data"


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(data, tmp_path):
    for name, extra in (("a", ()), ("b", ()), ("c", ("seed=2",))):
        train(recipe.load("esc10-s", TINY + extra), data, tmp_path / name, Options(1))
    a, b, c = (load_file(tmp_path / name / "weights.safetensors") for name in "abc")
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_a_run_folder_holds_its_four_files_and_loads_again(data, tmp_path):
    metrics = train(recipe.load("esc10-s", TINY), data, tmp_path / "run", Options(2))
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == sorted(run.FILES)
    loaded = run.read(tmp_path / "run")
    assert loaded.splits["folds"] == [1, 3, 4]
    assert all(not name.startswith("2-") for name in loaded.splits["train"])
    assert len(loaded.splits["train"]) == 30
    assert loaded.metrics["clip_accuracy"] == metrics["clip_accuracy"]
    assert loaded.recipe.frontend.post[0].std > 0
    assert np.sum(metrics["confusion"]) == 10


def test_features_are_standardised_each_where_the_recipe_says_so(data, tmp_path):
    train(recipe.load("esc10-s", (*TINY, 'standardise="each"')), data, tmp_path / "run", Options(1))
    stage = run.read(tmp_path / "run").recipe.frontend.post[0]
    assert len(stage.mean) == len(stage.std) == 16
    assert len(set(stage.mean)) > 1


def test_a_loss_that_asks_is_told_how_many_clips_have_each_class(data, tmp_path):
    model = ("model=", "model.kind=mmnet", "model.stem=4", "model.blocks=[4]", "model.pools=[]", "model.dense=[4]")
    changes = (*TINY, "loss=", "loss.kind=macro-micro", *model)
    train(recipe.load("esc10-s", changes), data, tmp_path / "run", Options(1))
    assert run.read(tmp_path / "run").recipe.loss.settings.shares == pytest.approx([0.1] * 10)


class Tiny(torch.nn.Module):
    """Two probabilities from three features."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8)
        self.drop, self.out = torch.nn.Dropout(0.5), torch.nn.Linear(8, 2)

    def forward(self, x):
        y = self.out(self.drop(self.norm(self.linear(x[:, 0]))))
        return Scores(torch.sigmoid(y)[:, None])


def job(model, checkpoint, **more):
    """Learn the signs of two of three numbers."""

    def draw(size, step):
        x = torch.randn(size, 1, 3, generator=torch.Generator().manual_seed(step))
        return Batch(x, (x[..., :2] > 0).float())

    def validate(model):
        batch = draw(64, 999)
        return {"agreement": float(((model(batch.features).frame > 0.5) == (batch.frame > 0.5)).float().mean())}

    loss = frame_clip(FrameClipSettings(clip_weight=0.0), 2)
    return Job(model, draw, loss, checkpoint, **{"validate": validate, **more})


def test_an_interrupted_fit_goes_on_to_the_same_curve_and_weights(tmp_path):
    def start() -> torch.nn.Module:
        torch.manual_seed(0)
        return Tiny()

    settings = FitSettings(steps=40, warmup=3, batch=16, rate=0.05, validate_every=10)
    whole = fit(settings)(job(start(), tmp_path / "whole.safetensors"))
    fit(settings)(job(start(), tmp_path / "cut.safetensors", until=17))
    resumed = fit(settings)(job(start(), tmp_path / "cut.safetensors"))
    assert resumed.curve == whole.curve
    assert resumed.figures == whole.figures
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)
    assert whole.curve[-1] < 0.8 * whole.curve[0]


def test_patience_ends_a_training_that_no_longer_gets_better(tmp_path):
    looks = iter([0.5, 0.7, 0.6, 0.65, 0.6, 0.6, 0.6])
    torch.manual_seed(0)
    settings = FitSettings(steps=100, warmup=3, batch=16, validate_every=10, patience=3)
    done = fit(settings)(job(Tiny(), tmp_path / "c.safetensors", validate=lambda _: {"accuracy": next(looks)}))
    assert len(done.curve) == 50  # the best look was after 20 steps, and three more brought nothing
    assert done.figures == {"inner": 0.7, "best_step": 20}
    again = fit(settings)(job(Tiny(), tmp_path / "c.safetensors", validate=lambda _: {"accuracy": 1.0}))
    assert again.curve == done.curve  # killed behind its last step, before the weights were written
    assert again.figures == done.figures


def test_an_asked_for_look_without_an_inner_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`validate_every` asks for an inner split; set `inner`"):
        fit(FitSettings(validate_every=5))(job(Tiny(), tmp_path / "c", validate=None))


def test_snapshots_are_averaged_with_equal_weights(tmp_path):
    """The mean of the weights at the ends of the last two cycles, by hand."""
    torch.manual_seed(0)
    model = Tiny()
    settings = FitSettings(steps=30, warmup=0, batch=16, cycles=3, averaging="snapshots", snapshots=2)
    assert ends(0, 30, 3) == [10, 20, 30]

    parts = []
    for stop in (20, 30):
        done = fit(settings)(job(model, tmp_path / "c.safetensors", until=stop))
        parts.append(model.linear.weight.detach().clone())
    assert torch.allclose(done.weights["linear.weight"], (parts[0] + parts[1]) / 2, atol=1e-7)


def test_two_processes_train_together_and_one_writes(data, tmp_path):
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517"]
    args = ["-m", "training.cli", "esc10-s", "--data", str(data), "--out", str(tmp_path / "run"), "--fold", "1"]
    for change in TINY:
        args += ["--set", change]
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command, *args], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("parameters") == 1
    assert run.read(tmp_path / "run").metrics["steps"] == 4


def test_the_schedule_rises_to_one_and_falls_to_zero():
    values = [schedule(step, 10, 100) for step in range(101)]
    assert values[9] == values[10] == 1.0
    assert values[0] == pytest.approx(0.1)
    assert values[55] == pytest.approx(0.5)
    assert values[100] == pytest.approx(0.0)


def test_a_dropping_rate_is_a_tenth_every_so_many_steps():
    # Card D: divided by 10 every 30 epochs; here every 30 steps, with a warm-up of 10.
    shares = [drops(step, 10, 30) for step in (0, 9, 29, 30, 59, 60, 90)]
    assert shares == pytest.approx([0.1, 1, 1, 0.1, 0.1, 0.01, 0.001])


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_optimizer_goes_on_after_a_kill_as_if_nothing_had_been(optimizer, tmp_path):
    settings = FitSettings(steps=8, batch=16, warmup=0, rate=0.05, optimizer=optimizer, drop_every=5, averaging="last")
    torch.manual_seed(0)
    whole = fit(settings)(job(Tiny(), tmp_path / "a"))
    torch.manual_seed(0)
    fit(settings)(job(Tiny(), tmp_path / "b", until=4))
    resumed = fit(settings)(job(Tiny(), tmp_path / "b"))
    assert resumed.curve == whole.curve
    assert whole.curve[-1] < whole.curve[0]


def test_the_average_of_a_constant_is_the_constant():
    model = torch.nn.Linear(2, 2)
    average = Averaged(model, 0.9)
    for _ in range(5):
        average.update(model)
    assert torch.allclose(average.state_dict()["weight"], model.weight)


def test_the_average_follows_slowly():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    average = Averaged(model, 0.5)
    model.weight.data.fill_(1.0)
    average.update(model)  # decay min(0.5, 2 / 11)
    assert float(average.state_dict()["weight"]) == pytest.approx(1 - 2 / 11)


def test_linear_softmax_by_hand():
    # (0.8² + 0.2²) / (0.8 + 0.2) = 0.68
    assert float(linear_softmax(torch.tensor([[[0.8], [0.2]]]))) == pytest.approx(0.68)


def test_untaught_frames_cost_nothing():
    scores = Scores(torch.sigmoid(torch.tensor([[[0.0, 5.0], [0.0, -5.0]]])))
    targets = torch.tensor([[[1, -1], [0, -1]]])
    assert loss_of(scores, targets, 0.0) == pytest.approx(np.log(2))


def test_a_clip_with_only_doubtful_frames_of_a_class_is_not_taught_there():
    scores = Scores(torch.full((1, 2, 2), 0.5))
    doubtful = torch.tensor([[[1, -1], [1, 0]]])
    certain = torch.tensor([[[1, 1], [1, 0]]])
    clips = loss_of(scores, doubtful, 1.0) - loss_of(scores, doubtful, 0.0)
    assert clips == pytest.approx(np.log(2))
    assert loss_of(scores, certain, 1.0) == pytest.approx(2 * np.log(2))


def test_scores_at_a_lower_rate_are_taught_by_the_last_of_the_frames_they_stand_for():
    scores = Scores(torch.tensor([[[0.5], [0.5]]]))
    assert loss_of(scores, torch.tensor([[[0], [1], [0], [-1]]]), 0.0) == pytest.approx(np.log(2))
    assert at_rate(torch.tensor([[[0], [1], [0], [-1]]]), scores).flatten().tolist() == [1, -1]


def loss_of(scores, targets, clip_weight):
    settings = FrameClipSettings(clip_weight=clip_weight, smoothing=0.0)
    return float(frame_clip(settings, targets.shape[2])(scores, Batch(torch.zeros(1, 1, 1), targets)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("procedure.step=5", r"recipe: `procedure` \(fit\): Object contains unknown field `step`"),
        ("procedure.steps=many", r"recipe: `procedure` \(fit\): Expected `int`, got `str` - at `\$\.steps`"),
        ("model.kind=nobody", r"recipe: `model\.kind` must be one of .*dscnn, .*wheatear.*, got 'nobody'"),
        ("frontend.frames.hop=0", r"front end: `frames\.hop` must be 1 sample or more, got 0"),
        ("fit", r"--set: expected key\.path=value, got 'fit'"),
        ("name.first=1", r"--set: `name` in 'name\.first=1' is a value, not a table"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_place(change, text):
    with pytest.raises(ConfigError, match=text):
        recipe.load("esc10-s", (change,))


def test_an_unknown_recipe_lists_those_that_ship():
    with pytest.raises(
        ConfigError, match=r"expected a file or one of `wheatear recipes`, got 'esc50'; the nearest: esc10-s"
    ):
        recipe.load("esc50")


def test_a_broken_recipe_file_is_named(tmp_path):
    (tmp_path / "r.toml").write_text("name = ")
    with pytest.raises(ConfigError, match=r"recipe .*r\.toml: not TOML"):
        recipe.load(tmp_path / "r.toml")


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"expected recipe\.toml, weights\.safetensors, metrics\.json, splits\.json, got nothing"
    ):
        run.read(tmp_path)


def test_a_checkpoint_of_another_recipe_or_fold_is_not_gone_on_with(data, tmp_path):
    chosen = recipe.load("esc10-s", TINY)
    train(chosen, data, tmp_path / "run", Options(1))
    done = run.read(tmp_path / "run")
    (tmp_path / "run/checkpoint.safetensors").touch()
    with pytest.raises(ConfigError, match=r"expected a checkpoint of this recipe and fold, got another one's"):
        train(recipe.load("esc10-s", (*TINY, "seed=2")), data, tmp_path / "run", Options(1))
    with pytest.raises(ConfigError, match="remove the folder or choose another --out"):
        train(chosen, data, tmp_path / "run", Options(2))
    assert run.begin(tmp_path / "run", done.recipe, done.splits) == tmp_path / "run/checkpoint.safetensors"


def test_the_command_trains_and_says_where(data, tmp_path):
    args = ["esc10-s", "--data", str(data), "--out", str(tmp_path / "run"), "--fold", "1"]
    for change in TINY:
        args += ["--set", change]
    done = CliRunner().invoke(train_command, args, catch_exceptions=False)
    assert done.exit_code == 0
    assert f"{tmp_path / 'run'}: parameters" in done.stdout
    assert "clip_accuracy" in done.stdout
    assert json.loads((tmp_path / "run/metrics.json").read_text())["steps"] == 4


def test_the_command_names_missing_data(tmp_path):
    with pytest.raises(ConfigError, match="train: expected the table of ESC at"):
        CliRunner().invoke(train_command, ["esc10-s", "--data", str(tmp_path)], catch_exceptions=False)
