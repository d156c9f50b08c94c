"""Rules of states chosen from scores: hand-made hives, and the compiled loop against the product's decoder."""

import doctest
import shutil
import tomllib
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tomli_w
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from edge.blocks import ScoreBlock
from edge.inference import store
from edge.inference.card import Decode, Rule, Viterbi
from training.commands.tune import tune as command
from training.data import decode
from training.data.dataset import Item, Sound
from training.evaluation.heard import Heard
from training.tuning import choice
from training.tuning.states import Prepared, tune_states
from training.tuning.tune import tune

HOP, RATE = 8000, 8000  # a score a second
LABELS = ("queenright", "queenless", "swarming")
RULES = Decode(states=True, on=0.5, off=0.5, min_duration=5.0)


def heard(rows, weak=(), strong=None, first=0, span=HOP):
    rows = np.asarray(rows, np.float32)
    block = ScoreBlock("r", first, HOP, RATE, rows, span)
    return Heard(Item("x", Path("x"), weak, strong), first + len(rows), block, rows.max(axis=0))


def hive(states, height=0.7, noise=0.0, seed=0):
    """A score each second: `height` of the state that holds, the rest shared; some seconds are another's."""
    rng = np.random.default_rng(seed)
    truth = np.array(states)
    said = np.where(rng.random(len(truth)) < noise, rng.integers(0, 3, len(truth)), truth)
    rows = np.full((len(truth), 3), (1 - height) / 2)
    rows[np.arange(len(truth)), said] = height
    edges = np.flatnonzero(np.diff(truth, prepend=-1, append=-1))
    sounds = tuple(Sound(int(truth[a]), float(a), float(b)) for a, b in pairwise(edges))
    return heard(rows, tuple(sorted(set(states))), sounds)


def test_doctests_hold():
    assert doctest.testmod(choice).failed == 0


def test_states_that_no_threshold_told_are_told():
    # 0.45 is the highest of all throughout, and below `on`: nothing is told. Any threshold from 0.04 to 0.44 tells all.
    recordings = [hive([0] * 60 + [1] * 60, 0.45), hive([1] * 60 + [0] * 60, 0.45)]
    found = tune(recordings, LABELS, RULES)
    assert found.rules.on == pytest.approx(0.24)
    assert found.rules.min_duration == 0.0  # nothing speaks for waiting
    assert "F1 of the time that states are told: 0.000 before, 1.000 after" in found.notes
    assert found.rules.off <= found.rules.on  # or no card may have them


def test_against_single_doubtful_seconds_it_waits_or_smoothes():
    recordings = [hive([0] * 200 + [2] * 200, noise=0.3, seed=seed) for seed in range(3)]
    found = tune(recordings, LABELS, structs.replace(RULES, min_duration=0.0))
    assert found.rules.median >= 3 or found.rules.min_duration >= 3
    told = [len(h.events(LABELS, found.rules)) for h in recordings]
    assert told == [2, 2, 2]  # a change each, where every mistaken second was one before
    assert min(len(h.events(LABELS, structs.replace(RULES, min_duration=0.0))) for h in recordings) > 50


def test_a_state_that_is_claimed_falsely_gets_a_threshold_of_its_own():
    """A network that says "swarming" at 0.6 of half of the time without a queen, and knows a swarm at 0.9."""
    rows = np.tile([[0.1, 0.55, 0.35], [0.1, 0.3, 0.6]], (60, 1))
    recordings = [
        heard(rows, (1,)),
        heard([[0.05, 0.05, 0.9]] * 120, (2,)),
        heard([[0.5, 0.3, 0.2]] * 120, (0,)),
    ]
    found = tune(recordings, LABELS, structs.replace(RULES, min_duration=0.0)).rules
    assert found.on <= 0.5
    assert 0.6 < found.labels["swarming"].on <= 0.9
    assert (list(found.labels), found.median, found.min_duration) == (["swarming"], 0.0, 0.0)
    assert [(e.label, e.onset, e.offset) for h in recordings for e in h.events(LABELS, found)] == [
        (1, 0, pytest.approx(120, abs=1)),
        (2, 0, 120),
        (0, 0, 120),
    ]


def test_no_longer_time_is_tried_than_recordings_last():
    found = tune([hive([0] * 40), hive([1] * 40)], LABELS, RULES)
    assert found.rules.min_duration <= 30
    assert "no recording is longer than 40 s: longer medians and durations were not tried" in found.notes
    assert "swarming: no recording of it: it has the threshold of all" in found.notes


