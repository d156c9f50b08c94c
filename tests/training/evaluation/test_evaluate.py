"""Measuring runs and model folders on tiny generated data: what may be judged, what is found, what is written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge.blocks import ScoreBlock
from edge.errors import ConfigError
from edge.inference.card import Decode
from training.commands.evaluate import command_line
from training.commands.evaluate import evaluate as command
from training.data import decode
from training.data.dataset import Dataset, Item, Sound
from training.evaluation import evaluate, heard, measures, probes, report, targets
from training.evaluation.targets import Target

LABELS = ("low", "high")
RATE = 16_000
TONES = {"low": 400.0, "high": 4000.0}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")


def ear(samples):
    """A network that needs no training: the share of each tone's band in frames of 20 ms, above a floor."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = np.stack([power[:, 4:13].sum(1), power[:, 75:86].sum(1)], axis=1)
    scores = np.where(power.sum(1, keepdims=True) > 1, bands / (power.sum(1, keepdims=True) + 1e-9), 0.0)
    return ScoreBlock("r", 0, 320, RATE, scores.astype(np.float32), 320)


def target(held_out=None, name="ear", learnt=lambda *_: False, **more):
    return Target(name, "float network", LABELS, RATE, Decode(), ear, held_out, learnt, None, None, **more)


def tone(label, seconds=1.0, total=2.0, at=0.5):
    x = np.zeros(round(total * RATE), np.float32)
    t = np.arange(round(seconds * RATE)) / RATE
    x[round(at * RATE) :][: len(t)] = 0.3 * np.sin(2 * np.pi * TONES[label] * t)
    return x


@pytest.fixture
def tones(tmp_path):
    """Two clips of each class in each of two folds; the second low one of fold 2 sounds high."""
    items = []
    for fold in (1, 2):
        for n in (0, 1):
            for k, label in enumerate(LABELS):
                name = f"{fold}-{n}-{label}.wav"
                wrong = (fold, n, label) == (2, 1, "low")
                soundfile.write(tmp_path / name, tone("high" if wrong else label), RATE)
                items.append(Item(name, tmp_path / name, (k,), (Sound(k, 0.5, 1.5),), fold=fold))
    return Dataset("tones", LABELS, tuple(items), exclusive=True)


def test_all_figures_of_tones_by_hand(tones):
    figures = measures.measure(heard.hear(target(), tones), LABELS, Decode(), exclusive=True)
    assert (figures["recordings"], figures["seconds"]) == (8, 16.0)
    assert figures["clip_accuracy"] == pytest.approx(7 / 8)
    assert figures["confusion"] == [[3, 1], [0, 4]]
    assert figures["map_at_3"] == pytest.approx((7 + 1 / 2) / 8)
    assert figures["found"] == pytest.approx(7 / 8)
    assert figures["false_events"] == pytest.approx(1 / 8)
    # Low: 3 of 3 claims right, 4 there: F1 6 / 7. High: 4 right, 5 claims, 4 there: 8 / 9.
    assert figures["clip_f1"] == pytest.approx((6 / 7 + 8 / 9) / 2)
    assert figures["event_f1"] == pytest.approx((6 / 7 + 8 / 9) / 2)
    assert figures["error_rate"] == pytest.approx(1 / 8)  # one substitution
    assert figures["by_class"]["low"]["recall"] == 0.75
    assert figures["alarms"]["events"] == {"high": 1}
    assert figures["false_alarms_per_hour"] == pytest.approx(3600 / 16)
    low, high = figures["intervals"]["clip_accuracy"]
    assert low < 7 / 8 <= high


def test_recordings_without_any_class_are_where_false_alarms_are_counted(tones, tmp_path):
    soundfile.write(tmp_path / "bird.wav", tone("high", at=0.2), RATE)
    empty = Item("bird.wav", tmp_path / "bird.wav", (), ())
    heard_ = heard.hear(target(), tones) + heard.hear(target(), Dataset("none", (), (empty,)))
    figures = measures.measure(heard_, LABELS, Decode(), exclusive=True)
    assert figures["alarms"]["on"] == "recordings without any of the classes"
    assert figures["false_alarms_per_hour"] == pytest.approx(1800)
    assert figures["clip_accuracy"] == pytest.approx(7 / 8)


def test_a_set_with_other_classes_takes_the_networks_indices(tones):
    other = Dataset(
        "more", ("noise", "high"), (Item("x", tones.items[0].path, (0, 1), (Sound(0, 0, 1), Sound(1, 1, 2))),)
    )
    item = heard.relabelled(other, LABELS).items[0]
    assert item.weak == (1,)
    assert item.strong == (Sound(1, 1, 2),)
    with pytest.raises(ValueError, match="more: expected some of the classes low, high, got only noise"):
        heard.relabelled(Dataset("more", ("noise",), other.items), LABELS)


