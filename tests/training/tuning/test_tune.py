"""Decision rules chosen from scores: the right ones are found, written safely, and never on what was trained on."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge.blocks import ScoreBlock
from edge.errors import CardError, ConfigError
from edge.inference import check, store
from edge.inference.card import Decode, Rule, Viterbi
from edge.inference.model import Model
from training.commands.tune import tune as command
from training.data import decode
from training.data.dataset import Dataset, Item, Sound
from training.evaluation.evaluate import Source
from training.evaluation.heard import Heard
from training.evaluation.targets import Target
from training.tuning import rules as rule_files
from training.tuning import target as tuning
from training.tuning.tune import cross_tuned, tune

LABELS = ["dog", "rain"]
RULES = Decode(on=0.5, off=0.25, labels={"rain": Rule(on=0.6)})


def heard(scores, weak, strong=None, fold=None):
    """A recording at 50 scores a second; `scores` of the first class, the second is silent."""
    scores = np.stack([np.asarray(scores, np.float32), np.zeros(len(scores), np.float32)], axis=1)
    block = ScoreBlock("r", 0, 320, 16_000, scores, 320)
    return Heard(Item("x", Path("x"), weak, strong, fold=fold), len(scores) / 50, block, scores.max(0))


def bump(height, start=50, stop=100, floor=0.0, frames=200):
    scores = np.full(frames, floor, np.float32)
    scores[start:stop] = height
    return scores


def test_a_threshold_between_the_loud_and_the_quiet_is_chosen_in_the_middle():
    # Dogs score 0.8, other sounds 0.3: any threshold from 0.32 to 0.8 is right; the middle of the grid there is 0.56.
    recordings = [heard(bump(0.8), (0,)), heard(bump(0.8), (0,)), heard(bump(0.3), ()), heard(bump(0.3), ())]
    found = tune(recordings, LABELS, RULES)
    assert found.rules.labels["dog"].on == pytest.approx(0.56, abs=0.021)
    assert found.notes == ("rain: no recording of it: its rule stays",)
    assert found.rules.labels["dog"].off == pytest.approx(found.rules.labels["dog"].on / 2)  # as it was
    assert found.rules.labels["rain"] == RULES.labels["rain"]


def test_off_is_chosen_where_events_have_known_ends():
    # The event sounds from 1 to 2 s; its score falls to 0.4 after the first half: only a low `off` keeps it whole.
    scores = bump(0.9, 50, 75)
    scores[75:100] = 0.4
    recordings = [heard(scores, (0,), (Sound(0, 1.0, 2.0),)), heard(bump(0.2), (), ())]
    found = tune(recordings, LABELS, RULES).rules.labels["dog"]
    assert found.off <= 0.4 < found.on


def test_a_median_is_chosen_against_single_frames():
    # Noise of single frames as loud as the events: only smoothing tells them apart.
    noise = np.zeros(200, np.float32)
    noise[::20] = 0.9
    recordings = [heard(np.maximum(bump(0.9), noise), (0,), (Sound(0, 1.0, 2.0),)), heard(noise, (), ())]
    assert tune(recordings, LABELS, RULES).rules.labels["dog"].median > 0.02


def test_the_lowest_threshold_that_keeps_false_alarms_under_a_bound():
    # An hour in all without dogs: one bump to 0.3, two to 0.5, four to 0.7 an hour.
    def hour(bumps):
        scores = np.zeros(3600 * 50, np.float32)
        for k, height in enumerate(bumps):
            scores[1000 * k + 500 : 1000 * k + 550] = height
        return heard(scores, ())

    recording = hour([0.3, 0.5, 0.5, 0.7, 0.7, 0.7, 0.7])
    for bound, expected in ((7, 0.04), (6, 0.32), (4, 0.52), (0, 0.72)):
        found = tune([recording], LABELS, RULES, "false-alarms", per_hour=bound)
        assert found.rules.labels["dog"].on == pytest.approx(expected)
        assert found.rules.labels["dog"].off == pytest.approx(expected / 2)
    note = tune([recording], LABELS, RULES, "false-alarms", per_hour=0.5).notes[0]
    assert note == "dog: 1.00 h are too little to tell 0.5 per hour from none"


def test_a_class_that_nothing_can_silence_is_named():
    found = tune([heard(bump(1.0), ())], LABELS, RULES, "false-alarms", per_hour=1)
    assert found.rules.labels["dog"].on == 1.0
    assert found.notes[0] == "dog: 900.0 per hour even at 0.98: set to 1, near silence"


def test_a_class_that_never_scores_keeps_its_rule():
    found = tune([heard(bump(0.0), (0,)), heard(bump(0.0), ())], LABELS, RULES)
    assert "dog: no setting finds any of it: its rule stays" in found.notes
    assert found.rules == RULES


def test_ignored_classes_are_left_alone():
    ignoring = Decode(ignore=["dog"])
    assert tune([heard(bump(0.8), (0,)), heard(bump(0.3), ())], LABELS, ignoring).rules == ignoring


def test_unlabelled_recordings_choose_nothing():
    with pytest.raises(ValueError, match="expected recordings whose classes are known, got none"):
        tune([heard(bump(0.8), None)], LABELS, RULES)


def test_cross_tuning_decides_a_group_by_what_the_others_chose():
    # Fold 1 scores 0.8 over 0.6, fold 2 0.4 over 0.2: each chooses a rule that suits the other one badly.
    recordings = [heard(bump(h), w) for h, w in ((0.8, (0,)), (0.6, ()), (0.4, (0,)), (0.2, ()))]
    parts = cross_tuned(recordings, [1, 1, 2, 2], LABELS, RULES)
    assert [len(own) for own, _ in parts] == [2, 2]
    assert parts[0][1].labels["dog"].on < 0.42  # for fold 1, chosen by fold 2
    assert parts[1][1].labels["dog"].on > 0.6


CARD_NOTE = "# set by ear, do not lose\n"


@pytest.fixture
def folder(tmp_path):
    """The model that ships, with a comment in its card."""
    shutil.copytree(store.built_in_folder() / "esc10-s", tmp_path / "model")
    card = tmp_path / "model/card.toml"
    card.write_text(card.read_text().replace("[decode]\n", f"{CARD_NOTE}[decode]\n"))
    return tmp_path / "model"


def test_rules_are_written_and_nothing_else_changes(folder):
    before = store.load_card(folder)
    wanted = Decode(on=0.4, off=0.2, median=0.3, min_duration=0.4, merge_gap=0.6,
                    labels={**before.decode.labels, "rain": Rule(on=0.31, off=0.155, median=0.5),
                            "helicopter": Rule(on=0.7, viterbi=Viterbi(event=4.0, pause=9.0))})  # fmt: skip
    lines = (folder / "card.toml").read_text().splitlines()
    rule_files.write(folder / "card.toml", wanted, "a test")
    after, text = store.load_card(folder), (folder / "card.toml").read_text()
    assert after.decode == wanted
    assert after.metrics["rules_tuned_on"] == "a test"
    assert CARD_NOTE in text
    assert after.files == before.files
    gone = [line for line in lines if line not in text.splitlines()]
    assert gone == ["on = 0.45"] or all(line.startswith(("on =", "off =")) for line in gone)
    check.validate(after, folder)
    assert Model.load(folder).card.decode == wanted


def test_impossible_rules_leave_the_card_as_it_was(folder):
    before = (folder / "card.toml").read_bytes()
    with pytest.raises(CardError, match=r"decode\.labels\.rain\.off"):
        rule_files.write(folder / "card.toml", Decode(labels={"rain": Rule(on=0.2, off=0.4)}))
    assert (folder / "card.toml").read_bytes() == before
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_rules_are_written_into_a_recipe_with_its_comments(tmp_path):
    from training import recipe

    path = tmp_path / "mine.toml"
    path.write_text((recipe.BUILT_IN / "esc10-s.toml").read_text())
    old = recipe.load(path)
    wanted = Decode(on=0.5, off=0.25, median=0.3, min_duration=0.4, merge_gap=0.6,
                    labels={**old.decode.labels, "rain": Rule(on=0.33), "chainsaw": Rule(on=0.7)})  # fmt: skip
    rule_files.write(path, wanted)
    assert recipe.load(path).decode == wanted
    assert recipe.load(path).model == old.model
    comments = [line for line in (recipe.BUILT_IN / "esc10-s.toml").read_text().splitlines() if line.startswith("#")]
    assert all(line in path.read_text() for line in comments)


def test_what_is_no_toml_is_named(tmp_path):
    (tmp_path / "card.toml").write_text("name = ")
    with pytest.raises(ConfigError, match=r"card\.toml: expected TOML, got something else"):
        rule_files.write(tmp_path / "card.toml", RULES)


def target(form="float network", inner=(), seen=()):
    return Target("t", form, tuple(LABELS), 16_000, RULES, lambda x: x, None, lambda folder, item: item.name in seen,
                  {"folder": "set"}, None, frozenset(inner))  # fmt: skip


def dataset():
    return Dataset("set", tuple(LABELS), tuple(Item(n, Path(n), (0,)) for n in "abcd"))


def chosen(t, folder="set", seen=False):
    found = tuning._choosable(t, Source({}, folder, dataset()), seen)
    return "".join(item.name for item in found.items)


def test_only_what_a_training_held_back_for_choosing_may_choose():
    assert chosen(target(inner="b", seen="abc")) == "b"
    with pytest.raises(
        ConfigError, match=r"held recordings back for choosing .* what it did not learn from is its test"
    ):
        chosen(target(seen="abc"))
    assert chosen(target(seen="abc"), "elsewhere") == "d"


def test_a_model_is_not_tuned_on_what_it_was_trained_on_unless_that_is_allowed():
    with pytest.raises(ConfigError, match="expected recordings that t was not trained on, got 4 of set that it was"):
        chosen(target("deployed onnx", seen="abcd"))
    assert chosen(target("deployed onnx", seen="abc")) == "d"
    assert chosen(target("deployed onnx", seen="abcd"), seen=True) == "abcd"


def test_a_recipe_needs_runs(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("name = 'x'")
    with pytest.raises(ConfigError, match="expected --runs for the recipe"):
        tuning.tune_target(path, tmp_path)


def test_the_command_tunes_a_model_folder_and_says_what_changed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    rng = np.random.default_rng(0)
    for label, noise in (("rain", 0.1), ("clock_tick", 0.001)):
        (tmp_path / "data/mine" / label).mkdir(parents=True)
        x = noise * rng.standard_normal(32_000)
        x[::8000] += 0.5 * (label == "clock_tick")
        soundfile.write(tmp_path / "data/mine" / label / "a.wav", x, 16_000)
    args = [str(folder), "--data", str(tmp_path / "data"), "--folder", "mine", "--format", "folders", "--write"]
    done = CliRunner().invoke(command, [*args, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    assert "| clip F1 |" in done.stdout
    card = tomllib.loads((folder / "card.toml").read_text())
    assert card["metrics"]["rules_tuned_on"] == "best F1 on 2 recordings of mine; its own scores"
    assert (tmp_path / "out/report.json").exists()
    assert "no recording of it: its rule stays" in done.stderr


def test_the_command_refines_a_model_by_recordings_of_which_nothing_is_known(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    (tmp_path / "data/site").mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal(48_000)
    soundfile.write(tmp_path / "data/site/a.wav", noise * (np.arange(48_000) < 24_000), 16_000)
    args = [str(folder), "--data", str(tmp_path / "data"), "--folder", "site", "--format", "soundscapes", "--write"]
    done = CliRunner().invoke(command, [*args, "--criterion", "agreement"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "no setting cuts most of 0 clips in events and a rest: its rule stays" in done.stderr
    tuned_on = tomllib.loads((folder / "card.toml").read_text())["metrics"]["rules_tuned_on"]
    assert tuned_on == "best agreement with the network's own clip scores on 1 recordings of site; its own scores"