def test_a_states_own_duration_and_ignored_labels_stay():
    rules = structs.replace(RULES, ignore=["swarming"], labels={"queenless": Rule(min_duration=20.0)})
    found = tune([hive([0] * 90), hive([1] * 90)], LABELS, rules).rules
    assert found.labels["queenless"].min_duration == 20.0
    assert (found.ignore, "swarming" in found.labels) == (["swarming"], False)


def test_what_does_not_go_with_states_is_refused():
    recordings = [hive([0] * 20)]
    with pytest.raises(ValueError, match=r"expected criterion f1 and decoder median .* got false-alarms and median"):
        tune(recordings, LABELS, RULES, "false-alarms")
    with pytest.raises(ValueError, match="got f1 and viterbi"):
        tune(recordings, LABELS, RULES, smoothing="viterbi")
    with pytest.raises(ValueError, match="expected states without `viterbi`"):
        tune(recordings, LABELS, structs.replace(RULES, viterbi=Viterbi(event=1.0, pause=1.0)))
    with pytest.raises(ValueError, match="one in each or with times, got none"):
        tune_states([heard(np.ones((5, 3)), (0, 1))], LABELS, RULES)


def test_the_command_tunes_a_model_that_tells_states_and_writes_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    folder = tmp_path / "model"
    shutil.copytree(store.built_in_folder() / "esc10-s", folder)
    card = tomllib.loads((folder / "card.toml").read_text())
    card["decode"] = {"states": True, "on": 0.9, "off": 0.9, "min_duration": 20.0}
    (folder / "card.toml").write_text(tomli_w.dumps(card))
    rng = np.random.default_rng(0)
    for label, noise in (("rain", 0.1), ("clock_tick", 0.001)):
        (tmp_path / "data/mine" / label).mkdir(parents=True)
        x = noise * rng.standard_normal(160_000)
        x[::8000] += 0.5 * (label == "clock_tick")
        soundfile.write(tmp_path / "data/mine" / label / "a.wav", x, 16_000)
    args = [str(folder), "--data", str(tmp_path / "data"), "--folder", "mine", "--format", "folders"]
    done = CliRunner().invoke(command, [*args, "--write"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "F1 of the time that states are told: 0.000 before, " in done.stderr
    rules = store.load_card(folder).decode
    assert rules.states
    assert rules.min_duration < 10  # of recordings of ten seconds nothing was told before
    text = tomllib.loads((folder / "card.toml").read_text())["metrics"]["rules_tuned_on"]
    assert text == "best F1 of the time of each state on 2 recordings of mine; its own scores"
    refused = CliRunner().invoke(command, [*args, "--criterion", "agreement"])
    assert "expected criterion f1 and decoder median for a model that tells states" in str(refused.exception)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 3.0, 9.0]), st.sampled_from([HOP // 2, HOP, 3 * HOP]))
def test_the_compiled_loop_tells_what_the_decoder_tells(seed, median, span):
    rng = np.random.default_rng(seed)
    recordings = []
    for first in (0, 7):
        rows = rng.dirichlet([0.5] * 3, 80)[np.repeat(np.arange(40), rng.integers(1, 3, 40))]
        strong = (Sound(0, 3.0, 20.5), Sound(2, 20.5, 44.0), Sound(1, 50.0, 70.25))
        recordings.append(heard(rows, (0, 1, 2), strong, first, span))
    rules = structs.replace(RULES, median=median, min_duration=float(rng.integers(0, 6)))
    truths = [np.array([(s.label, s.onset, s.offset) for s in h.item.strong]) for h in recordings]
    prepared = Prepared.of(recordings, truths, LABELS, LABELS, rules)
    shortest = max(1, -(-round(rules.min_duration * RATE - span) // HOP) + 1)
    for thresholds in product((0.3, 0.6, 0.9), repeat=3):
        own = structs.replace(
            rules, labels={name: Rule(on=on) for name, on in zip(LABELS, thresholds, strict=True)}, off=0.1
        )
        overlap, total = np.zeros(3), np.zeros(3)
        for h in recordings:
            for e in h.events(LABELS, own):
                until = min(e.offset, h.seconds)
                total[e.label] += until - e.onset
                for s in h.item.strong:
                    if s.label == e.label:
                        overlap[e.label] += max(0.0, min(until, s.offset) - max(e.onset, s.onset))
        true = 2 * np.array([17.5, 20.25, 23.5])
        found = prepared.f1(np.array([thresholds]), np.full(3, shortest))[0]
        np.testing.assert_allclose(found, 2 * overlap / (total + true), atol=1e-9)