def test_a_recording_too_short_for_a_score_is_named(tmp_path):
    soundfile.write(tmp_path / "click.wav", np.zeros(100), RATE)
    with pytest.raises(
        ValueError, match=r"click\.wav: expected a recording long enough for one score, got 100 samples"
    ):
        heard.hear(target(), Dataset("short", LABELS, (Item("click.wav", tmp_path / "click.wav", ()),)))


def test_a_run_is_judged_by_its_fold_and_a_model_by_what_it_never_saw(tones):
    source = evaluate.Source({}, "tones", tones)
    assert {i.fold for i in evaluate.held_out(target(held_out=2), source).items} == {2}
    partly = target(learnt=lambda folder, item: folder == "tones" and item.fold == 1)
    assert {i.fold for i in evaluate.held_out(partly, source).items} == {2}
    assert len(evaluate.held_out(partly, evaluate.Source({}, "elsewhere", tones))) == 8
    unlabelled = replace(tones, items=(replace(tones.items[0], weak=None), *tones.items[1:]))
    assert len(evaluate.held_out(partly, evaluate.Source({}, "elsewhere", unlabelled))) == 7


def test_what_must_stay_quiet_is_asked_of_silence_noise_and_background(tmp_path):
    soundfile.write(tmp_path / "hum.wav", tone("low"), RATE)
    background = heard.hear(target(), Dataset("quiet", (), (Item("hum.wav", tmp_path / "hum.wav", (), ()),)))
    found = probes.quiet(target(), background)
    assert found["silence_60s"] == {}
    assert set(found["white_noise"]) == {f"{db} dB" for db in probes.LEVELS_DB}
    assert found["background"] == {"low": 1}
    assert found["background_per_hour"] == pytest.approx(1800)
    assert found["background_at_most_per_hour"] == pytest.approx(4.744 * 1800, rel=1e-3)


def test_folds_are_averaged_and_the_interval_is_over_all_recordings(tones):
    parts = [measures.measure(heard.hear(target(), tones.folds([k])), LABELS, Decode(), exclusive=True) for k in (1, 2)]
    pooled = measures.measure(heard.hear(target(), tones), LABELS, Decode(), exclusive=True)
    found = measures.across(parts, pooled)
    assert found["mean"]["clip_accuracy"] == pytest.approx((1 + 0.75) / 2)
    assert found["deviation"]["clip_accuracy"] == pytest.approx(0.25 / 2**0.5)
    assert found["pooled"]["intervals"]["clip_accuracy"] == pooled["intervals"]["clip_accuracy"]


@pytest.fixture
def section(tones):
    """What the command would report of two fold runs."""
    parts = [measures.measure(heard.hear(target(), tones.folds([k])), LABELS, Decode(), exclusive=True) for k in (1, 2)]
    pooled = measures.measure(heard.hear(target(), tones), LABELS, Decode(), exclusive=True)
    quiet = probes.quiet(target(), [])
    return {
        "kind": "evaluation", "title": "Tones", "command": "wheatear evaluate …", "labels": list(LABELS),
        "data": {"name": "tones", "recordings": 8, "folder": "tones"},
        "targets": [{"name": f"fold{k}", "form": "float network", "held_out": k, "figures": p, "quiet": quiet}
                    for k, p in zip((1, 2), parts, strict=True)],
        "folds": measures.across(parts, pooled),
    }  # fmt: skip


def test_the_report_is_a_page_a_file_and_pictures(section, tmp_path):
    written = report.write(tmp_path / "out", section)
    assert [p.name for p in written] == ["report.json", "report.md", "confusion.png", "event-f1.png",
                                         "average-precision.png", "clip-f1.png"]  # fmt: skip
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written[2:])
    page = written[1].read_text()
    assert "| fold1 | 1 | 4 | 100.0% |" in page
    assert "**mean of the folds**" in page
    assert "| low | 4 | 75.0% |" in page
    assert "![confusion](confusion.png)" in page
    assert json.loads(written[0].read_text())["folds"]["mean"]["clip_accuracy"] == 0.875


def test_the_same_figures_give_the_same_pictures(section, tmp_path):
    a, b = (report.write(tmp_path / name, section) for name in "ab")
    assert [p.read_bytes() for p in a] == [p.read_bytes() for p in b]


