"""Per class, events of frames or as long as clips, whichever labelled recordings speak for (card 43)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.blocks import ScoreBlock
from edge.errors import ConfigError
from edge.inference.card import Decode, Rule
from training import recipe
from training.data.dataset import Item, Sound
from training.evaluation.heard import Heard
from training.tuning import rules as rule_files
from training.tuning.target import tune_target
from training.tuning.tune import tune

LABELS = ["bark", "hum"]
RULES = Decode(on=0.5, off=0.25, labels={"bark": Rule(on=0.6)})
FRAMES = 200  # four seconds at 50 scores a second: one clip


def recording(barks, hums, timed=True):
    """The bark's frames are right; the hum's come and go while it fills the clip, which only the clip score knows."""
    rng, scores, clips = np.random.default_rng(0), np.zeros((FRAMES, 2), np.float32), np.zeros((FRAMES, 2), np.float32)
    if barks:
        scores[50:75, 0] = 0.9
        clips[50:, 0] = 0.7
    scores[:, 1] = rng.random(FRAMES)
    clips[:, 1] = 0.6 if hums else 0.3
    known = [*([Sound(0, 1.0, 1.5)] if barks else []), *([Sound(1, 0.0, 4.0)] if hums else [])]
    item = Item("x", Path("x"), tuple(sorted({s.label for s in known})), tuple(known) if timed else None)
    return Heard(item, 4.0, ScoreBlock("r", 0, 320, 16_000, scores, 320, clip=clips), clips[-1])


RECORDINGS = [recording(1, 0), recording(0, 1), recording(1, 1), recording(0, 0)]


def test_a_short_sound_is_told_by_frames_and_a_long_one_by_clips():
    found = tune(RECORDINGS, LABELS, RULES, clips=4.0).rules
    assert found.labels["bark"].clip_events is None
    assert (found.labels["hum"].clip_events, found.labels["hum"].clip_ahead) == (True, 4.0)
    assert 0.3 < found.labels["hum"].on <= 0.6
    for heard in RECORDINGS:
        assert set(heard.events(LABELS, found)) == set(heard.item.strong)  # by the decoder of the device


def test_no_choice_is_made_unless_it_is_asked_for_or_where_no_times_are_known():
    timeless = [recording(*one, timed=False) for one in ((1, 0), (0, 1), (1, 1), (0, 0))]
    for found in (tune(RECORDINGS, LABELS, RULES), tune(timeless, LABELS, RULES, clips=4.0)):
        assert all(rule.clip_events is None for rule in found.rules.labels.values())


def test_frames_are_preferred_where_clips_are_no_better_and_come_back_where_they_are():
    exact = recording(0, 1)
    exact.block.scores[:, 1] = 0.9  # frames know it as well
    before = Decode(labels={"hum": Rule(clip_events=True, clip_ahead=4.0)})
    found = tune([exact, recording(0, 0)], LABELS, before, clips=4.0).rules.labels["hum"]
    assert found.clip_events is False


def test_a_class_of_clips_stays_one_where_no_choice_is_asked_for():
    before = Decode(labels={"hum": Rule(on=0.9, clip_events=True, clip_ahead=4.0)})
    found = tune(RECORDINGS, LABELS, before).rules.labels["hum"]
    assert (found.clip_events, found.clip_ahead) == (True, 4.0)
    assert 0.3 < found.on <= 0.6


def test_recordings_without_clip_scores_are_refused():
    bare = [replace(heard, block=replace(heard.block, clip=None)) for heard in RECORDINGS]
    with pytest.raises(ValueError, match="`clip_events` needs a clip score for each of 200 frames"):
        tune(bare, LABELS, RULES, clips=4.0)


def test_the_choice_is_written_into_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((recipe.BUILT_IN / "43-cnn4.toml").read_text())
    wanted = Decode(on=0.8, off=0.2, labels={"hum": Rule(on=0.5, off=0.5, clip_events=True, clip_ahead=10.0)})
    rule_files.write(path, wanted)
    assert recipe.load(path).decode == wanted


def test_what_does_not_go_together_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected --clip-events with `--criterion f1`, which compares, got agree"):
        tune_target(tmp_path, tmp_path, criterion="agreement", clips=4.0)
    with pytest.raises(ConfigError, match="expected `--search genetic` by itself, which chooses thresholds by F1"):
        tune_target(tmp_path, tmp_path, criterion="false-alarms", search="genetic")