def test_a_new_section_keeps_the_others_and_their_order(section, tmp_path):
    path = tmp_path / "results.json"
    report.merge(path, "tones", section)
    ablation = report.table("What moved it", ["step", "accuracy"], [["mixup", "91 %"], ["a | b", None]], "One each.")
    report.merge(path, "ablation", ablation)
    report.merge(path, "tones", section | {"title": "Tones again"})
    assert list(report.read(path)["sections"]) == ["tones", "ablation"]
    page = path.with_suffix(".md").read_text()
    assert page.index("## Tones again") < page.index("## What moved it")
    assert "| mixup | 91 % |" in page
    assert r"| a \| b |  |" in page
    assert "wheatear evaluate …" in page


@pytest.mark.parametrize(("text", "reason"), [("[1]", "with `sections`"), ("{", "got no JSON"), ("{}", "`sections`")])
def test_another_file_is_not_overwritten(section, tmp_path, text, reason):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        report.merge(tmp_path / "results.json", "tones", section)
    assert (tmp_path / "results.json").read_text() == text


def test_a_section_of_an_unknown_kind_or_a_ragged_table_is_refused():
    with pytest.raises(ConfigError, match="expected a section of kind evaluation, table, tuning, got 'pie'"):
        report.markdown({"kind": "pie"})
    with pytest.raises(ValueError, match=r"expected rows of 2 cells, got \[1\]"):
        report.table("t", ["a", "b"], [[1]])


def test_json_holds_no_nan():
    assert report.clean({"a": [float("nan"), np.float64(np.inf), 0.12345678], 1: (None, 2)}) == {
        "a": [None, None, 0.123457],
        "1": [None, 2],
    }


def test_a_folder_that_is_neither_run_nor_model_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"expected a run \(recipe.toml\) or a model folder \(card.toml\), got neither"
    ):
        targets.load(tmp_path)


def test_targets_of_other_classes_are_not_measured_together():
    other = Target("b", "float network", ("x",), RATE, Decode(), ear, None, lambda *_: False, None, None)
    with pytest.raises(ConfigError, match="expected the same classes of all, got low, high of ear and x of b"):
        targets.same_labels([target(), other])


TINY = (
    "procedure.steps=3", "procedure.batch=4", "sampling.seconds=1.0", "model.stem=4", "model.stages=[[8, 2]]",
    "model.width=8", "model.dilations=[1]", "model.embedding=8", "frontend.bands.count=16",
)  # fmt: skip


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A clip of each class in three folds, four soundscapes, and runs that held out folds 1 and 2."""
    from training import recipe
    from training.data.formats.esc import ESC10
    from training.train import Options, train

    root, rng = tmp_path_factory.mktemp("folds"), np.random.default_rng(0)
    patch = pytest.MonkeyPatch()
    patch.setattr(decode.platformdirs, "user_cache_path", lambda *_: root / "cache")
    (root / "data/esc10").mkdir(parents=True)
    (root / "data/soundscapes-maad").mkdir()
    rows, t = ["file,fold,label"], np.arange(RATE) / RATE
    for fold in (1, 2, 3):
        for k, label in enumerate(ESC10.values()):
            name = f"{fold}{label}.wav"
            soundfile.write(root / "data/esc10" / name, 0.3 * np.sin(2 * np.pi * (300 + 500 * k) * t), RATE)
            rows.append(f"{name},{fold},{label}")
    (root / "data/esc10/labels.csv").write_text("\n".join(rows) + "\n")
    names = [f"S_20190522_0{hour}0000.wav" for hour in range(4)]
    for name in names:
        soundfile.write(root / "data/soundscapes-maad" / name, 0.01 * rng.standard_normal(RATE), RATE)
    (root / "data/soundscapes-maad/files.csv").write_text("file\n" + "".join(f"{n}\n" for n in names))
    for fold in (1, 2):
        train(recipe.load("esc10-s", TINY), root / "data", root / f"fold{fold}", Options(fold))
    yield root
    patch.undo()


def test_fold_runs_are_measured_each_on_its_own_fold_and_together(folds):
    found = evaluate.evaluate([folds / "fold1", folds / "fold2"], folds / "data")
    assert [t["held_out"] for t in found["targets"]] == [1, 2]
    assert [t["figures"]["recordings"] for t in found["targets"]] == [10, 10]
    assert np.sum(found["folds"]["pooled"]["confusion"]) == 20
    assert [t["quiet"]["background_seconds"] for t in found["targets"]] == [2.0, 2.0]
    own = [json.loads((folds / f"fold{k}/metrics.json").read_text())["clip_accuracy"] for k in (1, 2)]
    assert [t["figures"]["clip_accuracy"] for t in found["targets"]] == own
    assert found["card"]["leave_one_fold_out_clip_accuracy"] == pytest.approx(np.mean(own), abs=1e-4)
    page = report.markdown(found)
    assert "**mean of the folds**" in page
    assert all(f"| {label} | " in page for label in found["labels"])


def test_runs_of_the_same_fold_are_refused(folds):
    with pytest.raises(ValueError, match=r"each held out another fold, got \[1, 1\]"):
        evaluate.evaluate([folds / "fold1", folds / "fold1"], folds / "data")


def test_a_recipe_is_tuned_on_the_held_out_scores_of_its_folds(folds):
    from training import recipe
    from training.tuning.target import tune_target

    path = folds / "mine.toml"
    path.write_text((recipe.BUILT_IN / "esc10-s.toml").read_text())
    found = tune_target(path, folds / "data", runs=[folds / "fold1", folds / "fold2"])
    assert found.path == path
    assert found.tuned_on == "best F1 on 20 recordings of esc10; 2 fold runs, each on its held-out fold"
    assert found.report["after"]["clip_f1"] >= found.report["before"]["clip_f1"]
    assert "each fold by the others' rules" in report.markdown(found.report)


@pytest.fixture
def shipped(tmp_path):
    """The model that ships, and a folder per class of two of its sounds, synthesised."""
    from edge.inference import store

    shutil.copytree(store.built_in_folder() / "esc10-s", tmp_path / "model")
    rng = np.random.default_rng(0)
    for label, gain in (("rain", 0.1), ("clock_tick", 0.0)):
        (tmp_path / "data/mine" / label).mkdir(parents=True)
        x = gain * rng.standard_normal(2 * RATE)
        x[::8000] = 0.5
        soundfile.write(tmp_path / "data/mine" / label / "a.wav", x, RATE)
    return tmp_path


def test_the_command_measures_every_file_of_a_model_folder_as_deployed(shipped):
    args = [str(shipped / "model"), "--data", str(shipped / "data"), "--folder", "mine", "--format", "folders"]
    out = shipped / "report"
    args += ["--out", str(out), "--into", str(shipped / "results.json"), "--section", "mine"]
    done = CliRunner().invoke(command, args, catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads((out / "report.json").read_text())
    assert [t["form"] for t in found["targets"]] == [
        "deployed onnx", "deployed onnx int8", "deployed tflite", "deployed tflite int8",
    ]  # fmt: skip
    assert {t["figures"]["recordings"] for t in found["targets"]} == {2}
    scores = [t["figures"]["clip_accuracy"] for t in found["targets"]]
    assert scores[0] == scores[2]
    assert "mine" in report.read(shipped / "results.json")["sections"]
    assert "| model tflite int8 |" in done.stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--format", "folders"], "--format and --set: expected --folder beside them, got none"),
        (["--folder", "mine"], "expected a data set of .*, or a format of .*, got 'mine'"),
        (["--folder", "mine", "--format", "folders", "--set", "x"], "--set: expected key=value, got 'x'"),
        (["--folder", "none", "--format", "folders"], "none"),
        (["--section", "x"], "expected --into FILE and --section NAME together"),
    ],
)
def test_wrong_options_are_one_line(shipped, args, text):
    with pytest.raises(ConfigError, match=text):
        CliRunner().invoke(command, [str(shipped / "model"), "--data", str(shipped / "data"), *args],
                           catch_exceptions=False)  # fmt: skip


def test_frames_that_are_not_kept_still_tell_their_events_and_no_others(tones):
    kept = heard.hear(target(), tones)
    weak = Dataset("weak", LABELS, tuple(Item(i.name, i.path, i.weak) for i in tones.items), exclusive=True)
    thin = heard.hear(target(), weak, keep=False)
    assert [len(h.block.scores) for h in thin] == [0] * 8
    assert [h.events(LABELS, Decode()) for h in thin] == [h.events(LABELS, Decode()) for h in kept]
    with pytest.raises(
        ValueError, match=r"1-0-low\.wav: expected the rules that its scores were decided by, got others"
    ):
        thin[0].events(LABELS, Decode(on=0.7))


def test_the_command_in_a_report_is_as_it_was_typed_without_where_it_wrote():
    typed = ["evaluate", "runs/a b", "--out", "x", "--data", "d", "--title=T", "--section", "s", "--folder", "f"]
    assert command_line(typed) == "wheatear evaluate 'runs/a b' --data d --folder f"
